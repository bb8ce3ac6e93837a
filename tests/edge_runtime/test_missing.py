"""What a machine lacks is said in one line with the fix: PortAudio, the interpreter, 64 bits, a newer interpreter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from edge_runtime import ModelCard
from tests.conftest import tone

REFUSED = 2
NEWEST_VERSION = 999
"""Of an operator or a format; no interpreter knows it."""

LISTEN = "from edge_runtime.cli.listen import main; main()"

WITHOUT_INTERPRETERS = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ai_edge_litert", "tflite_runtime", "tensorflow", "onnxruntime"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
{LISTEN}
"""

ON_32_BITS = WITHOUT_INTERPRETERS.replace("import sys\n", "import sys; sys.maxsize = 2**31 - 1\n", 1)

WITHOUT_PORTAUDIO = f"""
import ctypes.util
ctypes.util.find_library = lambda name: None
{LISTEN}
"""


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, tone(3, sample_rate=22_050), 22_050)
    return path


def error_of(program: str, *arguments: object) -> str:
    """The one line of a command that is refused."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == REFUSED, done.stderr
    assert not done.stdout
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith(("INFO", "WARNING")))
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("form", "fix"), [("tflite", "pip install ai-edge-litert"), ("onnx", "pip install onnxruntime")]
)
def test_a_missing_interpreter(form: str, fix: str, models: dict[str, Path], song: Path) -> None:
    assert fix in error_of(WITHOUT_INTERPRETERS, song, "--model", models[form])


def test_a_32_bit_system(models: dict[str, Path], song: Path) -> None:
    assert "install the 64-bit Raspberry Pi OS" in error_of(ON_32_BITS, song, "--model", models["tflite"])


def test_a_missing_portaudio() -> None:
    assert "sudo apt install libportaudio2" in error_of(WITHOUT_PORTAUDIO, "--list-devices")


def test_a_missing_portaudio_is_a_problem_to_the_doctor_and_not_its_end(models: dict[str, Path]) -> None:
    command = [sys.executable, "-c", WITHOUT_PORTAUDIO, "doctor", "--model", str(models["tflite"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    (problem,) = (line for line in done.stdout.splitlines() if line.startswith("problem"))
    assert "sudo apt install libportaudio2" in problem


def test_a_model_that_is_too_new_for_the_interpreter(
    graphs: dict[str, Path], card: ModelCard, song: Path, tmp_path: Path
) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    from export.metadata import write_with_card

    model = schema.ModelT.InitFromPackedBuf(graphs["tflite"].read_bytes())
    for operator in model.operatorCodes:
        operator.version = NEWEST_VERSION
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    newer = tmp_path / "newer.tflite"
    newer.write_bytes(builder.Output())
    write_with_card(newer, replace(card, export={"format": "tflite", "recipe": "float32"}), tmp_path / "carded.tflite")
    line = error_of(LISTEN, song, "--model", tmp_path / "carded.tflite")
    assert f"version '{NEWEST_VERSION}'" in line
    assert "made for a newer interpreter" in line
    assert "pip install --upgrade ai-edge-litert" in line


def test_an_onnx_model_that_is_too_new_for_the_interpreter(models: dict[str, Path], song: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(models["onnx"])
    model.ir_version = NEWEST_VERSION
    newer = tmp_path / "newer.onnx"
    newer.write_bytes(model.SerializeToString())
    line = error_of(LISTEN, song, "--model", newer)
    assert "made for a newer runtime" in line
    assert "pip install --upgrade onnxruntime" in line

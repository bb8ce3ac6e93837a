"""tflite-runtime, for old systems, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from export.metadata import write_with_card
from tests.conftest import tone
from tests.export.conftest import ParityKit, Reports

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime was last built for Python 3.11"),
]


@pytest.fixture(scope="module")
def legacy(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of an environment with the extra ``legacy`` and without ai-edge-litert."""
    folder = tmp_path_factory.mktemp("legacy")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", f"{wheel}[legacy]"], check=True)
    subprocess.run([folder / "bin" / "pip", "uninstall", "--quiet", "--yes", "ai-edge-litert"], check=True)
    return folder / "bin"


def listen(program: Path, model: str, song: Path) -> subprocess.CompletedProcess[str]:
    command = [str(program), str(song), "--model", model, "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("recipe", ["float32", "float16", "int8"])
def test_it_predicts_what_its_successor_does(recipe: str, legacy: Path, exports: Reports, tmp_path: Path) -> None:
    check_same_predictions(legacy, exports[f"tiny.{recipe}.tflite"]["file"], tmp_path)


def test_it_reads_buffers_behind_the_flatbuffer(
    legacy: Path, large_graph: Path, image_kit: ParityKit, tmp_path: Path
) -> None:
    model = tmp_path / "large.tflite"
    write_with_card(large_graph, image_kit.card.replace(export={"format": "tflite", "recipe": "float16"}), model)
    check_same_predictions(legacy, str(model), tmp_path)


def check_same_predictions(legacy: Path, model: str, folder: Path) -> None:
    song = folder / "song.wav"
    soundfile.write(song, tone(2, sample_rate=8_000), 8_000)
    old = listen(legacy / "tmgc-listen", model, song)
    new = listen(Path(sys.executable).parent / "tmgc-listen", model, song)
    assert old.returncode == new.returncode == 0, old.stderr + new.stderr
    before, after = (json.loads(done.stdout.splitlines()[-1]) for done in (old, new))
    assert before["model"]["runtime"].startswith("tflite-runtime")
    assert after["model"]["runtime"].startswith("ai-edge-litert")
    assert before["probabilities"] == pytest.approx(after["probabilities"], abs=0.02)


def test_dynamic_range_files_are_refused_since_it_computes_them_wrongly(
    legacy: Path, exports: Reports, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, tone(2, sample_rate=8_000), 8_000)
    done = listen(legacy / "tmgc-listen", exports["tiny.dynamic.tflite"]["file"], song)
    assert done.returncode == 2
    assert "int8 or the float32 export" in done.stderr

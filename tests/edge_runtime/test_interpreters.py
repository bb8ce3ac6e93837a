"""Models of both formats compute the same probabilities, and a bad file is one clear line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime import ModelCard, SpectrogramSettings, TmgcError
from edge_runtime.interpreters import ENGINES, default_threads, litert, open_interpreter
from edge_runtime.model_file import read_card
from tests.conftest import tone
from tests.edge_runtime.conftest import SHARPNESS
from tests.edge_runtime.factories import listen_command

HOSTILE_MEGABYTES = 60
"""Memory that a hostile file may cost; the archives of the test would take up to 100 when unpacked."""

NEWEST_VERSION = 999
"""Of an operator or a format; no interpreter knows it."""

FORMATS = pytest.mark.parametrize("form", ["tflite", "onnx"])


@FORMATS
@pytest.mark.parametrize("threads", [1, 2])
def test_probabilities_are_those_of_the_network(
    form: str, threads: int, models: dict[str, Path], card: ModelCard
) -> None:
    interpreter = open_interpreter(models[form], threads=threads)
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    logits = image.mean(axis=(0, 1)) * SHARPNESS / 255
    expected = np.exp(logits) / np.exp(logits).sum()
    probabilities = interpreter.invoke(image)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert interpreter.threads == threads
    assert interpreter.card.genres == card.genres
    assert any(character.isdigit() for character in interpreter.runtime)


@FORMATS
def test_probabilities_are_not_overwritten_by_the_next_call(form: str, models: dict[str, Path]) -> None:
    interpreter = open_interpreter(models[form])
    dark, bright = np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)
    bright[..., 1] = 255
    first = interpreter.invoke(dark)
    kept = first.copy()
    interpreter.invoke(bright)
    np.testing.assert_array_equal(first, kept)


@FORMATS
def test_a_model_without_a_card_is_refused(form: str, graphs: dict[str, Path]) -> None:
    with pytest.raises(TmgcError, match="must carry its model card"):
        open_interpreter(graphs[form])


@FORMATS
@pytest.mark.parametrize("share", [0.99, 0.5, 0.1, 0.0])
def test_a_truncated_model_is_refused_in_one_line(
    form: str, share: float, models: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / models[form].name
    content = models[form].read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TmgcError) as caught:
        open_interpreter(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_a_damaged_card_is_refused_wherever_the_damage_is(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "damaged.tflite"
    content = models["tflite"].read_bytes()
    for position in range(len(content) - 200, len(content)):
        for damage in (0x01, 0x08, 0xFF):
            damaged = bytearray(content)
            damaged[position] ^= damage
            path.write_bytes(damaged)
            with suppress(TmgcError):  # damage to a date or an attribute may go unnoticed
                read_card(path)


def _archive(
    *entries: tuple[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"", level: int | None = None
) -> bytes:
    """A zip archive as the end of a model file."""
    written = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(written, "w", method, compresslevel=level) as archive:
        warnings.simplefilter("ignore")  # two entries of one name
        archive.comment = comment
        for name, content in entries:
            archive.writestr(name, content)
    return written.getvalue()


def _forged(archive: bytes, old: bytes, new: bytes) -> bytes:
    """The archive with some bytes replaced wherever they are."""
    assert old in archive
    return archive.replace(old, new)


def _hostile_archives(card: str) -> dict[str, bytes]:
    text, bomb = card.encode(), b" " * 100_000_000
    plain = _archive(("card.json", text))
    directory = plain.index(b"PK\x01\x02")
    size = len(text).to_bytes(4, "little")
    return {
        "deflated bomb": _archive(("card.json", bomb), method=zipfile.ZIP_DEFLATED, level=1),
        "bzip2 bomb": _archive(("card.json", bomb[:40_000_000]), method=zipfile.ZIP_BZIP2),
        "lzma bomb": _archive(("card.json", bomb[:4_000_000]), method=zipfile.ZIP_LZMA),
        "unknown method": _forged(plain, b"\0\0\0\0" + plain[10:14], b"\0\0\x63\0" + plain[10:14]),
        "encrypted": plain[:6] + b"\x01" + plain[7 : directory + 8] + b"\x01" + plain[directory + 9 :],
        "wrong checksum": _forged(plain, b"Caz", b"Pop"),
        "longer than the file": _forged(plain, size, b"\xff\xff\xff\x7f"),
        "zip64 sizes": _forged(plain, size, b"\xff\xff\xff\xff"),
        "beyond the end": plain[: directory + 42] + b"\xff\xff\xff\x7f" + plain[directory + 46 :],
        "two cards": _archive(("card.json", text), ("card.json", text)),
        "no card": _archive(("../card.json", text), ("/card.json", text)),
        "3,000 long names": _archive(*((f"{number:01000}", b"") for number in range(3_000)), ("card.json", text)),
        "a name of 20 MB": _archive(("card.json", _changed(card, name="a" * 20_000_000))),
        "a name of 0.9 MB": _archive(("card.json", _changed(card, name="a" * 900_000))),
        "long comment of no archive": b"PK\x05\x06" + b"\xff" * 65_000,
    }


def _changed(card: str, **changes: object) -> bytes:
    return json.dumps(json.loads(card) | changes).encode()


_READ_EACH = """
import resource, sys, time
from pathlib import Path
from edge_runtime import TmgcError
from edge_runtime.model_file import read_card
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
for path in sys.argv[1:]:
    try:
        read_card(Path(path))
        print("accepted", path)
    except TmgcError as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_hostile_archives_are_refused_in_one_line_each_and_in_little_memory(
    graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    graph, paths = graphs["tflite"].read_bytes(), []
    for name, archive in _hostile_archives(card.to_json()).items():
        paths.append(tmp_path / f"{name}.tflite")
        paths[-1].write_bytes(graph + archive)
    done = subprocess.run(
        [sys.executable, "-c", _READ_EACH, *map(str, paths)], capture_output=True, text=True, check=False
    )
    *lines, megabytes = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == len(paths)
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith(("a model file must carry its model card at its end", str(path))), line
        assert len(line) < 500
    assert int(megabytes) < HOSTILE_MEGABYTES


def test_a_card_with_a_comment_behind_it_is_read(graphs: dict[str, Path], card: ModelCard, tmp_path: Path) -> None:
    path = tmp_path / "commented.tflite"
    archive = _archive(("labels.txt", b"Halk"), ("card.json", card.to_json().encode()), comment=b"-" * 65_535)
    path.write_bytes(graphs["tflite"].read_bytes() + archive)
    assert read_card(path) == card


def test_the_card_of_an_onnx_file_is_bounded_as_well(models: dict[str, Path], card: ModelCard, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(models["onnx"])
    model.metadata_props[0].value = _changed(card.to_json(), network={"text": "a" * 1_000_000}).decode()
    del model.metadata_props[1]  # the card's digest
    (tmp_path / "large.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(TmgcError, match="at most 1,000,000 bytes"):
        open_interpreter(tmp_path / "large.onnx")


def _edited(graph: Path, card: ModelCard, path: Path, edit: Callable[[Any], None]) -> Path:
    """A ``.tflite`` file with a card after a change of its graph."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    from export.metadata import write_with_card

    model = schema.ModelT.InitFromPackedBuf(graph.read_bytes())
    edit(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    edited = path.with_suffix(".graph.tflite")
    edited.write_bytes(builder.Output())
    write_with_card(edited, card, path)
    return path


def test_a_model_without_the_data_of_a_tensor_is_one_line(
    graphs: dict[str, Path], card: ModelCard, song: Path, tmp_path: Path
) -> None:
    def empty(model: Any) -> None:
        model.buffers[1].data = None

    done = listen_command(song, "--model", _edited(graphs["tflite"], card, tmp_path / "empty.tflite", empty))
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "empty.tflite cannot be run by" in line
    assert line.endswith("it is damaged. Copy or export it again")


@pytest.mark.parametrize("names", ["inputs", "outputs"])
@pytest.mark.parametrize("tensors", [[], [0, 4]])
def test_a_model_of_no_or_two_inputs_or_outputs_is_refused(
    names: str, tensors: list[int], graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    path = _edited(
        graphs["tflite"], card, tmp_path / "m.tflite", lambda model: setattr(model.subgraphs[0], names, tensors)
    )
    with pytest.raises(TmgcError, match="must match its card"):
        open_interpreter(path)


@FORMATS
def test_a_model_of_several_windows_at_once_is_refused(form: str, card: ModelCard, tmp_path: Path) -> None:
    from export.metadata import write_with_card
    from tests.edge_runtime.conftest import write_graph

    write_graph(form, tmp_path / f"graph.{form}", card.spectrogram, batch=5)
    write_with_card(tmp_path / f"graph.{form}", card, tmp_path / f"five.{form}")
    with pytest.raises(TmgcError, match="must match its card"):
        open_interpreter(tmp_path / f"five.{form}")


@FORMATS
def test_a_file_of_another_kind_is_refused(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{form}"
    path.write_text("not a model")
    with pytest.raises(TmgcError, match=r"Make one with tmgc-export|cannot be read"):
        open_interpreter(path)


@FORMATS
@pytest.mark.parametrize("change", ["genres", "image", "colormap", "waveform"])
def test_a_card_that_does_not_fit_its_model_is_refused(
    form: str, change: str, graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    from export.metadata import write_with_card

    wrong = {
        "genres": replace(card, genres=("Halk", "Caz")),
        "image": replace(card, spectrogram=SpectrogramSettings(image_height=48, image_width=32)),
        "colormap": replace(card, colormap=tuple((level,) for level in range(256))),
        "waveform": replace(card, input_kind="waveform"),
    }[change]
    path = tmp_path / f"wrong.{form}"
    write_with_card(graphs[form], wrong, path)
    with pytest.raises(TmgcError, match="must match its card"):
        open_interpreter(path)


@pytest.mark.parametrize(
    ("name", "message"), [("model.h5", "ends in .tflite or .onnx"), ("none.onnx", "there is no file")]
)
def test_a_path_that_is_no_model_file_is_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match=message):
        open_interpreter(tmp_path / name)


def test_no_threads_are_refused(models: dict[str, Path]) -> None:
    with pytest.raises(TmgcError, match="at least 1"):
        open_interpreter(models["tflite"], threads=0)


def test_by_default_one_usable_core_is_left_to_the_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (4, 3), (16, 4)):
        monkeypatch.setattr("os.sched_getaffinity", lambda process, cores=cores: set(range(cores)))
        assert default_threads() == threads


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, tone(3, sample_rate=22_050), 22_050)
    return path


def error_of(*arguments: object) -> str:
    """The one line of a command that is refused."""
    done = listen_command(*arguments)
    assert done.exit_code == 2, done.stderr
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine where no library for models is installed."""
    for engine in ENGINES.values():
        monkeypatch.setitem(sys.modules, engine.module, None)


@pytest.mark.usefixtures("no_interpreter")
@pytest.mark.parametrize(
    ("form", "fix"), [("tflite", "pip install ai-edge-litert"), ("onnx", "pip install onnxruntime")]
)
def test_a_missing_interpreter_is_one_line_with_the_fix(
    form: str, fix: str, models: dict[str, Path], song: Path
) -> None:
    assert fix in error_of(song, "--model", models[form])


@pytest.mark.usefixtures("no_interpreter")
def test_a_32_bit_system_is_one_line_with_the_fix(
    models: dict[str, Path], song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litert, "sys", SimpleNamespace(maxsize=2**31 - 1))
    assert "install the 64-bit Raspberry Pi OS" in error_of(song, "--model", models["tflite"])


def test_a_tflite_model_that_is_too_new_for_the_interpreter_is_one_line_with_the_fix(
    graphs: dict[str, Path], card: ModelCard, song: Path, tmp_path: Path
) -> None:
    def renew(model: Any) -> None:
        for operator in model.operatorCodes:
            operator.version = NEWEST_VERSION

    line = error_of(song, "--model", _edited(graphs["tflite"], card, tmp_path / "newer.tflite", renew))
    assert f"version '{NEWEST_VERSION}'" in line
    assert "made for a newer interpreter" in line
    assert "pip install --upgrade ai-edge-litert" in line


def test_an_onnx_model_that_is_too_new_for_the_interpreter_is_one_line_with_the_fix(
    graphs: dict[str, Path], card: ModelCard, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    from export.metadata import write_with_card

    monkeypatch.setitem(sys.modules, "openvino", None)  # it takes any version
    model = onnx.load(graphs["onnx"])
    model.ir_version = NEWEST_VERSION
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    newer = tmp_path / "newer.onnx"
    write_with_card(tmp_path / "graph.onnx", card, newer)
    line = error_of(song, "--model", newer)
    assert "made for a newer runtime" in line
    assert "pip install --upgrade onnxruntime" in line


@pytest.mark.parametrize(("form", "engine"), [("tflite", "litert"), ("onnx", "onnxruntime"), ("onnx", "openvino")])
def test_a_model_opens_whose_path_is_no_text_in_the_locale(
    form: str, engine: str, models: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "ışık" / f"şarkı.{form}"
    path.parent.mkdir()
    path.write_bytes(models[form].read_bytes())
    program = (
        "import sys; from edge_runtime.interpreters import open_interpreter as o; o(sys.argv[1], engine=sys.argv[2])"
    )
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", program, str(path), engine]
    done = subprocess.run(command, capture_output=True, text=True, env=ascii_only, check=False)
    assert done.returncode == 0, done.stderr


@FORMATS
def test_an_engine_that_does_not_run_a_file_is_refused_with_those_that_do(form: str, models: dict[str, Path]) -> None:
    known = "litert" if form == "tflite" else "onnxruntime"
    assert open_interpreter(models[form], engine=known).runtime
    for engine in ("nothing", "onnxruntime" if form == "tflite" else "litert"):
        with pytest.raises(TmgcError, match=rf"installed \(.*{known}.*\), got {engine}"):
            open_interpreter(models[form], engine=engine)

"""A file that would crash, stall or fill the process that loads it does so in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import GenreClassifier, ModelCard, engine_trial
from edge_runtime.engine_trial import Candidate, try_engine
from edge_runtime.errors import TmgcError, UntrustedModelError
from export.metadata import write_with_card
from tests.conftest import until
from tests.edge_runtime.archive.chaos import children
from tests.edge_runtime.conftest import LISTEN
from tests.edge_runtime.factories import listen_command

_BUFFERS = 18
"""Place of the offset to the buffers in the table at the beginning of the graph of the tests."""


@pytest.fixture
def crashing(graphs: dict[str, Path], card: ModelCard, tmp_path: Path) -> Path:
    """A graph whose table has no buffers, with a card that is right about it: LiteRT reads address 0."""
    graph = tmp_path / "graph.tflite"
    content = bytearray(graphs["tflite"].read_bytes())
    content[_BUFFERS : _BUFFERS + 2] = b"\0\0"
    graph.write_bytes(content)
    write_with_card(graph, card, tmp_path / "crashing.tflite")
    return tmp_path / "crashing.tflite"


@pytest.fixture
def looping(card: ModelCard, tmp_path: Path) -> Path:
    """An ONNX graph that repeats a step 2**62 times."""
    from onnx import TensorProto, helper

    repeated = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still_going"]),
            helper.make_node("Add", ["sum", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 3]),
        ],
        [
            helper.make_tensor_value_info("still_going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 3]),
        ],
    )
    start = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Loop", ["times", "yes", "means"], ["probabilities"], body=repeated),
    ]
    values = [
        helper.make_tensor("times", TensorProto.INT64, [], [2**62]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        helper.make_tensor("one", TensorProto.FLOAT, [1, 3], [1, 1, 1]),
    ]
    return _onnx_with_card(start, values, card, tmp_path / "looping.onnx")


@pytest.fixture
def greedy(card: ModelCard, tmp_path: Path) -> Path:
    """An ONNX graph that asks for 6 GB, which many a computer has and the child is denied."""
    from onnx import TensorProto, helper

    start = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("Expand", ["means", "shape"], ["many"]),
        helper.make_node("ReduceMean", ["many"], ["probabilities"], axes=[0], keepdims=0),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [500_000_000, 1, 3])
    return _onnx_with_card(start, [shape], card, tmp_path / "greedy.onnx")


def _onnx_with_card(nodes: list[Any], values: list[Any], card: ModelCard, path: Path) -> Path:
    from onnx import TensorProto, helper, save

    settings = card.spectrogram
    image = [1, settings.image_height, settings.image_width, 3]
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, image)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 3])],
        values,
    )
    bare = path.with_suffix(".bare.onnx")
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(bare))
    write_with_card(bare, card, path)
    return path


def test_a_model_is_timed_and_its_library_named(models: dict[str, Path]) -> None:
    for form, library in (("tflite", "ai-edge-litert "), ("onnx", "onnxruntime ")):
        trial = try_engine(Candidate(models[form], None), threads=1, seconds=0.1)
        assert trial.runtime.startswith(library)
        assert trial.window_ms > 0
        assert trial.memory_mb > 10
        assert not trial.failure


def test_a_file_that_crashes_its_interpreter_is_a_line(crashing: Path) -> None:
    done = listen_command("song.wav", "--model", crashing)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "crashing.tflite by litert crashes (SIGSEGV)" in line
    assert "copy or export it again" in line


def test_the_doctor_and_the_tagger_survive_it_too(crashing: Path, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    for code in (
        "from edge_runtime.cli.listen import main; main(['doctor', '--model', {!r}])",
        "from edge_runtime.cli.tag import main; main([" + repr(str(tmp_path / "music")) + ", 'out', '--model', {!r}])",
        "from export.cli import main; main(['inspect', {!r}])",
    ):
        done = subprocess.run(
            [sys.executable, "-c", code.format(str(crashing))],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode in (1, 2), done.stderr
        assert "crashes (SIGSEGV)" in done.stdout + done.stderr, code
        assert "Traceback" not in done.stderr


def test_a_file_that_does_not_end_is_ended(looping: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_trial, "HANG_SECONDS", 4.0)
    with pytest.raises(UntrustedModelError, match=r"looping.onnx by onnxruntime gives no answer within 4 s"):
        try_engine(Candidate(looping, "onnxruntime"), threads=1)


def test_a_file_that_asks_for_more_memory_than_there_is_is_refused(greedy: Path) -> None:
    with pytest.raises(TmgcError, match=r"greedy.onnx cannot be run .* Expand node.*arena") as refused:
        GenreClassifier.open(greedy, engine="onnxruntime")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_trial_that_is_interrupted_says_nothing_about_the_model(
    number: signal.Signals, looping: Path, tmp_path: Path
) -> None:
    command = [*LISTEN, "song.wav", "--model", str(looping), "--engine", "onnxruntime"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as listening:
        until(lambda: children(listening.pid, "edge_runtime.engine_trial"))
        os.killpg(listening.pid, number)
        _, said = listening.communicate(timeout=20)
    assert listening.returncode == 130, said
    assert said == "interrupted\n"
    assert not (tmp_path / "cache").exists()


def test_a_child_that_cannot_work_says_nothing_about_the_model(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(TmgcError, match="a model is tried in a process of its own first: that of") as refused:
        try_engine(Candidate(models["tflite"], "litert"), threads=1)
    assert not isinstance(refused.value, UntrustedModelError)


def test_no_module_of_the_current_folder_is_run(models: dict[str, Path], tmp_path: Path) -> None:
    """A folder of music may hold anything."""
    (tmp_path / "numpy.py").write_text("raise SystemExit('hijacked')")
    code = (
        "import sys; sys.path.remove(''); from pathlib import Path; from edge_runtime.engine_trial import *;"
        "sys.path.insert(0, '');"
        f"print(try_engine(Candidate(Path({str(models['tflite'])!r}), 'litert'), threads=1).runtime)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("ai-edge-litert "), done.stderr


def test_what_a_library_prints_is_no_answer() -> None:
    assert engine_trial._answer(b'XNNPACK says hello\n{"trial": {}}\n') == {"trial": {}}
    for output in (b"", b"\n", b"[]\n", b"hello\n", b"\xff\xfe\n"):
        assert engine_trial._answer(output) == {}


def test_golden_windows_that_fail_in_the_child_are_named_by_the_parent(
    models: dict[str, Path], graphs: dict[str, Path], tmp_path: Path
) -> None:
    card = GenreClassifier.open(models["tflite"]).card
    export = json.loads(json.dumps(card.export))
    for window, values in export["golden"]["probabilities"].items():
        export["golden"]["probabilities"][window] = [float(each) for each in np.roll(values, 1)]
    wrong = tmp_path / "wrong.tflite"
    write_with_card(graphs["tflite"], card.replace(export=export), wrong)
    trial = try_engine(Candidate(wrong, "litert"), threads=1)
    assert "wrong.tflite does not (golden window 'loud': ai-edge-litert" in trial.failure
    with pytest.raises(UntrustedModelError, match=r"wrong.tflite does not \(golden window 'loud': ai-edge-litert"):
        GenreClassifier.open(wrong)

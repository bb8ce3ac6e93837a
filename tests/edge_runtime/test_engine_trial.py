"""A file that would crash, stall or fill the process that loads it does so in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edge_runtime import GenreClassifier, ModelCard, engine_trial
from edge_runtime.engine_trial import Candidate, try_engine
from edge_runtime.errors import TmgcError, TooLittleMemoryError, UntrustedModelError
from edge_runtime.service import MISCONFIGURED
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


@pytest.fixture
def both(looping: Path, graphs: dict[str, Path], card: ModelCard) -> Path:
    """The graph that does not end, with another way to run the same export beside it."""
    export = {**card.export, "keras_sha256": "0" * 64}
    write_with_card(looping.with_suffix(".bare.onnx"), card.replace(export=export), looping)
    write_with_card(graphs["tflite"], card.replace(export=export), looping.with_suffix(".tflite"))
    return looping


@contextmanager
def listening_while_it_tries(
    model: Path, *arguments: str, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """``tmgc-listen`` in a group of its own, and the process of its first trial, which computes."""
    command = [*LISTEN, *arguments, "--model", str(model)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, **environment}
    ) as listening:
        try:
            until(lambda: children(listening.pid, "edge_runtime.engine_trial"))
            (trial,) = children(listening.pid, "edge_runtime.engine_trial")
            until(lambda: "onnxruntime" in {Path(each.path).name.split("_")[0] for each in trial.memory_maps()})
            yield listening, trial
        finally:
            listening.kill()


@pytest.mark.parametrize(
    ("number", "files", "code"),
    [
        (signal.SIGINT, ("song.wav",), 130),
        (signal.SIGTERM, ("song.wav",), 143),
        (signal.SIGTERM, (), 0),
        (signal.SIGTERM, ("-",), 0),
    ],
)
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_signal_ends_a_trial_and_its_process_and_nothing_else_is_tried(
    send: Any, number: signal.Signals, files: tuple[str, ...], code: int, both: Path, tmp_path: Path
) -> None:
    with listening_while_it_tries(both, *files, XDG_CACHE_HOME=str(tmp_path / "cache")) as (listening, trial):
        send(listening.pid, number)
        _, said = listening.communicate(timeout=20)
        assert not trial.is_running()
    assert listening.returncode == code, said
    assert said == ("interrupted\n" if number == signal.SIGINT else "")
    assert not (tmp_path / "cache" / "tmgc").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a trial ends at its limit of time")
def test_a_trial_ends_with_its_parent_however_that_ends(looping: Path) -> None:
    with listening_while_it_tries(looping, "song.wav") as (listening, trial):
        listening.kill()
        until(lambda: not trial.is_running() or trial.status() == psutil.STATUS_ZOMBIE)


def test_a_trial_that_is_killed_is_told_as_lack_of_memory_for_which_no_service_is_restarted(looping: Path) -> None:
    with listening_while_it_tries(looping, "--engine", "onnxruntime", NOTIFY_SOCKET="/nowhere") as (listening, trial):
        trial.kill()
        _, said = listening.communicate(timeout=20)
    assert listening.returncode == MISCONFIGURED, said
    (line,) = said.splitlines()
    assert line.startswith("error: there is too little memory: looping.onnx by onnxruntime was killed, as Linux does")


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that limits the memory of each process that is started from now on, in kB."""
    program = tmp_path / "python"

    def limit(kilobytes: int) -> None:
        program.write_text(f"""#!/bin/sh\nulimit -v {kilobytes}\nexec {sys.executable} "$@"\n""")
        program.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(program))

    return limit


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space with ulimit -v")
@pytest.mark.parametrize("megabytes", [60, 80, 100, 115, 130, 145])
def test_too_little_memory_is_told_by_its_name_whatever_meets_it_first(
    megabytes: int, models: dict[str, Path], limited: Any
) -> None:
    limited(megabytes * 1000)
    with pytest.raises(TooLittleMemoryError, match=r"there is too little memory: .*Raise the limit \(ulimit -v"):
        try_engine(Candidate(models["onnx"], "onnxruntime"), threads=1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space with ulimit -v")
def test_under_a_limit_of_memory_only_the_errors_of_libraries_may_be_its_fault(
    models: dict[str, Path], graphs: dict[str, Path], wrong: Path, greedy: Path, limited: Any, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.tflite"
    content = bytearray(models["tflite"].read_bytes())
    content[300] ^= 1
    changed.write_bytes(content)
    limited(2_000_000)
    assert "golden window 'loud'" in try_engine(Candidate(wrong, "litert"), threads=1).failure
    assert "the SHA-256 of the graph" in try_engine(Candidate(changed, "litert"), threads=1).failure
    with pytest.raises(TooLittleMemoryError, match=r"greedy.onnx cannot be run .* Or there is too little memory"):
        try_engine(Candidate(greedy, "onnxruntime"), threads=1)


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


@pytest.fixture
def hostile(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that tries a model with a library that does what it is told: lines of Python."""
    package = tmp_path / "library" / "tflite_runtime"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)

    def try_with(code: str) -> str:
        (package / "interpreter.py").write_text(f"import os, resource, signal, time\n{code}\n")
        with pytest.raises(TmgcError) as refused:
            raise TmgcError(try_engine(Candidate(models["tflite"], "tflite-runtime"), threads=1).failure)
        return str(refused.value)

    return try_with


_CRASH = "os.kill(os.getpid(), signal.SIGSEGV)"


def test_what_a_library_prints_is_no_answer(hostile: Any) -> None:
    forged = """b'{"trial": {"runtime": "forged"}}'"""
    assert "crashes (SIGSEGV)" in hostile(f"os.write(1, {forged}); {_CRASH}")
    assert "crashes (exit code 0)" in hostile(f"os.write(1, {forged}); os._exit(0)")


def test_what_a_library_prints_is_bounded_and_one_printable_line(hostile: Any) -> None:
    assert "writes without end" in hostile("while True: os.write(2, b'x' * 65_536)")
    said = hostile(r"os.write(2, b'\x1b[31m\xff\nfirst\n\x1b]0;last\x07\n'); os._exit(7)")
    assert said.endswith(r"fails with '\x1b]0;last\x07'")


def test_a_library_that_closes_its_output_and_goes_on_is_ended(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_trial, "_LONGEST_SECONDS", 4.0)
    assert "does not end" in hostile("os.closerange(0, 100)\nwhile True: time.sleep(1)")


def test_a_process_that_a_library_leaves_behind_is_not_waited_for(hostile: Any, tmp_path: Path) -> None:
    left = tmp_path / "left"
    assert "crashes (SIGSEGV)" in hostile(
        f"if child := os.fork():\n    open({str(left)!r}, 'w').write(str(child))\n    {_CRASH}\ntime.sleep(60)"
    )
    process = psutil.Process(int(left.read_text()))
    assert process.is_running()
    process.kill()


def test_a_crash_leaves_no_image_of_its_memory(hostile: Any) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        said = hostile("raise RuntimeError(f'limit {resource.getrlimit(resource.RLIMIT_CORE)[0]}')")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert "limit 0" in said


@pytest.fixture
def wrong(models: dict[str, Path], graphs: dict[str, Path], tmp_path: Path) -> Path:
    """A file whose card expects other answers than it gives."""
    card = GenreClassifier.open(models["tflite"]).card
    export = json.loads(json.dumps(card.export))
    for window, values in export["golden"]["probabilities"].items():
        export["golden"]["probabilities"][window] = [float(each) for each in np.roll(values, 1)]
    wrong = tmp_path / "wrong.tflite"
    write_with_card(graphs["tflite"], card.replace(export=export), wrong)
    return wrong


def test_golden_windows_that_fail_in_the_child_are_named_by_the_parent(wrong: Path) -> None:
    trial = try_engine(Candidate(wrong, "litert"), threads=1)
    assert "wrong.tflite does not (golden window 'loud': ai-edge-litert" in trial.failure
    with pytest.raises(UntrustedModelError, match=r"wrong.tflite does not \(golden window 'loud': ai-edge-litert"):
        GenreClassifier.open(wrong)

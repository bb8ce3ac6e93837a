"""Both sides of the process that measures a case: the requests that it answers, and how it is started and ended."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from benchmarks.cases import Case, find_cases
from benchmarks.documents import to_document
from benchmarks.inputs import excerpts_of_run
from benchmarks.worker import CaseFailedError, WorkerProcess, environment, serve
from edge_runtime.errors import pip_install_extra
from edge_runtime.system_info import peak_memory_mb
from train.run import Run


def case_of(run: Run, name: str) -> Case:
    return next(case for case in find_cases(run)[0] if case.name == name)


def replies(*commands: dict[str, Any]) -> list[dict[str, Any]]:
    written = io.StringIO()
    serve(io.StringIO("".join(json.dumps(command) + "\n" for command in commands)), written)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def load(run: Run, name: str) -> dict[str, Any]:
    excerpts = to_document(excerpts_of_run(run))
    return {"do": "load", "case": to_document(case_of(run, name)), "threads": 1, "excerpts": excerpts}


def measure(source: str, first: int, count: int) -> dict[str, Any]:
    return {
        "do": "measure",
        "source": source,
        "first": first,
        "count": count,
        "load": {"scenario": "single", "hop_s": 1.0},
    }


def test_a_case_loads_and_then_measures_windows_round_and_round(tiny_run: Run) -> None:
    loaded, measured = replies(load(tiny_run, "tflite-float32"), measure("file", 3, 4))
    assert loaded["load_ms"] > 0
    assert [window["excerpt"] for window in measured["windows"]] == [3, 4, 0, 1]
    assert all(
        set(window["stages_ms"]) == {"read", "spectrogram", "model", "decision"} for window in measured["windows"]
    )


def test_from_memory_the_predictions_are_the_same_and_nothing_is_read(tiny_run: Run) -> None:
    _, files, memory = replies(load(tiny_run, "tflite-float32"), measure("file", 0, 5), measure("memory", 0, 5))
    assert [window["class_index"] for window in files["windows"]] == [
        window["class_index"] for window in memory["windows"]
    ]
    assert all(window["stages_ms"]["read"] < 0.5 for window in memory["windows"])


def test_a_file_is_read_again_for_every_window(tiny_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.pipelines import ExportPipeline

    read, excerpts = ExportPipeline.read, []

    def counting(self: ExportPipeline, excerpt: Any) -> Any:
        excerpts.append(excerpt)
        return read(self, excerpt)

    monkeypatch.setattr(ExportPipeline, "read", counting)
    replies(load(tiny_run, "tflite-float32"), measure("file", 0, 7), measure("memory", 0, 7))
    assert len(excerpts) == 7 + 5


def test_a_model_that_cannot_be_loaded_is_an_error_in_one_line(tiny_run: Run) -> None:
    (reply,) = replies(load(tiny_run, "tflite-int8"))
    assert "tiny.int8.tflite" in reply["error"]
    assert "\n" not in reply["error"]


def test_a_missing_library_names_the_extra_that_brings_it(tiny_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    (reply,) = replies(load(tiny_run, "reference"))
    assert pip_install_extra("bench") in reply["error"]


def test_an_unexpected_error_is_reported_and_the_process_goes_on(tiny_run: Run) -> None:
    broken, memory = replies(measure("file", 0, 1), {"do": "memory"})
    assert broken["error"].startswith("ZeroDivisionError: ")
    assert memory["peak_memory_mb"] > 1


def test_the_peak_is_at_least_what_is_resident() -> None:
    resident = psutil.Process().memory_info().rss / 1e6
    assert peak_memory_mb() >= resident > 1


def test_the_peak_of_a_process_does_not_include_the_one_that_started_it() -> None:
    code = "from edge_runtime.system_info import peak_memory_mb; print(peak_memory_mb())"
    ballast = np.ones(25_000_000)
    done = subprocess.run([sys.executable, "-c", code], env=environment(1), capture_output=True, text=True, check=True)
    assert float(done.stdout) < 150 < ballast.nbytes / 1e6


def test_a_worker_imports_nothing_heavy_before_its_case_needs_it() -> None:
    heavy = {
        "tensorflow",
        "keras",
        "librosa",
        "matplotlib",
        "scipy",
        "sklearn",
        "onnx",
        "PIL",
        "jinja2",
        "rich",
        "psutil",
    }
    code = f"import sys, benchmarks.worker; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], env=environment(1), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_case_runs_in_a_process_of_its_own_that_ends_with_it(tiny_run: Run) -> None:
    with WorkerProcess(case_of(tiny_run, "tflite-float32"), threads=1) as process:
        loaded = process.load(excerpts_of_run(tiny_run))
        assert loaded.start_ms > loaded.load_ms > 0
        assert loaded.runtime.startswith("ai-edge-litert")
        assert process.peak_memory_mb() >= loaded.memory_mb > 1
        assert len(process.measure("file", first=0, count=3)) == 3
        many = process.measure("memory", first=2, count=150)
        assert [window.excerpt for window in many] == [number % 5 for number in range(2, 152)]
        child = process._process
        assert child.pid != os.getpid()
    assert child.poll() is not None


def test_a_folder_called_benchmarks_in_the_working_directory_is_not_taken_for_the_package(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    with WorkerProcess(case_of(tiny_run, "tflite-float32"), threads=1) as process:
        process.load(excerpts_of_run(tiny_run))


def test_a_model_that_cannot_be_loaded_fails_its_case(tiny_run: Run) -> None:
    with (
        WorkerProcess(case_of(tiny_run, "tflite-int8"), threads=1) as process,
        pytest.raises(CaseFailedError, match=r"tiny\.int8\.tflite"),
    ):
        process.load(excerpts_of_run(tiny_run))


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "out of memory"), (signal.SIGSEGV, r"its process ended \(SIGSEGV\)")]
)
def test_a_process_that_dies_fails_its_case_with_the_reason(tiny_run: Run, number: int, reason: str) -> None:
    with WorkerProcess(case_of(tiny_run, "tflite-float32"), threads=1) as process:
        process.load(excerpts_of_run(tiny_run))
        process._process.send_signal(number)
        with pytest.raises(CaseFailedError, match=reason):
            process.measure("file", first=0, count=1)


def test_a_process_that_dies_within_a_reply_fails_its_case(tiny_run: Run) -> None:
    code = "import sys; sys.stdin.readline(); sys.stdout.write('{\"windo'); sys.exit('no space')"
    with WorkerProcess(case_of(tiny_run, "tflite-float32"), threads=1) as process:
        process._process.kill()
        process._process.communicate()
        process._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=process._stderr,
            encoding="utf-8",
        )
        with pytest.raises(CaseFailedError, match=r"its process ended \(exit code 1\): no space"):
            process.measure("file", first=0, count=1)


def test_a_process_that_hangs_is_ended(tiny_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.worker.TIMEOUT_SECONDS", 0.2)
    with WorkerProcess(case_of(tiny_run, "tflite-float32"), threads=1) as process:
        process._process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(CaseFailedError, match="no answer"):
            process.load(excerpts_of_run(tiny_run))
        assert time.monotonic() - begun < 60


def test_every_thread_pool_has_the_same_number_of_threads() -> None:
    variables = environment(3)
    assert {value for name, value in variables.items() if name.endswith("_THREADS")} == {"3"}
    assert variables["TF_NUM_INTRAOP_THREADS"] == variables["OMP_NUM_THREADS"] == "3"

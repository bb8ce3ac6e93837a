import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks.cases import RowSpec, rows_of
from benchmarks.inputs import excerpts_of_run
from benchmarks.worker import RowFailedError, RowProcess, environment
from train.run import Run


def row_of(run: Run, name: str) -> RowSpec:
    return next(row for row in rows_of(run)[0] if row.name == name)


def test_a_row_runs_in_a_process_of_its_own_that_ends_with_it(tiny_run: Run) -> None:
    with RowProcess(row_of(tiny_run, "tflite-float32"), threads=1) as process:
        process.load(excerpts_of_run(tiny_run))
        assert process.loaded["start_ms"] > process.loaded["load_ms"]
        assert len(process.measure("file", first=0, count=3)) == 3
        many = process.measure("memory", first=2, count=150)
        assert [window["excerpt"] for window in many] == [number % 5 for number in range(2, 152)]
        child = process._process
        assert child.pid != os.getpid()
    assert child.poll() is not None


def test_a_folder_called_benchmarks_where_the_user_stands_is_not_taken_for_the_package(
    tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    with RowProcess(row_of(tiny_run, "tflite-float32"), threads=1) as process:
        process.load(excerpts_of_run(tiny_run))


def test_a_model_that_cannot_be_loaded_fails_its_row(tiny_run: Run) -> None:
    with (
        RowProcess(row_of(tiny_run, "tflite-int8"), threads=1) as process,
        pytest.raises(RowFailedError, match=r"tiny\.int8\.tflite"),
    ):
        process.load(excerpts_of_run(tiny_run))


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "out of memory"), (signal.SIGSEGV, r"its process ended \(SIGSEGV\)")]
)
def test_a_process_that_dies_fails_its_row_with_the_reason(tiny_run: Run, number: int, reason: str) -> None:
    with RowProcess(row_of(tiny_run, "tflite-float32"), threads=1) as process:
        process.load(excerpts_of_run(tiny_run))
        process._process.send_signal(number)
        with pytest.raises(RowFailedError, match=reason):
            process.measure("file", first=0, count=1)


def test_a_process_that_hangs_is_ended(tiny_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.worker.PATIENCE_SECONDS", 0.2)
    with RowProcess(row_of(tiny_run, "tflite-float32"), threads=1) as process:
        process._process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(RowFailedError, match="no answer"):
            process.load(excerpts_of_run(tiny_run))
        assert time.monotonic() - begun < 60


def test_every_thread_pool_is_told_the_same_number() -> None:
    variables = environment(3)
    assert {value for name, value in variables.items() if name.endswith("_THREADS")} == {"3"}
    assert variables["TF_NUM_INTRAOP_THREADS"] == variables["OMP_NUM_THREADS"] == "3"

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks.report import REPORT_SCHEMA, Report
from edge_runtime.system_info import usable_cores
from train.run import Run

Bench = Callable[..., Any]


def one_line(result: Any) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return str(result.stderr)


def test_a_missing_run_is_refused_in_one_line(bench: Bench, tmp_path: Path) -> None:
    assert "a run folder must exist" in one_line(bench(tmp_path / "nowhere"))


def test_without_a_run_the_newest_under_runs_is_wanted(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "model.keras" in one_line(bench())


def test_a_missing_audio_file_is_refused_in_one_line(bench: Bench, tiny_run: Run, tmp_path: Path) -> None:
    assert "an audio file must exist" in one_line(bench(tiny_run.folder, "--audio", tmp_path / "no.wav"))


def test_an_unknown_case_is_refused_with_the_nearest_name(bench: Bench, tiny_run: Run) -> None:
    assert "Did you mean tflite-dynamic?" in one_line(bench(tiny_run.folder, "--only", "tflite-dinamic"))


def test_a_run_without_exports_is_refused_with_the_command_that_makes_them(bench: Bench, light_run: Run) -> None:
    for path in light_run.exports.iterdir():
        path.unlink()
    assert "tmgc-export" in one_line(bench(light_run.folder))


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(
    bench: Bench, tiny_run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert "--output" in one_line(bench(tiny_run.folder, "--quick", "--output", tmp_path / "file"))


def test_a_damaged_parity_report_is_refused_before_anything_is_measured(bench: Bench, light_run: Run) -> None:
    light_run.parity_json.write_text("{")
    assert "parity reports" in one_line(bench(light_run.folder, "--quick"))


@pytest.mark.parametrize(("threads", "reason"), [("1,x", "whole numbers"), ("0", "1 to "), ("1,999", "got 999")])
def test_threads_that_cannot_be_are_refused_in_one_line(bench: Bench, tiny_run: Run, threads: str, reason: str) -> None:
    assert reason in one_line(bench(tiny_run.folder, "--threads", threads))


def measured(bench: Bench, run: Run, folder: Path, *options: object) -> Report:
    result = bench(run.folder, "--quick", "--json", "--output", folder, *options)
    assert result.exit_code == 0, result.output
    jsonschema.validate(json.loads(result.stdout), json.loads(REPORT_SCHEMA.read_text("utf-8")))
    assert result.stdout == (folder / "bench.json").read_text("utf-8")
    return Report.from_json(result.stdout)


def test_paced_windows_are_counted_where_their_predictions_come_late(
    bench: Bench, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.benchmark.HOP_SECONDS", 0.1)
    options = ("--only", "tflite-float32", "--threads", 1, "--runs", 5, "--load", "paced")
    (case,) = measured(bench, tiny_run, tmp_path, *options).cases
    assert case.paced is not None
    assert (case.paced.hop_s, case.paced.windows) == (0.1, 5)
    line = f"{case.paced.late_predictions} of 5 predictions after the next window was due"
    assert line in (tmp_path / "bench.md").read_text("utf-8")


def test_every_number_of_threads_has_its_cases_and_its_ratios_also_offline(
    bench: Bench, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if usable_cores() < 2:
        pytest.skip("two threads need two cores")
    monkeypatch.setattr("benchmarks.benchmark.KERAS_PREDICT", "onnx-float32")  # any baseline, which loads in no time
    only = ("--only", "onnx-float32,tflite-float32", "--threads", "1,2", "--runs", 2, "--load", "offline")
    report = measured(bench, tiny_run, tmp_path, *only)
    named = [(case.name, case.threads) for case in report.cases]
    assert named == [("tflite-float32", 1), ("onnx-float32", 1), ("tflite-float32", 2), ("onnx-float32", 2)]
    assert [len(case.cores or ()) for case in report.cases] == [1, 1, 2, 2]
    assert {(each.case, each.threads) for each in report.speedups} == {("tflite-float32", 1), ("tflite-float32", 2)}
    assert (tmp_path / "bench.md").read_text("utf-8").count("windows a second from files") == 4


def test_the_first_argument_chooses_between_measuring_comparing_and_checking(bench: Bench) -> None:
    assert "BEFORE AFTER" in bench("compare", "--help").stdout
    assert "start-up" in bench("check", "--help").stdout
    described = bench("--help").stdout
    assert "[RUN]" in described
    assert "compare" in described
    assert "check" in described


def test_when_every_case_fails_the_exit_code_is_1_and_the_table_says_why(
    bench: Bench, tiny_run: Run, tmp_path: Path
) -> None:
    result = bench(tiny_run.folder, "--quick", "--only", "tflite-int8", "--output", tmp_path)
    assert result.exit_code == 1
    assert "tflite-int8 failed, " in result.stdout
    assert "Traceback" not in result.output


def test_a_table_goes_to_standard_output_and_progress_to_standard_error(
    bench: Bench, tiny_run: Run, tmp_path: Path
) -> None:
    options = ("--only", "tflite-float32,tflite-int8", "--threads", 1, "--runs", 2, "--output", tmp_path)
    result = bench(tiny_run.folder, "--quick", *options)
    assert result.exit_code == 0, "a case that fails does not fail the command"
    assert "tflite-int8 failed, 1 thread: " in result.stdout
    assert "keeps up at hop 1.0 s:" in result.stdout
    assert "round 1 of 2" in result.stderr
    assert "round 1 of" not in result.stdout


@pytest.mark.parametrize("module", ["cli", "checks.cli", "benchmark", "render", "compare"])
def test_no_heavy_library_is_loaded_before_a_case_needs_it(module: str) -> None:
    heavy = "{'tensorflow', 'keras', 'librosa', 'matplotlib', 'scipy', 'sklearn', 'onnx', 'PIL', 'jinja2'}"
    code = f"import sys, benchmarks.{module}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks.report import REPORT_SCHEMA
from benchmarks.system_info import usable_cores
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


def test_an_unknown_row_is_refused_with_the_nearest_name(bench: Bench, tiny_run: Run) -> None:
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


def measured(bench: Bench, run: Run, folder: Path, *options: object) -> dict[str, Any]:
    result = bench(run.folder, "--quick", "--json", "--output", folder, *options)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(report, json.loads(REPORT_SCHEMA.read_text("utf-8")))
    return report


def test_paced_windows_are_counted_where_their_answers_come_late(
    bench: Bench, tiny_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.benchmark.HOP_SECONDS", 0.1)
    options = ("--only", "tflite-float32", "--threads", 1, "--runs", 5, "--load", "paced")
    (row,) = measured(bench, tiny_run, tmp_path, *options)["rows"]
    assert (row["paced"]["hop_s"], row["paced"]["windows"]) == (0.1, 5)
    said = f"{row['paced']['late_answers']} of 5 answers after the next window was due"
    assert said in (tmp_path / "bench.md").read_text("utf-8")


def test_every_number_of_threads_has_its_rows_and_its_ratios_also_offline(
    bench: Bench, tiny_run: Run, tmp_path: Path
) -> None:
    if usable_cores() < 2:
        pytest.skip("two threads need two cores")
    rows = ("--only", "keras-predict,tflite-float32", "--threads", "1,2", "--runs", 2, "--load", "offline")
    report = measured(bench, tiny_run, tmp_path, *rows)
    named = [(row["name"], row["threads"]) for row in report["rows"]]
    assert named == [("keras-predict", 1), ("tflite-float32", 1), ("keras-predict", 2), ("tflite-float32", 2)]
    assert [len(row["cores"]) for row in report["rows"]] == [1, 1, 2, 2]
    assert {(ratio["to"], ratio["threads"]) for ratio in report["ratios"]} == {
        ("tflite-float32", 1),
        ("tflite-float32", 2),
    }
    assert (tmp_path / "bench.md").read_text("utf-8").count("windows a second from files") == 4


def test_the_first_argument_chooses_between_measuring_and_comparing(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        code = "from benchmarks.cli import main; main()"
        command = [sys.executable, "-c", code, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    assert "BEFORE AFTER" in said("compare", "--help")
    assert "[RUN]" in said("--help")


def test_json_is_printed_instead_of_the_table_and_is_what_the_file_holds(
    bench: Bench, tiny_run: Run, tmp_path: Path
) -> None:
    result = bench(tiny_run.folder, "--quick", "--only", "tflite-float32", "--runs", 2, "--json", "--output", tmp_path)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((tmp_path / "bench.json").read_text("utf-8"))


def test_when_every_row_fails_the_exit_code_is_1_and_the_table_says_why(
    bench: Bench, tiny_run: Run, tmp_path: Path
) -> None:
    result = bench(tiny_run.folder, "--quick", "--only", "tflite-int8", "--output", tmp_path)
    assert result.exit_code == 1
    assert "tflite-int8 failed, " in result.stdout
    assert "Traceback" not in result.output


def test_a_failing_row_does_not_fail_the_command(benched: Any) -> None:
    assert benched.exit_code == 0
    assert "tflite-int8 failed, 1 thread: " in benched.stdout
    assert "round 1 of" in benched.stderr
    assert "round 1 of" not in benched.stdout


@pytest.mark.parametrize("module", ["cli.bench", "cli.compare", "benchmark", "html", "compare"])
def test_no_heavy_library_is_loaded_before_a_row_needs_it(module: str) -> None:
    heavy = "{'tensorflow', 'keras', 'librosa', 'matplotlib', 'scipy', 'sklearn', 'onnx', 'PIL'}"
    code = f"import sys, benchmarks.{module}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

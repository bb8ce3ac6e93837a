import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


def test_an_output_that_cannot_be_written_is_refused_in_one_line(bench: Bench, tiny_run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = bench(tiny_run.folder, "--quick", "--only", "tflite-float32", "--runs", 1, "--output", tmp_path / "file")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "--output" in result.stderr.splitlines()[-1]


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


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys, benchmarks.cli.bench, benchmarks.cli.compare; "
        "sys.exit(', '.join({'tensorflow', 'keras', 'librosa', 'matplotlib', 'scipy', 'rich'} & set(sys.modules)) or 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

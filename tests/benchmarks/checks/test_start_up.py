from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner

from benchmarks.checks.start_up import main, seconds_of, write_window
from edge_runtime.errors import TmgcError
from train.run import Run


def test_the_window_is_a_file_of_two_seconds(tiny_run: Run, tmp_path: Path) -> None:
    path = write_window(tiny_run, tmp_path / "two-seconds.wav")
    assert soundfile.info(path).duration == pytest.approx(2.0)


def test_both_ways_are_started_and_the_ratio_is_printed(tiny_run: Run) -> None:
    result = CliRunner().invoke(main, [str(tiny_run.folder), "--row", "tflite-float32", "--pairs", "1"])
    assert result.exit_code == 0, result.output
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines()[:3])
    assert list(lines) == ["original", "tmgc-listen (tflite-float32)", "ratio"]
    assert float(lines["ratio"].split()[0]) > 1.0


def test_a_process_that_fails_is_not_timed() -> None:
    with pytest.raises(TmgcError, match="ended with 3"):
        seconds_of(("-c", "raise SystemExit(3)"))


def test_an_unknown_export_is_refused_with_those_that_there_are(tiny_run: Run) -> None:
    result = CliRunner().invoke(main, [str(tiny_run.folder), "--row", "tflite-int4"])
    assert result.exit_code == 2
    assert "tflite-float32" in result.stderr

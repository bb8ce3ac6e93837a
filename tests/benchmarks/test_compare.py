import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.cli import compare as main
from benchmarks.compare import changes, differences, ratio_interval, read_report
from edge_runtime.errors import TmgcError


@pytest.fixture
def report(benched: Any) -> dict[str, Any]:
    return copy.deepcopy(benched.report)


def slowed(report: dict[str, Any], name: str, times: float) -> dict[str, Any]:
    """The same report, but for one row that takes so many times as long."""
    other = copy.deepcopy(report)
    for row in other["rows"]:
        if row["name"] == name:
            for key in ("samples_ms", "in_memory_samples_ms"):
                row[key] = [times * sample for sample in row[key]]
    return other


def steady(report: dict[str, Any]) -> dict[str, Any]:
    """The same report on a machine that hardly varies."""
    generator = np.random.default_rng(0)
    for row in report["rows"]:
        if row["ok"]:
            for key in ("samples_ms", "in_memory_samples_ms"):
                row[key] = generator.normal(10.0, 0.1, len(row[key])).tolist()
    return report


def compare(tmp_path: Path, before: Any, after: Any, *options: str) -> Any:
    paths = tmp_path / "before.json", tmp_path / "after.json"
    for path, content in zip(paths, (before, after), strict=True):
        path.write_text(json.dumps(content), "utf-8")
    return CliRunner().invoke(main, [*map(str, paths), *options])


def test_a_report_has_not_changed_against_itself(report: dict[str, Any], tmp_path: Path) -> None:
    result = compare(tmp_path, report, report)
    assert result.exit_code == 0, result.output
    assert "SLOWER" not in result.stdout
    assert {change.ratio for change in changes(report, report)} == {1.0}


def test_a_row_that_has_become_slower_is_named_and_the_exit_code_is_1(report: dict[str, Any], tmp_path: Path) -> None:
    before = steady(report)
    result = compare(tmp_path, before, slowed(before, "tflite-float32", 1.3))
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines() if "SLOWER" in line] == ["tflite-float32"] * 2


def test_how_much_slower_a_row_may_become_is_the_users_choice(report: dict[str, Any], tmp_path: Path) -> None:
    before = steady(report)
    after = slowed(before, "tflite-float32", 1.3)
    assert compare(tmp_path, before, after, "--fail-above", "1.5").exit_code == 0


def test_a_row_that_has_become_quicker_is_no_regression(report: dict[str, Any], tmp_path: Path) -> None:
    before = steady(report)
    assert compare(tmp_path, before, slowed(before, "tflite-float32", 0.5)).exit_code == 0


def test_a_slower_median_that_noise_explains_is_no_regression(report: dict[str, Any]) -> None:
    before = steady(report)
    after = copy.deepcopy(before)
    row = next(row for row in after["rows"] if row["name"] == "tflite-float32")
    # Half of the rounds are twice as slow: as if something else had run meanwhile.
    rounds = np.reshape(row["samples_ms"], (before["method"]["rounds"], -1))
    rounds[::2] *= 2.0
    row["samples_ms"] = rounds.ravel().tolist()
    (change,) = [c for c in changes(before, after) if (c.name, c.source) == ("tflite-float32", "file")]
    assert change.ratio > 1.1
    assert not change.is_regression(1.1)


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    generator, held = np.random.default_rng(1), 0
    for _ in range(40):
        drift = generator.normal(1.0, 0.05, (2, 10, 1))
        before, after = drift * generator.normal(20.0, 1.0, (2, 10, 5)) * np.array([1.0, 1.2])[:, None, None]
        low, high = ratio_interval(before.tolist(), after.tolist())
        held += low <= 1.2 <= high
    assert held >= 32


def test_json_gives_every_change(report: dict[str, Any], tmp_path: Path) -> None:
    before = steady(report)
    result = compare(tmp_path, before, slowed(before, "tflite-float32", 1.3), "--json")
    found = json.loads(result.stdout)
    assert {(each["name"], each["from"]) for each in found["changes"] if each["regression"]} == {
        ("tflite-float32", "file"),
        ("tflite-float32", "memory"),
    }
    assert all(each["low"] <= each["ratio"] <= each["high"] for each in found["changes"])


def test_another_machine_is_told(report: dict[str, Any]) -> None:
    other = copy.deepcopy(report)
    other["machine"]["cpu"] = "Another"
    assert [line.split(":")[0] for line in differences(report, other)] == ["cpu differs"]


def test_a_row_that_fails_now_is_told_and_the_exit_code_is_1(report: dict[str, Any], tmp_path: Path) -> None:
    other = copy.deepcopy(report)
    row = next(row for row in other["rows"] if row["name"] == "onnx-float32")
    row |= {"ok": False, "error": "it fell"}
    result = compare(tmp_path, report, other)
    assert result.exit_code == 1
    assert "warning: onnx-float32, 1 thread, fails now: it fell" in result.stderr
    assert compare(tmp_path, other, other).exit_code == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"schema": 1, "rows": [], "method": {}}', "cannot be read"),
        ('{"schema": 2, "rows": [], "method": {"rounds": 1}}', "schema 1"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(content)
    result = CliRunner().invoke(main, [str(path), str(path)])
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="a report must exist"):
        read_report(tmp_path / "bench.json")


def test_reports_without_a_common_row_are_refused(report: dict[str, Any]) -> None:
    other = copy.deepcopy(report)
    for row in other["rows"]:
        row["threads"] = 7
    with pytest.raises(TmgcError, match="common rows"):
        changes(report, other)

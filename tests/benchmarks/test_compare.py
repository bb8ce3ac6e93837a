import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.cli import compare as main
from benchmarks.compare import compare_reports, ratio_interval
from benchmarks.report import CaseFailure, CaseReport, Report
from benchmarks.statistics import Latency
from edge_runtime.errors import TmgcError

ROUNDS = 5


@pytest.fixture
def steady(report: Report) -> Report:
    """The report of a machine that hardly varies."""
    generator = np.random.default_rng(0)

    def latency() -> Latency:
        return Latency.of(generator.normal(10.0, 0.1, 4 * ROUNDS).tolist())

    cases = tuple(replace(case, from_file=latency(), from_memory=latency()) for case in report.cases)
    return replace(report, method=replace(report.method, rounds=ROUNDS), cases=cases)


def changed(report: Report, name: str, change: Any) -> Report:
    """The same report with other samples of one case."""

    def apply(case: CaseReport) -> CaseReport:
        file, memory = (Latency.of(change(each.samples_ms)) for each in (case.from_file, case.from_memory))
        return replace(case, from_file=file, from_memory=memory) if case.name == name else case

    return replace(report, cases=tuple(map(apply, report.cases)))


def slowed(report: Report, name: str, times: float) -> Report:
    return changed(report, name, lambda samples: [times * sample for sample in samples])


def compare(tmp_path: Path, before: Report, after: Report, *options: str) -> Any:
    paths = tmp_path / "before.json", tmp_path / "after.json"
    for path, report in zip(paths, (before, after), strict=True):
        path.write_text(report.to_json(), "utf-8")
    return CliRunner().invoke(main, [*map(str, paths), *options])


def test_a_report_has_not_changed_against_itself(steady: Report, tmp_path: Path) -> None:
    result = compare(tmp_path, steady, steady)
    assert result.exit_code == 0, result.output
    assert "SLOWER" not in result.stdout
    assert {change.ratio for change in compare_reports(steady, steady).changes} == {1.0}


def test_markup_and_control_characters_of_a_foreign_report_are_shown_as_text(steady: Report, tmp_path: Path) -> None:
    foreign = replace(steady, cases=tuple(replace(case, name="[/a]\x1b[2J\n") for case in steady.cases[:1]))
    result = compare(tmp_path, foreign, foreign)
    assert result.exit_code == 0, result.output
    assert r"[/a]\x1b[2J\n" in result.stdout
    assert "\x1b" not in result.output


def test_a_limit_that_is_no_number_is_refused(steady: Report, tmp_path: Path) -> None:
    result = compare(tmp_path, steady, steady, "--fail-above", "nan")
    assert result.exit_code == 2
    assert "finite" in result.stderr.splitlines()[-1]


def test_a_case_that_has_become_slower_is_named_and_the_exit_code_is_1(steady: Report, tmp_path: Path) -> None:
    result = compare(tmp_path, steady, slowed(steady, "tflite-float32", 1.3))
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines() if "SLOWER" in line] == ["tflite-float32"] * 2


def test_how_much_slower_a_case_may_become_is_the_users_choice(steady: Report, tmp_path: Path) -> None:
    after = slowed(steady, "tflite-float32", 1.3)
    assert compare(tmp_path, steady, after, "--fail-above", "1.5").exit_code == 0


def test_a_case_that_has_become_faster_is_no_regression(steady: Report, tmp_path: Path) -> None:
    assert compare(tmp_path, steady, slowed(steady, "tflite-float32", 0.5)).exit_code == 0


def test_a_slower_median_that_noise_explains_is_no_regression(steady: Report) -> None:
    def every_second_round_twice_as_slow(samples: tuple[float, ...]) -> list[float]:
        rounds = np.reshape(samples, (ROUNDS, -1))
        rounds[::2] *= 2.0
        return [float(sample) for sample in rounds.ravel()]

    after = changed(steady, "tflite-float32", every_second_round_twice_as_slow)
    comparison = compare_reports(steady, after)
    (change,) = [each for each in comparison.changes if (each.name, each.source) == ("tflite-float32", "file")]
    assert change.ratio > 1.1
    assert not change.is_regression(1.1)


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    generator, hits = np.random.default_rng(1), 0
    for _ in range(40):
        drift = generator.normal(1.0, 0.05, (2, 10, 1))
        before, after = drift * generator.normal(20.0, 1.0, (2, 10, 5)) * np.array([1.0, 1.2])[:, None, None]
        low, high = ratio_interval(before.tolist(), after.tolist())
        hits += low <= 1.2 <= high
    assert hits >= 32


def test_the_windows_of_a_single_round_are_drawn_themselves() -> None:
    low, high = ratio_interval([[1.0, 1.1, 0.9, 1.0]], [[2.0, 2.2, 1.8, 2.0]])
    assert low < 2.0 < high


def test_json_gives_every_change(steady: Report, tmp_path: Path) -> None:
    result = compare(tmp_path, steady, slowed(steady, "tflite-float32", 1.3), "--json")
    found = json.loads(result.stdout)
    assert {(each["name"], each["source"]) for each in found["changes"] if each["regression"]} == {
        ("tflite-float32", "file"),
        ("tflite-float32", "memory"),
    }
    assert all(each["low"] <= each["ratio"] <= each["high"] for each in found["changes"])


def test_another_machine_is_named(steady: Report) -> None:
    other = replace(steady, machine=replace(steady.machine, cpu="Another"))
    (line,) = compare_reports(steady, other).differences
    assert line == "cpu differs: Intel(R) Xeon(R) Processor, then Another"


def test_a_case_that_fails_now_is_named_and_the_exit_code_is_1(steady: Report, tmp_path: Path) -> None:
    failure = CaseFailure("onnx-int8", 2, "full.int8.onnx", "it fell")
    cases = tuple(case for case in steady.cases if case.name != failure.name)
    other = replace(steady, cases=cases, failures=(*steady.failures, failure))
    result = compare(tmp_path, steady, other)
    assert result.exit_code == 1
    assert "warning: onnx-int8, 2 threads, fails now: it fell" in result.stderr
    assert compare(tmp_path, other, other).exit_code == 0


def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("[1]")
    result = CliRunner().invoke(main, [str(path), str(path)])
    assert result.exit_code == 2
    assert "a report must be a bench.json" in result.stderr
    assert result.stderr.count("\n") == 1


def test_reports_without_a_common_case_are_refused(steady: Report) -> None:
    other = replace(steady, cases=tuple(replace(case, threads=7) for case in steady.cases))
    with pytest.raises(TmgcError, match="common cases"):
        compare_reports(steady, other)

"""What a report computes from its samples, and its way to JSON and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks.report import REPORT_SCHEMA, Minute, Report, Sustained, Verdict, report_schema
from benchmarks.statistics import Latency
from edge_runtime.errors import TmgcError


def test_a_fast_case_keeps_up() -> None:
    assert Verdict.of(Latency.of([20.0, 20.0]), hop_s=1.0) == Verdict(1.0, True, 50.0, True)


def test_a_slow_case_does_not() -> None:
    verdict = Verdict.of(Latency.of([1600.0, 1600.0]), hop_s=1.0)
    assert (verdict.keeps_up, verdict.sub_second, verdict.times_over) == (False, False, 0.625)


def test_the_fastest_is_an_export_of_the_run_however_fast_the_others_were(kept: Report) -> None:
    packaged = next(case for case in kept.with_threads(2) if case.pipeline == "packaged")
    best = kept.fastest_export
    assert best is not None
    assert packaged.from_file.p50_ms < best.from_file.p50_ms
    assert (best.name, best.threads) == ("tflite-int8", 2)


def test_without_exports_it_is_whatever_was_measured(report: Report) -> None:
    assert replace(report, cases=report.cases[:1]).fastest_export is report.cases[0]
    assert replace(report, cases=()).fastest_export is None


def test_the_slowdown_is_that_of_the_last_minute(report: Report) -> None:
    minutes = (Minute(Latency.of([2.0]), report.before), Minute(Latency.of([3.0]), report.after))
    assert Sustained("tflite-int8", 2, None, minutes).slowdown == 1.5


def test_a_report_survives_its_way_through_json(report: Report) -> None:
    minutes = (Minute(Latency.of([2.0]), report.before),)
    whole = replace(report, sustained=Sustained("tflite-int8", 2, None, minutes))
    assert Report.from_json(whole.to_json()) == whole
    jsonschema.validate(json.loads(whole.to_json()), json.loads(REPORT_SCHEMA.read_text("utf-8")))


def test_each_list_of_samples_is_one_line(report: Report) -> None:
    lines = [line for line in report.to_json().splitlines() if '"samples_ms"' in line]
    latencies = sum(2 + len(case.stages) for case in report.cases)
    assert len(lines) == latencies
    assert all(line.rstrip(",").endswith("]") for line in lines)


def test_the_schema_that_is_kept_is_that_of_the_dataclasses() -> None:
    kept = REPORT_SCHEMA.read_text("utf-8")
    assert kept == report_schema(), "write it again: python -m benchmarks.report"
    jsonschema.Draft202012Validator.check_schema(json.loads(kept))


def test_the_schema_describes_its_fields() -> None:
    fields = json.loads(REPORT_SCHEMA.read_text("utf-8"))["$defs"]["CaseReport"]["properties"]
    assert fields["peak_memory_mb"]["description"] == "Resident at most."
    assert fields["sha256"]["pattern"] == "^[0-9a-f]{64}$"


def _with_sample(sample: float) -> Any:
    """A change of a report's document: the first case's first sample from a file."""

    def change(document: Any) -> Any:
        document["cases"][0]["from_file"]["samples_ms"][0] = sample
        return document

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda document: [], "must be an object"),
        (lambda document: document | {"schema": 2}, "schema 3 is needed, got 2"),
        (lambda document: {"schema": 3}, "keys of Report"),
        (lambda document: document | {"method": document["method"] | {"rounds": 7}}, "in each of its rounds"),
        (lambda document: document | {"method": document["method"] | {"rounds": 0}}, "rounds must be at least 1"),
        (_with_sample(-1.0), r"samples_ms\[0\] must be at least 0"),
        (_with_sample(float("nan")), "must be a finite number"),
        (_with_sample(0.0), "must have latencies above 0 ms"),
    ],
)
def test_what_is_no_report_is_refused(report: Report, tmp_path: Path, change: Any, reason: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(change(json.loads(report.to_json()))), "utf-8")
    with pytest.raises(TmgcError, match=reason):
        Report.read(path)


def test_a_damaged_or_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="a report must exist"):
        Report.read(tmp_path / "bench.json")
    (tmp_path / "bench.json").write_text("{")
    with pytest.raises(TmgcError, match=r"bench\.json is not"):
        Report.read(tmp_path / "bench.json")

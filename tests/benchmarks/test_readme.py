"""The README quotes the kept report, and the kept report is what its raw samples give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.summary import summarize
from benchmarks.table import markdown

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "reports" / "inception_resnet_v2_224.json"


def test_the_latency_table_of_the_readme_is_that_of_the_kept_report() -> None:
    report = json.loads(KEPT.read_text("utf-8"))
    assert markdown(report).strip() in (ROOT / "README.md").read_text("utf-8")


def test_the_figures_of_the_kept_report_come_from_its_raw_samples() -> None:
    report = json.loads(KEPT.read_text("utf-8"))
    assert len(report["rows"]) == 9
    for row in report["rows"]:
        assert row["ok"], row["error"]
        assert row["latency_ms"] == pytest.approx(summarize(row["samples_ms"]))

"""The README quotes the kept report, and the kept report is what its raw samples give."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from benchmarks.render import markdown, section_markdown, sections
from benchmarks.report import REPORT_SCHEMA, summarize

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "reports" / "inception_resnet_v2_224.json"


@pytest.mark.parametrize("title", ["From two seconds of sound to an answer, 2 threads", "What each needs, 2 threads"])
def test_the_tables_of_the_readme_are_those_of_the_kept_report(title: str) -> None:
    (section,) = [each for each in sections(json.loads(KEPT.read_text("utf-8"))) if each.title == title]
    assert section_markdown(section) in (ROOT / "README.md").read_text("utf-8")


def test_the_kept_page_is_that_of_the_kept_report() -> None:
    assert KEPT.with_suffix(".md").read_text("utf-8").strip() == markdown(json.loads(KEPT.read_text("utf-8")))


def test_the_figures_of_the_kept_report_come_from_its_raw_samples() -> None:
    report = json.loads(KEPT.read_text("utf-8"))
    for row in report["rows"]:
        assert row["ok"], row["error"]
        assert row["latency_ms"] == pytest.approx(summarize(row["samples_ms"]))
        assert row["in_memory_latency_ms"] == pytest.approx(summarize(row["in_memory_samples_ms"]))


def test_the_kept_report_keeps_the_schema_and_has_every_kind_of_row() -> None:
    report = json.loads(KEPT.read_text("utf-8"))
    jsonschema.validate(report, json.loads(REPORT_SCHEMA.read_text("utf-8")))
    named = {row["name"] for row in report["rows"]}
    exports = {f"tflite-{recipe}" for recipe in ("float32", "float16", "dynamic", "int8")}
    exports |= {f"onnx-{recipe}" for recipe in ("float32", "dynamic", "int8")}
    assert {"original", "keras-predict", "keras-compiled", *exports} <= named


@pytest.mark.parametrize(("figure", "least"), [("latency", 15.0), ("memory", 5.0), ("start", 10.0)])
def test_the_kept_report_shows_what_the_project_promises_of_its_int8_file(figure: str, least: float) -> None:
    report = json.loads(KEPT.read_text("utf-8"))
    rows = {row["name"]: row for row in report["rows"] if row["threads"] == 2}
    original, export = rows["original"], rows["tflite-int8"]
    (ratio,) = [
        each["median"]
        for each in report["ratios"]
        if (each["of"], each["to"], each["threads"], each["from"]) == ("original", "tflite-int8", 2, "file")
    ]
    found = {
        "latency": ratio,
        "memory": original["peak_memory_mb"] / export["peak_memory_mb"],
        "start": original["start_ms"] / export["start_ms"],
    }
    assert found[figure] >= least
    assert export["verdict"]["sub_second"]

import copy
import re
from typing import Any

import pytest

from benchmarks.plots import plots_of
from benchmarks.render import html_report


@pytest.fixture
def whole(benched: Any) -> dict[str, Any]:
    """The report as a long benchmark would have given it: two numbers of threads, accuracy, and minutes."""
    report: dict[str, Any] = copy.deepcopy(benched.report)
    report["method"]["threads"] = [1, 2]
    share = {"share": 0.8, "low": 0.7, "high": 0.9}
    for row in report["rows"]:
        row["quality"] = {"split": "test", "windows": 9, "songs": 3, "accuracy": share, "agreement": share}
    report["rows"] += [{**row, "threads": 2} for row in report["rows"]]
    minute = {**report["machine"]["before"], "temperature_c": 50.0, "samples_ms": [2.0]}
    minute["latency_ms"] = next(row["latency_ms"] for row in report["rows"] if row["ok"])
    report["sustained"] = {"row": "tflite-float32", "threads": 2, "slowdown": 1.0, "minutes": [minute, minute]}
    return report


def test_the_page_needs_no_other_file(benched: Any) -> None:
    references = re.findall(r'(?:src|href)="([^"]{0,40})', benched.html)
    assert references
    assert all(reference.startswith("data:image/png;base64,") for reference in references)


def test_the_page_shows_every_row_and_why_one_failed(benched: Any) -> None:
    for row in benched.report["rows"]:
        assert row["name"] in benched.html
    assert "tflite-int8 failed" in benched.html
    assert "keeps up at hop 1.0 s" in benched.html


def test_there_is_a_plot_for_all_that_was_measured(whole: dict[str, Any]) -> None:
    captions = " ".join(caption for caption, _ in plots_of(whole))
    for word in ("Latency from a file", "Where the time goes", "exports alone", "Accuracy", "by threads", "by minute"):
        assert word in captions
    assert all(png.startswith(b"\x89PNG") for _, png in plots_of(whole))


def test_what_was_not_measured_is_not_drawn(benched: Any) -> None:
    captions = [caption for caption, _ in plots_of(benched.report)]
    assert len(captions) == 3
    assert not any(word in caption for caption in captions for word in ("Accuracy", "by threads", "by minute"))
    assert plots_of({**benched.report, "rows": [row for row in benched.report["rows"] if not row["ok"]]}) == []


def test_without_matplotlib_the_page_has_its_tables(benched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.render.find_spec", lambda name: None)
    text = html_report(benched.report)
    assert "<img" not in text
    assert "tflite-float32" in text


def test_what_a_name_holds_is_text(benched: Any) -> None:
    assert "<script>" not in html_report({**benched.report, "run": "<script>"})

from dataclasses import replace

import pytest

from benchmarks.plots import plots_of
from benchmarks.report import Minute, Report, Sustained
from benchmarks.statistics import Latency


def whole(report: Report) -> Report:
    """The report with two numbers of threads, and minutes with a temperature."""
    minute = Minute(Latency.of([2.0]), replace(report.before, temperature_c=50.0))
    return replace(
        report,
        method=replace(report.method, threads=(1, 2)),
        cases=(*report.cases, *(replace(case, threads=1) for case in report.cases)),
        sustained=Sustained("tflite-int8", 2, None, (minute, minute)),
    )


def test_there_is_a_plot_for_all_that_was_measured(report: Report) -> None:
    plots = plots_of(whole(report))
    captions = " ".join(plot.caption for plot in plots)
    for word in ("Latency from a file", "Median of each stage", "exports alone", "Accuracy", "by threads", "by minute"):
        assert word in captions
    assert all(plot.png.startswith(b"\x89PNG") for plot in plots)


def test_what_was_not_measured_is_not_drawn(report: Report) -> None:
    plain = replace(report, cases=tuple(replace(case, quality=None) for case in report.cases))
    captions = [plot.caption for plot in plots_of(plain)]
    assert len(captions) == 3
    assert not any(word in caption for caption in captions for word in ("Accuracy", "by threads", "by minute"))
    assert plots_of(replace(report, cases=())) == []


def test_without_matplotlib_nothing_is_drawn(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.plots.find_spec", lambda name: None)
    assert plots_of(report) == []

"""The plots of a report: latency distributions, stages, accuracy against latency, threads, minutes, Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cases import KERAS_PIPELINES
from benchmarks.render import Plot, n_threads
from benchmarks.report import CaseReport, Report, Sustained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmarks.models_report import ModelsReport

_DPI = 110
_WIDTH = 8.0
_STAGES = ("read", "spectrogram", "figure", "resize", "model", "decision")


def plots_of(report: Report) -> list[Plot]:
    """Every plot that the report has figures for; none without matplotlib or without a measured case."""
    threads = max(report.method.threads)
    cases, with_threads = report.with_threads(threads), n_threads(threads)
    if not cases or find_spec("matplotlib") is None:
        return []
    found = [
        (f"Latency from a file, {with_threads}: every sample, and the median", latency_figure(cases)),
        (f"Median of each stage, {with_threads}, from a file", stages_figure(cases)),
    ]
    exports = [case for case in cases if case.pipeline not in KERAS_PIPELINES]
    if exports and exports != cases:
        found.append((f"Median of each stage, {with_threads}, exports alone", stages_figure(exports)))
    if any(case.quality for case in cases):
        found.append((f"Accuracy against latency, {with_threads}, with 95 % intervals", accuracy_figure(cases)))
    if len(report.method.threads) > 1:
        found.append(("Median latency from a file by threads", threads_figure(report.cases)))
    if report.sustained and report.sustained.minutes:
        caption = f"{report.sustained.case} without a pause: median and 99th percentile by minute"
        found.append((caption, sustained_figure(report.sustained)))
    return [Plot(caption, _png(figure)) for caption, figure in found]


def plots_of_models(report: ModelsReport) -> list[Plot]:
    """The plot of several models; none without matplotlib or where none was evaluated."""
    if not report.pareto_front() or find_spec("matplotlib") is None:
        return []
    with_threads = n_threads(report.method.threads[0])
    caption = f"Accuracy with its 95 % interval against latency, {with_threads}; the line joins the Pareto front"
    return [Plot(caption, _png(pareto_figure(report)))]


def pareto_figure(report: ModelsReport) -> Figure:
    """Accuracy of each model against its median latency from a file, with the front that nothing surpasses."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = _figure(4.6)
    front = [(model.case.from_file.p50_ms, model.accuracy) for model in report.pareto_front()]
    percents = [100 * each.value for _, each in front if each]
    axes.step([ms for ms, _ in front], percents, color="grey", where="post", label="Pareto front")
    for model in report.models:
        if accuracy := model.accuracy:
            ms, value = model.case.from_file.p50_ms, 100 * accuracy.value
            error = [[value - 100 * accuracy.low], [100 * accuracy.high - value]]
            axes.errorbar(ms, value, yerr=error, fmt="o", capsize=3, label=f"{model.name}: {ms:.3g} ms, {value:.1f} %")
    axes.set(xscale="log", xlabel="median latency from a file, ms", ylabel="accuracy, % of clips")
    for formatted in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatted(FuncFormatter(lambda ms, _: f"{ms:g}"))
    axes.tick_params(axis="x", which="minor", labelsize=8)
    axes.margins(x=0.1)
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    axes.grid(which="both", alpha=0.25)
    return figure


def latency_figure(cases: Sequence[CaseReport]) -> Figure:
    """Every sample of every case, on a logarithmic axis."""
    figure, axes = _figure(0.9 + 0.42 * len(cases))
    jitter = np.random.default_rng(0)
    for place, case in enumerate(reversed(cases)):
        samples = case.from_file.samples_ms
        axes.plot(samples, place + jitter.uniform(-0.28, 0.28, len(samples)), ".", markersize=3, alpha=0.5)
        axes.vlines(case.from_file.p50_ms, place - 0.36, place + 0.36, color="black", linewidth=1.5)
    axes.set_yticks(range(len(cases)), [case.name for case in reversed(cases)])
    axes.set(xscale="log", xlabel="ms")
    axes.grid(axis="x", which="both", alpha=0.25)
    return figure


def stages_figure(cases: Sequence[CaseReport]) -> Figure:
    """The medians of the stages of every case, stacked."""
    figure, axes = _figure(1.2 + 0.42 * len(cases))
    names, left = [case.name for case in cases], np.zeros(len(cases))
    for place, stage in enumerate(_STAGES):
        widths = np.array([case.stages[stage].p50_ms if stage in case.stages else 0.0 for case in cases])
        if widths.any():
            axes.barh(names, widths, left=left, label=stage, color=f"C{place}")
        left += widths
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    axes.legend(ncols=len(_STAGES), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14 - 0.6 / len(cases)))
    return figure


def accuracy_figure(cases: Sequence[CaseReport]) -> Figure:
    """Accuracy on the held-out split against the median latency."""
    figure, axes = _figure(4.2)
    for case in sorted(cases, key=lambda case: case.from_file.p50_ms):
        if case.quality:
            accuracy = case.quality.accuracy
            error = [[100 * (accuracy.value - accuracy.low)], [100 * (accuracy.high - accuracy.value)]]
            axes.errorbar(case.from_file.p50_ms, 100 * accuracy.value, yerr=error, fmt="o", capsize=3, label=case.name)
    axes.set(xscale="log", xlabel="median latency from a file, ms", ylabel="accuracy, %")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(which="both", alpha=0.25)
    return figure


def threads_figure(cases: Sequence[CaseReport]) -> Figure:
    """The median of every case against the number of threads."""
    figure, axes = _figure(4.2)
    for name in dict.fromkeys(case.name for case in cases):
        own = sorted((case.threads, case.from_file.p50_ms) for case in cases if case.name == name)
        axes.plot(*zip(*own, strict=True), "o-", label=name)
    axes.set(yscale="log", xlabel="threads", ylabel="median latency, ms")
    axes.set_xticks(sorted({case.threads for case in cases}))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(which="both", alpha=0.25)
    return figure


def sustained_figure(sustained: Sustained) -> Figure:
    """Latency by minute, with the temperature where the machine tells it."""
    figure, axes = _figure(3.4)
    numbers = range(1, len(sustained.minutes) + 1)
    for name in ("p50", "p99"):
        axes.plot(numbers, [getattr(minute.latency, f"{name}_ms") for minute in sustained.minutes], "o-", label=name)
    axes.set(xlabel="minute", ylabel="ms", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8)
    temperatures = [minute.state.temperature_c for minute in sustained.minutes]
    if None not in temperatures:
        right = axes.twinx()
        right.plot(numbers, temperatures, ":", color="grey")
        right.set_ylabel("°C (dotted)")
    return figure


def _figure(height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _png(figure: Figure) -> bytes:
    written = BytesIO()
    figure.savefig(written, dpi=_DPI, format="png")
    return written.getvalue()

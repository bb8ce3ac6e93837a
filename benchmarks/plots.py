"""The plots of a report: distributions of latency, stages, latency against accuracy, threads, and minutes."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cases import OF_THE_NETWORK
from benchmarks.render import n_threads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110
_WIDTH = 8.0
_STAGES = ("read", "spectrogram", "figure", "resize", "model", "decision")


def plots_of(report: dict[str, Any]) -> list[tuple[str, bytes]]:
    """What there is to draw, each with its caption, PNG; nothing where no row was measured."""
    rows = [row for row in report["rows"] if row["ok"]]
    most = [row for row in rows if row["threads"] == max(report["method"]["threads"])]
    if not most:
        return []
    words = n_threads(most[0]["threads"])
    found = [
        (f"Latency from a file, {words}: every sample, and the median", latency_figure(most)),
        (f"Where the time goes, {words}: median of each stage, from a file", stages_figure(most)),
    ]
    exports = [row for row in most if row["name"] not in OF_THE_NETWORK]
    if exports and exports != most:
        found.append((f"The same of the exports alone, {words}", stages_figure(exports)))
    if any(row["quality"] for row in most):
        found.append((f"Accuracy against latency, {words}, with 95 % intervals", accuracy_figure(most)))
    if len(report["method"]["threads"]) > 1:
        found.append(("Median latency from a file by threads", threads_figure(rows)))
    if report["sustained"] and "minutes" in report["sustained"]:
        name = report["sustained"]["row"]
        found.append((f"{name} without a pause: median and 99th percentile by minute", sustained_figure(report)))
    return [(caption, _png(figure)) for caption, figure in found]


def latency_figure(rows: list[dict[str, Any]]) -> Figure:
    """Every sample of every row, on a logarithmic axis."""
    figure, axes = _figure(0.9 + 0.42 * len(rows))
    jitter = np.random.default_rng(0)
    for place, row in enumerate(reversed(rows)):
        samples = row["samples_ms"]
        axes.plot(samples, place + jitter.uniform(-0.28, 0.28, len(samples)), ".", markersize=3, alpha=0.5)
        axes.vlines(row["latency_ms"]["p50"], place - 0.36, place + 0.36, color="black", linewidth=1.5)
    axes.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)])
    axes.set(xscale="log", xlabel="ms")
    axes.grid(axis="x", which="both", alpha=0.25)
    return figure


def stages_figure(rows: list[dict[str, Any]]) -> Figure:
    """The stages of every row, stacked."""
    figure, axes = _figure(1.2 + 0.42 * len(rows))
    names, left = [row["name"] for row in rows], np.zeros(len(rows))
    for stage in _STAGES:
        widths = np.array([row["stages_ms"].get(stage, 0.0) for row in rows])
        if widths.any():
            axes.barh(names, widths, left=left, label=stage)
        left += widths
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    axes.legend(ncols=len(_STAGES), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14 - 0.6 / len(rows)))
    return figure


def accuracy_figure(rows: list[dict[str, Any]]) -> Figure:
    """Accuracy on the held-out split against the median latency."""
    figure, axes = _figure(4.2)
    judged = sorted((row for row in rows if row["quality"]), key=lambda row: row["latency_ms"]["p50"])
    for row in judged:
        accuracy, latency = row["quality"]["accuracy"], row["latency_ms"]["p50"]
        off = [[100 * (accuracy["share"] - accuracy["low"])], [100 * (accuracy["high"] - accuracy["share"])]]
        axes.errorbar(latency, 100 * accuracy["share"], yerr=off, fmt="o", capsize=3, label=row["name"])
    axes.set(xscale="log", xlabel="median latency from a file, ms", ylabel="named right, %")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(which="both", alpha=0.25)
    return figure


def threads_figure(rows: list[dict[str, Any]]) -> Figure:
    """The median of every row against the number of threads."""
    figure, axes = _figure(4.2)
    for name in dict.fromkeys(row["name"] for row in rows):
        own = sorted((row["threads"], row["latency_ms"]["p50"]) for row in rows if row["name"] == name)
        axes.plot(*zip(*own, strict=True), "o-", label=name)
    axes.set(yscale="log", xlabel="threads", ylabel="median latency, ms")
    axes.set_xticks(sorted({row["threads"] for row in rows}))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.grid(which="both", alpha=0.25)
    return figure


def sustained_figure(report: dict[str, Any]) -> Figure:
    """Latency by minute, with the temperature where the machine tells it."""
    figure, axes = _figure(3.4)
    minutes = report["sustained"]["minutes"]
    numbers = range(1, len(minutes) + 1)
    for key in ("p50", "p99"):
        axes.plot(numbers, [minute["latency_ms"][key] for minute in minutes], "o-", label=key)
    axes.set(xlabel="minute", ylabel="ms", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8)
    if minutes[0]["temperature_c"] is not None:
        warmth = axes.twinx()
        warmth.plot(numbers, [minute["temperature_c"] for minute in minutes], ":", color="grey")
        warmth.set_ylabel("°C (dotted)")
    return figure


def _figure(height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _png(figure: Figure) -> bytes:
    written = BytesIO()
    figure.savefig(written, dpi=_DPI, format="png")
    return written.getvalue()

"""Answers as lines for a person to read, without a terminal's tricks."""

from __future__ import annotations

import click

from edge_runtime.files import to_utf8
from edge_runtime.predictions import UNKNOWN, Event, Prediction, Summary


class PlainLines:
    """Prints a line a window and one a source."""

    def window(self, prediction: Prediction) -> None:
        click.echo(window_line(prediction))

    def event(self, event: Event) -> None:
        """Standard error has it already."""

    def summary(self, summary: Summary) -> None:
        click.echo(to_utf8(summary_line(summary)))

    def close(self) -> None:
        """Every line is out already."""


def window_line(prediction: Prediction) -> str:
    """One window for a person to read."""
    at = f"{_clock(prediction.start_seconds)} - {_clock(prediction.end_seconds)}"
    if not prediction.probabilities:
        return f"{at}  {prediction.genre:<12}{'':7}{prediction.level_dbfs:7.1f} dBFS"
    latency = prediction.spectrogram_ms + prediction.model_ms
    return (
        f"{at}  {prediction.genre:<12}{prediction.confidence:5.0%}  {prediction.level_dbfs:7.1f} dBFS {latency:7.1f} ms"
        f"   smoothed: {prediction.smoothed_genre} {prediction.smoothed_confidence:.0%}"
    )


def summary_line(summary: Summary) -> str:
    """A whole source for a person to read."""
    if not summary.windows:
        return f"{summary.source}: ended before the first window"
    if not summary.probabilities:
        return f"{summary.source}: silence in all {summary.windows} windows"
    named = f"{summary.genre} {summary.confidence:.0%}"
    if summary.genre == UNKNOWN:
        likeliest = max(summary.probabilities, key=summary.probabilities.__getitem__)
        named = f"{UNKNOWN} (most like {likeliest}, {summary.confidence:.0%})"
    return (
        f"{summary.source}: {named}, {summary.windows} windows of 2 s, "
        f"{summary.latency_ms['p50']:.1f} ms each (p99 {summary.latency_ms['p99']:.1f} ms), "
        f"{1 / max(summary.realtime_factor, 1e-9):.0f} times as fast as it plays"
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes):3d}:{rest:04.1f}"

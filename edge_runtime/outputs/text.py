"""Plain text: a line for each window and a line for each source."""

from __future__ import annotations

import sys
from typing import TextIO

from edge_runtime.outputs import Output
from edge_runtime.predictions import SILENCE, UNKNOWN, Prediction, Summary
from edge_runtime.terminal import printable


class TextLines(Output):
    """Writes predictions and summaries as lines of text.

    Parameters
    ----------
    window_seconds : float > 0
        Length of a window, from the spectrogram settings of the model card.
    stream : text stream, optional
        Standard output by default.
    """

    def __init__(self, window_seconds: float, stream: TextIO | None = None) -> None:
        self._window_seconds = window_seconds
        self._stream = stream or sys.stdout

    def window(self, prediction: Prediction) -> None:
        print(printable(window_line(prediction)), file=self._stream, flush=True)

    def summary(self, summary: Summary) -> None:
        line = summary_line(summary, window_seconds=self._window_seconds)
        print(printable(line), file=self._stream, flush=True)


def window_line(prediction: Prediction) -> str:
    """One prediction as a line of text."""
    times = f"{_minutes(prediction.start_seconds)} - {_minutes(prediction.end_seconds)}"
    if not prediction.probabilities:
        return f"{times}  {prediction.genre:<12}{'':7}{prediction.level_dbfs:7.1f} dBFS"
    return (
        f"{times}  {prediction.genre:<12}{prediction.confidence:5.0%}  {prediction.level_dbfs:7.1f} dBFS"
        f" {prediction.latency_ms:7.1f} ms   smoothed: {prediction.smoothed_genre} {prediction.smoothed_confidence:.0%}"
    )


def summary_line(summary: Summary, *, window_seconds: float) -> str:
    """The summary of a source as a line of text.

    Parameters
    ----------
    summary : Summary
    window_seconds : float > 0
        Length of a window.
    """
    if not summary.windows:
        return f"{summary.source}: ended before the first window"
    windows = f"{summary.windows} window{'s' * (summary.windows > 1)} of {window_seconds:g} s"
    if not summary.probabilities:
        return f"{summary.source}: {SILENCE}, {windows}"
    genre = f"{summary.genre} {summary.confidence:.0%}"
    if summary.genre == UNKNOWN:
        most_probable = max(summary.probabilities, key=summary.probabilities.__getitem__)
        genre = f"{UNKNOWN} (most probable: {most_probable}, {summary.confidence:.0%})"
    return (
        f"{summary.source}: {genre}, {windows}, "
        f"latency p50 {summary.latency_ms['p50']:.1f} ms, p99 {summary.latency_ms['p99']:.1f} ms, "
        f"{1 / max(summary.realtime_factor, 1e-9):.0f} times faster than real time"
    )


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes):3d}:{rest:04.1f}"

"""What listening gives: an answer a window, an event where something goes wrong, and a summary a source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

import numpy as np

UNKNOWN = "unknown"
"""The answer where no genre is confident enough."""
SILENCE = "silence"
"""The answer where there is nothing to hear."""


def apply_threshold(probabilities: Mapping[str, float], threshold: float) -> tuple[str, float]:
    """The likeliest genre, or :data:`UNKNOWN` below the threshold, and its probability in [0, 1].

    Parameters
    ----------
    probabilities : mapping of str to float
        Every genre's; at least one.
    threshold : float in [0, 1]
    """
    likeliest = max(probabilities, key=probabilities.__getitem__)
    confidence = probabilities[likeliest]
    return likeliest if confidence >= threshold else UNKNOWN, confidence


@dataclass(frozen=True)
class Prediction:
    """What was heard in one window."""

    time: datetime
    """When it was answered, UTC."""
    start_seconds: float
    end_seconds: float
    genre: str
    """A genre of the card, ``unknown`` or ``silence``."""
    confidence: float
    """Probability of the likeliest genre, in [0, 1]; 0 for silence."""
    smoothed_genre: str
    """As ``genre``, from the probabilities averaged over the last windows."""
    smoothed_confidence: float
    probabilities: Mapping[str, float]
    """Every genre's, in [0, 1]; empty for silence."""
    level_dbfs: float
    """Root mean square of the window, dBFS."""
    spectrogram_ms: float
    """Spent on the picture after the window's last sample had come."""
    model_ms: float
    delay_ms: float
    """From the arrival of the window's last sample to its answer."""
    dropped_windows: int
    """Windows of the source so far that were not answered, since a newer one had come."""
    source: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a source beside its answers."""

    time: datetime
    """UTC"""
    source: str
    event: str
    """One of :data:`EVENTS`."""
    reason: str
    """One line for a person."""


EVENTS = ("device lost", "device back", "overload", "recovered", "file refused")
"""What can happen to a source."""


@dataclass(frozen=True)
class Summary:
    """What was heard in a whole source."""

    source: str
    windows: int
    genre: str
    """As in :class:`Prediction`, from the mean probabilities; ``silence`` where no window held a sound."""
    confidence: float
    """Mean probability of the likeliest genre, in [0, 1]; 0 for silence."""
    probabilities: Mapping[str, float]
    """Mean over the windows that were not silent; empty where all were."""
    seconds: float
    """Sound from the beginning of the first window to the end of the last."""
    realtime_factor: float
    """Seconds that the answers took for each second of sound; below 1 keeps up."""
    dropped_windows: int
    """Windows that were not answered, since a newer one had come."""
    overflows: int
    """Times that sound was lost before it was cut into windows."""
    latency_ms: Mapping[str, float]
    """p50, p90, p99 and max of spectrogram and model together; empty where all windows were silent."""


class Summarizer:
    """Adds up answers to a summary, in memory that does not grow in months.

    Parameters
    ----------
    source : str
    threshold : float in [0, 1]
        As :func:`decide` takes it.
    """

    def __init__(self, source: str, *, threshold: float) -> None:
        self._source = source
        self._threshold = threshold
        self._begun = perf_counter()
        self._windows = 0
        self._seconds = 0.0
        self._dropped_windows = 0
        self._sums: dict[str, float] = {}
        self._heard = 0
        self._latencies = _Latencies()

    def add(self, prediction: Prediction) -> None:
        """Take one more answer in."""
        self._windows += 1
        self._seconds = prediction.end_seconds
        self._dropped_windows = prediction.dropped_windows
        if not prediction.probabilities:
            return
        self._heard += 1
        self._latencies.add(prediction.spectrogram_ms + prediction.model_ms)
        for genre, probability in prediction.probabilities.items():
            self._sums[genre] = self._sums.get(genre, 0.0) + probability

    def summary(self, *, overflows: int = 0, idle_seconds: float = 0.0) -> Summary:
        """What the answers so far add up to.

        Parameters
        ----------
        overflows : int >= 0
            Those that the source counted.
        idle_seconds : float >= 0
            Time that passed in waiting for sound to come: no work.
        """
        means = {genre: total / self._heard for genre, total in self._sums.items()}
        genre, confidence = apply_threshold(means, self._threshold) if means else (SILENCE, 0.0)
        busy_seconds = max(0.0, perf_counter() - self._begun - idle_seconds)
        return Summary(
            source=self._source,
            windows=self._windows,
            genre=genre,
            confidence=confidence,
            probabilities=means,
            seconds=self._seconds,
            realtime_factor=busy_seconds / self._seconds if self._seconds else 0.0,
            dropped_windows=self._dropped_windows,
            overflows=overflows,
            latency_ms=self._latencies.percentiles() if self._heard else {},
        )


class _Latencies:
    """Percentiles of any number of durations, right to half a percent, from counts of steps of one percent."""

    def __init__(self) -> None:
        self._step = math.log(1.01)
        self._counts: Counter[int] = Counter()
        self._highest = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one more; below a microsecond all are the same."""
        self._counts[round(math.log(max(milliseconds, 1e-3)) / self._step)] += 1
        self._highest = max(self._highest, milliseconds)

    def percentiles(self) -> dict[str, float]:
        """p50, p90, p99 and max, milliseconds."""
        steps, counts = zip(*sorted(self._counts.items()), strict=True)
        ranks = np.cumsum(counts)
        named = {}
        for percent in (50, 90, 99):
            step = steps[int(np.searchsorted(ranks, ranks[-1] * percent / 100))]
            named[f"p{percent}"] = min(math.exp(step * self._step), self._highest)
        return {**named, "max": self._highest}

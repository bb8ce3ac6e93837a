"""The results of listening: a prediction for each window, an event for each disturbance, a summary of each source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

import numpy as np

from edge_runtime.pooling import POOLINGS, Pool

UNKNOWN = "unknown"
"""Predicted where no genre reaches the confidence threshold."""
SILENCE = "silence"
"""Predicted, without running the model, where a window's level is below the silence level."""


def apply_threshold(probabilities: Mapping[str, float], threshold: float) -> tuple[str, float]:
    """The most probable genre, or :data:`UNKNOWN` where its probability is below the threshold.

    Parameters
    ----------
    probabilities : mapping of str to float in [0, 1]
        Of every genre; not empty.
    threshold : float in [0, 1]

    Returns
    -------
    genre : str
    confidence : float in [0, 1]
        Probability of the most probable genre, also where the genre is ``unknown``.
    """
    most_probable = max(probabilities, key=probabilities.__getitem__)
    confidence = probabilities[most_probable]
    return most_probable if confidence >= threshold else UNKNOWN, confidence


@dataclass(frozen=True)
class Prediction:
    """The genre of one window."""

    time: datetime
    """When the prediction was made, UTC."""
    start_seconds: float
    """Of the window, from the beginning of the source."""
    end_seconds: float
    genre: str
    """A genre of the model card, ``unknown`` or ``silence``."""
    confidence: float
    """Probability of the most probable genre, in [0, 1]; 0 for silence."""
    smoothed_genre: str
    """As ``genre``, from the pooled probabilities of the last windows."""
    smoothed_confidence: float
    """As ``confidence``, from the same probabilities."""
    probabilities: Mapping[str, float]
    """Of every genre, in [0, 1]; empty for silence."""
    level_dbfs: float
    """Root mean square of the window, dBFS."""
    spectrogram_ms: float
    """Time to compute the spectrogram after the window's last sample had arrived."""
    model_ms: float
    """Time to run the model."""
    delay_ms: float
    """From the arrival of the window's last sample to the prediction."""
    dropped_windows: int
    """Windows of the source so far that were skipped because a newer one had already arrived."""
    source: str
    """Name of the microphone, path of the file, or ``standard input``."""

    @property
    def latency_ms(self) -> float:
        """Spectrogram and model together."""
        return self.spectrogram_ms + self.model_ms


@dataclass(frozen=True)
class Event:
    """A disturbance of a source, or its end."""

    time: datetime
    """UTC."""
    source: str
    event: str
    """One of :data:`EVENTS`."""
    reason: str
    """One line for a person."""


EVENTS = ("device lost", "device back", "overload", "recovered", "invalid answer", "file refused")
"""Kinds of :class:`Event`."""


@dataclass(frozen=True)
class Summary:
    """The genre of a whole source."""

    source: str
    windows: int
    """Windows with a prediction."""
    genre: str
    """As in :class:`Prediction`, from the pooled probabilities; ``silence`` where every window was silent."""
    confidence: float
    """Pooled probability of the most probable genre, in [0, 1]; 0 for silence."""
    probabilities: Mapping[str, float]
    """Pooled over the windows that were not silent (:mod:`edge_runtime.pooling`), in [0, 1]; empty where all were."""
    seconds: float
    """From the beginning of the first window to the end of the last."""
    realtime_factor: float
    """Seconds of work per second of audio; below 1 keeps up with a live source."""
    dropped_windows: int
    """Windows that were skipped because a newer one had already arrived."""
    overflows: int
    """Times that audio was lost before it was cut into windows."""
    latency_ms: Mapping[str, float]
    """p50, p90, p99 and max of spectrogram and model together; empty where every window was silent."""


class Summarizer:
    """Aggregates the predictions of one source in constant memory, however long it runs.

    Parameters
    ----------
    source : str
    threshold : float in [0, 1]
        As in :func:`apply_threshold`.
    pooling : str
        One of :data:`~edge_runtime.pooling.POOLINGS`; ``card.pooling`` is the model's.
    """

    def __init__(self, source: str, *, threshold: float, pooling: str = POOLINGS[0]) -> None:
        self._source = source
        self._threshold = threshold
        self._started = perf_counter()
        self._windows = 0
        self._seconds = 0.0
        self._dropped_windows = 0
        self._genres: tuple[str, ...] = ()
        self._pool = Pool(pooling, threshold=threshold)
        self._latencies = _LatencyHistogram()

    def add(self, prediction: Prediction) -> None:
        """Add the next prediction of the source."""
        self._windows += 1
        self._seconds = prediction.end_seconds
        self._dropped_windows = prediction.dropped_windows
        if not prediction.probabilities:
            return
        self._latencies.add(prediction.latency_ms)
        self._genres = tuple(prediction.probabilities)
        self._pool.add(list(prediction.probabilities.values()))

    def summary(self, *, overflows: int = 0, idle_seconds: float = 0.0) -> Summary:
        """The summary of the predictions so far.

        Parameters
        ----------
        overflows : int >= 0
            As counted by the source.
        idle_seconds : float >= 0
            Time spent waiting for audio, which is no work.
        """
        genre, confidence = SILENCE, 0.0
        pooled: dict[str, float] = {}
        if self._pool.windows:
            pooled = dict(zip(self._genres, self._pool.probabilities().tolist(), strict=True))
            genre, confidence = apply_threshold(pooled, self._threshold)
        busy_seconds = max(0.0, perf_counter() - self._started - idle_seconds)
        return Summary(
            source=self._source,
            windows=self._windows,
            genre=genre,
            confidence=confidence,
            probabilities=pooled,
            seconds=self._seconds,
            realtime_factor=busy_seconds / self._seconds if self._seconds else 0.0,
            dropped_windows=self._dropped_windows,
            overflows=overflows,
            latency_ms=self._latencies.percentiles() if self._pool.windows else {},
        )


class _LatencyHistogram:
    """Percentiles of any number of durations, exact to half a percent, from a histogram of 1 % wide bins."""

    def __init__(self) -> None:
        self._log_bin_width = math.log(1.01)
        self._counts: Counter[int] = Counter()
        self._maximum = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one more duration; everything below a microsecond falls into the same bin."""
        self._counts[round(math.log(max(milliseconds, 1e-3)) / self._log_bin_width)] += 1
        self._maximum = max(self._maximum, milliseconds)

    def percentiles(self) -> dict[str, float]:
        """p50, p90, p99 and max, milliseconds."""
        bins, counts = zip(*sorted(self._counts.items()), strict=True)
        cumulated = np.cumsum(counts)
        result = {}
        for percent in (50, 90, 99):
            index = int(np.searchsorted(cumulated, cumulated[-1] * percent / 100))
            result[f"p{percent}"] = min(math.exp(bins[index] * self._log_bin_width), self._maximum)
        return {**result, "max": self._maximum}

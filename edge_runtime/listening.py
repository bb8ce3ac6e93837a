"""A stream of sound to a stream of answers: the machine behind ``tmgc-listen``, for programs to use as well."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples, level_dbfs
from edge_runtime.card import ModelCard
from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.windows import Window, cut_windows

UNKNOWN = "unknown"
"""The answer where no genre is confident enough."""
SILENCE = "silence"
"""The answer where there is nothing to hear."""


MOST_SMOOTHED = 10_000
"""Windows: some hours of them."""


class AudioSource(Protocol):
    """Where sound comes from: a file, or anything else that gives blocks of samples."""

    @property
    def name(self) -> str: ...

    def blocks(self) -> Iterator[Samples]:
        """Mono samples at the model's rate, in blocks of any length."""


@dataclass(frozen=True)
class ListenSettings:
    """How a stream is cut and how its answers are decided."""

    hop_seconds: float = 1.0
    """Seconds between windows; rounded to whole spectrogram frames."""
    smooth: int = 5
    """Windows whose probabilities are averaged for the smoothed answer."""
    threshold: float | None = None
    """Confidence below which the answer is ``unknown``, in [0, 1]; None takes the model card's."""
    silence_dbfs: float = -50.0
    """Level below which a window is silence, dBFS."""

    def __post_init__(self) -> None:
        if not 1 <= self.smooth <= MOST_SMOOTHED:
            raise TmgcError(f"smoothing takes 1 to {MOST_SMOOTHED} windows, got {self.smooth}")
        if not math.isfinite(self.silence_dbfs):
            raise TmgcError(
                f"the level of silence must be a number of dBFS, got {self.silence_dbfs}: try --silence -50"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise TmgcError(f"the threshold must lie in [0, 1], got {self.threshold}")


@dataclass(frozen=True)
class Answer:
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
    model_ms: float
    delay_ms: float
    """From the arrival of the window's last sample to its answer."""
    source: str


def listen(
    source: AudioSource, classifier: GenreClassifier, settings: ListenSettings | None = None
) -> Iterator[Answer]:
    """Answers for a stream, one a window, as the sound comes.

    Parameters
    ----------
    source : AudioSource
        Gives mono samples at ``classifier.card.spectrogram.sample_rate``.
    classifier : GenreClassifier
    settings : ListenSettings, optional

    Yields
    ------
    answer : Answer
    """
    settings = settings or ListenSettings()
    decide = _Decision(classifier.card, settings)
    for window in cut_windows(source.blocks(), classifier.card.spectrogram, hop_seconds=settings.hop_seconds):
        yield decide.answer(window, classifier, source.name)


class _Decision:
    """From probabilities to a genre, with a memory of the last windows."""

    def __init__(self, card: ModelCard, settings: ListenSettings) -> None:
        self._card = card
        self._silence_dbfs = settings.silence_dbfs
        self._threshold = card.threshold if settings.threshold is None else settings.threshold
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=settings.smooth)

    def answer(self, window: Window, classifier: GenreClassifier, source: str) -> Answer:
        arrived = perf_counter()
        level = level_dbfs(window.samples)
        genre, confidence, spectrogram_ms, model_ms = SILENCE, 0.0, 0.0, 0.0
        probabilities: dict[str, float] = {}
        if level >= self._silence_dbfs:
            heard = classifier.classify(window.samples)
            spectrogram_ms, model_ms = heard.spectrogram_ms, heard.model_ms
            genre, confidence = self._name(heard.probabilities)
            probabilities = dict(zip(self._card.genres, map(float, heard.probabilities), strict=True))
            self._recent.append(heard.probabilities)
            smoothed, smoothed_confidence = self._name(np.mean(self._recent, axis=0))
        else:
            self._recent.clear()
            smoothed, smoothed_confidence = SILENCE, 0.0
        rate = self._card.spectrogram.sample_rate
        return Answer(
            time=datetime.now(UTC),
            start_seconds=window.start_sample / rate,
            end_seconds=(window.start_sample + len(window.samples)) / rate,
            genre=genre,
            confidence=confidence,
            smoothed_genre=smoothed,
            smoothed_confidence=smoothed_confidence,
            probabilities=probabilities,
            level_dbfs=level,
            spectrogram_ms=spectrogram_ms,
            model_ms=model_ms,
            delay_ms=(perf_counter() - arrived) * 1e3,
            source=source,
        )

    def _name(self, probabilities: NDArray[np.float32]) -> tuple[str, float]:
        likeliest = int(np.argmax(probabilities))
        confidence = float(probabilities[likeliest])
        return (self._card.genres[likeliest] if confidence >= self._threshold else UNKNOWN), confidence


@dataclass(frozen=True)
class Summary:
    """What was heard in a whole source."""

    source: str
    windows: int
    genre: str
    """The likeliest of the mean probabilities; ``silence`` where no window held a sound."""
    confidence: float
    """Mean probability of that genre, in [0, 1]; 0 for silence."""
    probabilities: Mapping[str, float]
    """Mean over the windows that were not silent; empty where all were."""
    seconds: float
    """Sound from the beginning of the first window to the end of the last."""
    realtime_factor: float
    """Seconds that the answers took for each second of sound; below 1 keeps up."""
    latency_ms: Mapping[str, float]
    """p50, p90, p99 and max of spectrogram and model together; empty where all windows were silent."""


class Summarizer:
    """Adds up answers to a summary, in memory that does not grow with silence."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._begun = perf_counter()
        self._windows = 0
        self._seconds = 0.0
        self._sums: dict[str, float] = {}
        self._latencies_ms: list[float] = []

    def add(self, answer: Answer) -> None:
        """Take one more answer in."""
        self._windows += 1
        self._seconds = answer.end_seconds
        if not answer.probabilities:
            return
        self._latencies_ms.append(answer.spectrogram_ms + answer.model_ms)
        for genre, probability in answer.probabilities.items():
            self._sums[genre] = self._sums.get(genre, 0.0) + probability

    def summary(self) -> Summary:
        """What the answers so far add up to."""
        heard = len(self._latencies_ms)
        means = {genre: total / heard for genre, total in self._sums.items()}
        genre = max(means, key=means.__getitem__) if means else SILENCE
        return Summary(
            source=self._source,
            windows=self._windows,
            genre=genre,
            confidence=means.get(genre, 0.0),
            probabilities=means,
            seconds=self._seconds,
            realtime_factor=(perf_counter() - self._begun) / self._seconds if self._seconds else 0.0,
            latency_ms=self._latency() if heard else {},
        )

    def _latency(self) -> dict[str, float]:
        p50, p90, p99, highest = np.percentile(self._latencies_ms, (50, 90, 99, 100))
        return {"p50": float(p50), "p90": float(p90), "p99": float(p99), "max": float(highest)}

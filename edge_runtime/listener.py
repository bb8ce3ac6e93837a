"""A stream of sound to a stream of answers: the machine behind ``tmgc-listen``, for programs to use as well."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import level_dbfs
from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from edge_runtime.predictions import SILENCE, Event, Prediction, apply_threshold
from edge_runtime.sources import AudioSource
from edge_runtime.windowing import StreamedWindow, hop_samples, stream_windows

MOST_SMOOTHED = 10_000
"""Windows: some hours of them."""

CALM_WINDOWS = 30
"""An overload is over when so many windows in a row were not dropped: one that barely does not keep up drops few."""


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

    def threshold_for(self, card: ModelCard) -> float:
        """The one that was set, or else the card's."""
        return card.threshold if self.threshold is None else self.threshold

    def __post_init__(self) -> None:
        if not 1 <= self.smooth <= MOST_SMOOTHED:
            raise TmgcError(f"smoothing takes 1 to {MOST_SMOOTHED} windows, got {self.smooth}")
        if not math.isfinite(self.silence_dbfs):
            raise TmgcError(
                f"the level of silence must be a number of dBFS, got {self.silence_dbfs}: try --silence -50"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise TmgcError(f"the threshold must lie in [0, 1], got {self.threshold}")


def listen(
    source: AudioSource,
    classifier: GenreClassifier,
    settings: ListenSettings | None = None,
    *,
    notify: Callable[[Event], None] | None = None,
) -> Iterator[Prediction]:
    """Answers for a stream, one a window, as the sound comes.

    Where sound waits that would fill another window, the present one is stale: it is dropped and counted.

    Parameters
    ----------
    source : AudioSource
        Gives mono samples at ``classifier.card.spectrogram.sample_rate``.
    classifier : GenreClassifier
    settings : ListenSettings, optional
    notify : callable, optional
        Is told of an overload and of its end.

    Yields
    ------
    answer : Answer
    """
    settings = settings or ListenSettings()
    decision = _Decision(classifier.card, settings)
    spectrogram = classifier.card.spectrogram
    load = _Load(hop_samples(spectrogram, settings.hop_seconds) / spectrogram.sample_rate)
    windows = stream_windows(
        source.blocks(),
        classifier.spectrogram,
        hop_seconds=settings.hop_seconds,
        framed=classifier.card.input_kind == "image",
    )
    for window in windows:
        if window.after_gap:  # also where the window itself is dropped
            decision.forget()
        waited = source.waiting_seconds
        stale = load.is_too_much(waited)
        if load.news and notify:
            notify(Event(datetime.now(UTC), source.name, *load.news))
        if not stale:
            yield decision.prediction(
                window, classifier, source.name, waited_seconds=waited, dropped_windows=load.dropped
            )


class _Load:
    """Whether answers keep up with a live source.

    Attributes
    ----------
    dropped : int
        Windows that were stale.
    news : tuple of str or None
        The event that the last window was, and its reason.
    """

    def __init__(self, hop_seconds: float) -> None:
        self.dropped = 0
        self.news: tuple[str, str] | None = None
        self._hop_seconds = hop_seconds
        self._overloaded = False
        self._calm_windows = 0

    def is_too_much(self, waiting_seconds: float) -> bool:
        """Whether a window is stale, since what waits behind it holds the next one already."""
        stale = waiting_seconds >= self._hop_seconds
        self.dropped += stale
        self._calm_windows = 0 if stale else self._calm_windows + 1
        self.news = None
        if stale and not self._overloaded:
            self.news = "overload", "windows are dropped, since answers take longer than the hop"
        elif self._overloaded and self._calm_windows == CALM_WINDOWS:
            self.news = "recovered", f"no window was dropped of the last {CALM_WINDOWS}; {self.dropped} were in all"
        if self.news:
            self._overloaded = stale
        return stale


class _Decision:
    """From probabilities to a genre, with a memory of the last windows."""

    def __init__(self, card: ModelCard, settings: ListenSettings) -> None:
        self._card = card
        self._silence_dbfs = settings.silence_dbfs
        self._threshold = settings.threshold_for(card)
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=settings.smooth)

    def forget(self) -> None:
        """Smooth over no window so far."""
        self._recent.clear()

    def prediction(
        self,
        window: StreamedWindow,
        classifier: GenreClassifier,
        source: str,
        *,
        waited_seconds: float,
        dropped_windows: int,
    ) -> Prediction:
        arrived = perf_counter()
        level = level_dbfs(window.samples)
        genre, confidence, spectrogram_ms, model_ms = SILENCE, 0.0, 0.0, 0.0
        probabilities: dict[str, float] = {}
        if level >= self._silence_dbfs:
            heard = classifier.classify(window.samples, inner_power=window.inner_power)
            spectrogram_ms, model_ms = window.framing_ms + heard.spectrogram_ms, heard.model_ms
            probabilities = self._named(heard.probabilities)
            genre, confidence = apply_threshold(probabilities, self._threshold)
            self._recent.append(heard.probabilities)
            smoothed, smoothed_confidence = apply_threshold(self._named(np.mean(self._recent, axis=0)), self._threshold)
        else:
            self._recent.clear()
            smoothed, smoothed_confidence = SILENCE, 0.0
        rate = self._card.spectrogram.sample_rate
        return Prediction(
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
            delay_ms=(waited_seconds + perf_counter() - arrived) * 1e3 + window.framing_ms,
            dropped_windows=dropped_windows,
            source=source,
        )

    def _named(self, probabilities: NDArray[np.float32]) -> dict[str, float]:
        return dict(zip(self._card.genres, probabilities.tolist(), strict=True))

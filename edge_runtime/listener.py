"""A stream of audio to a stream of predictions: windows, smoothing, threshold and overload."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import level_dbfs
from edge_runtime.classifier import MAX_INVALID, GenreClassifier
from edge_runtime.errors import InvalidAnswerError, TmgcError, UntrustedModelError
from edge_runtime.model_card import ModelCard
from edge_runtime.pooling import pool
from edge_runtime.predictions import SILENCE, Event, Prediction, apply_threshold
from edge_runtime.sources import AudioSource
from edge_runtime.windowing import OnFrames, StreamedWindow, hop_samples, stream_windows

MAX_SMOOTH = 10_000
"""Windows; some hours of them."""

RECOVERY_WINDOWS = 30
"""An overload has ended when so many windows in a row were not dropped: a machine just too slow drops only a few."""


@dataclass(frozen=True)
class ListenSettings:
    """How a stream is cut into windows, and how predictions are derived from probabilities."""

    hop_seconds: float = 1.0
    """Seconds between windows; rounded to whole spectrogram frames."""
    smooth: int | None = None
    """Windows that are pooled for the smoothed prediction; None takes as many as cover the model card's
    ``smoothing_seconds``."""
    threshold: float | None = None
    """Confidence below which the genre is ``unknown``, in [0, 1]; None takes the model card's."""
    silence_dbfs: float = -50.0
    """Level below which a window is silence, dBFS."""

    def threshold_for(self, card: ModelCard) -> float:
        """The threshold of these settings, or else the model card's."""
        return card.threshold if self.threshold is None else self.threshold

    def smooth_for(self, card: ModelCard) -> int:
        """The windows of these settings, or else as many as cover the seconds of the model card."""
        if self.smooth is not None:
            return self.smooth
        spectrogram = card.spectrogram
        hop_seconds = hop_samples(spectrogram, self.hop_seconds) / spectrogram.sample_rate
        further = round((card.smoothing_seconds - spectrogram.window_seconds) / hop_seconds)
        return min(max(1, 1 + further), MAX_SMOOTH)

    def __post_init__(self) -> None:
        if self.smooth is not None and not 1 <= self.smooth <= MAX_SMOOTH:
            raise TmgcError(f"smoothing takes 1 to {MAX_SMOOTH} windows, got {self.smooth}: try --smooth 5")
        if not math.isfinite(self.silence_dbfs):
            raise TmgcError(
                f"the level of silence must be a number of dBFS, got {self.silence_dbfs}: try --silence -50"
            )
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise TmgcError(f"the threshold must lie in [0, 1], got {self.threshold}: try --threshold 0.5")


def listen(
    source: AudioSource,
    classifier: GenreClassifier,
    settings: ListenSettings | None = None,
    *,
    notify: Callable[[Event], None] | None = None,
    on_frames: OnFrames | None = None,
) -> Iterator[Prediction]:
    """Classify a stream window by window as it arrives.

    A window is dropped, and counted, where enough samples for the next one wait behind it. A gap in the stream clears
    the smoothing.

    Parameters
    ----------
    source : AudioSource
        Yields mono samples at ``classifier.card.spectrogram.sample_rate``.
    classifier : GenreClassifier
    settings : ListenSettings, optional
    notify : callable, optional
        Called with the ``overload``, ``recovered`` and ``invalid answer`` events.
    on_frames : callable, optional
        Called with the mel power of spectrogram frames, ``[shape=(frames, n_mels)], float32 >= 0``, as they are
        computed, and with the position in the source where the last one ends, seconds.

    Yields
    ------
    prediction : Prediction
        A window whose answer is not finite has none: it is an ``invalid answer`` event.

    Raises
    ------
    UntrustedModelError
        Answers in a row are not finite, as many as :class:`~edge_runtime.classifier.ModelHealth` allows.
    """
    settings = settings or ListenSettings()
    predictor = _Predictor(classifier, settings, source.name)
    spectrogram = classifier.card.spectrogram
    overload = _OverloadDetector(hop_samples(spectrogram, settings.hop_seconds) / spectrogram.sample_rate)
    windows = stream_windows(
        source.blocks(),
        classifier.spectrogram,
        hop_seconds=settings.hop_seconds,
        framed=classifier.card.input_kind == "image",
        on_frames=on_frames,
    )
    for window in windows:
        if window.after_gap:  # also where the window itself is dropped
            predictor.clear_smoothing()
        waited = source.waiting_seconds
        stale = overload.is_stale(waited)
        if overload.change and notify:
            notify(Event(datetime.now(UTC), source.name, *overload.change))
        if stale:
            continue
        try:
            yield predictor.predict(window, waited_seconds=waited, dropped_windows=overload.dropped)
        except InvalidAnswerError as error:
            predictor.clear_smoothing()
            if notify:
                notify(Event(datetime.now(UTC), source.name, "invalid answer", str(error)))
            if classifier.health.failed:
                raise UntrustedModelError(f"{MAX_INVALID} answers in a row were not finite: {error}") from error


class _OverloadDetector:
    """Whether predictions keep up with a live source.

    Attributes
    ----------
    dropped : int
        Number of stale windows.
    change : tuple of str or None
        Name and reason of the event that the last window caused.
    """

    def __init__(self, hop_seconds: float) -> None:
        self.dropped = 0
        self.change: tuple[str, str] | None = None
        self._hop_seconds = hop_seconds
        self._overloaded = False
        self._kept_in_a_row = 0

    def is_stale(self, waiting_seconds: float) -> bool:
        """Whether the next window has arrived already, so that this one is to be dropped."""
        stale = waiting_seconds >= self._hop_seconds
        self.dropped += stale
        self._kept_in_a_row = 0 if stale else self._kept_in_a_row + 1
        self.change = None
        if stale and not self._overloaded:
            self.change = "overload", "windows are dropped, since predictions take longer than the hop"
        elif self._overloaded and self._kept_in_a_row == RECOVERY_WINDOWS:
            self.change = "recovered", f"none of the last {RECOVERY_WINDOWS} windows was dropped, {self.dropped} in all"
        if self.change:
            self._overloaded = stale
        return stale


class _Predictor:
    """Classifies windows, and pools the last ones."""

    def __init__(self, classifier: GenreClassifier, settings: ListenSettings, source: str) -> None:
        self._classifier = classifier
        self._card = classifier.card
        self._source = source
        self._silence_dbfs = settings.silence_dbfs
        self._threshold = settings.threshold_for(classifier.card)
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=settings.smooth_for(classifier.card))

    def clear_smoothing(self) -> None:
        """Pool no window from before."""
        self._recent.clear()

    def predict(self, window: StreamedWindow, *, waited_seconds: float, dropped_windows: int) -> Prediction:
        begun = perf_counter()
        level = level_dbfs(window.samples)
        genre, confidence, spectrogram_ms, model_ms = SILENCE, 0.0, 0.0, 0.0
        smoothed_genre, smoothed_confidence = SILENCE, 0.0
        probabilities: dict[str, float] = {}
        if level >= self._silence_dbfs:
            result = self._classifier.classify(window.samples, inner_power=window.inner_power)
            spectrogram_ms, model_ms = window.framing_ms + result.spectrogram_ms, result.model_ms
            probabilities = self._by_genre(result.probabilities)
            genre, confidence = apply_threshold(probabilities, self._threshold)
            self._recent.append(result.probabilities)
            pooled = pool(np.stack(self._recent), self._card.pooling, threshold=self._threshold)
            smoothed_genre, smoothed_confidence = apply_threshold(self._by_genre(pooled), self._threshold)
        else:
            self.clear_smoothing()
        rate = self._card.spectrogram.sample_rate
        return Prediction(
            time=datetime.now(UTC),
            start_seconds=window.start_sample / rate,
            end_seconds=(window.start_sample + len(window.samples)) / rate,
            genre=genre,
            confidence=confidence,
            smoothed_genre=smoothed_genre,
            smoothed_confidence=smoothed_confidence,
            probabilities=probabilities,
            level_dbfs=level,
            spectrogram_ms=spectrogram_ms,
            model_ms=model_ms,
            delay_ms=(waited_seconds + perf_counter() - begun) * 1e3 + window.framing_ms,
            dropped_windows=dropped_windows,
            source=self._source,
        )

    def _by_genre(self, probabilities: NDArray[np.floating[Any]]) -> dict[str, float]:
        return dict(zip(self._card.genres, probabilities.tolist(), strict=True))

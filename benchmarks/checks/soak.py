"""Whether listening can go on for ever: hours of audio at full speed, and what of memory, files and threads is left.

Synthesised audio is streamed through a model as ``tmgc-listen`` does. Memory is compared after the first minute of
audio and at the end; files and threads before the model is opened and after it is gone.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from edge_runtime.audio import Samples
from edge_runtime.classifier import GenreClassifier
from edge_runtime.listener import ListenSettings, listen

MAX_GROWTH = 0.02
"""Share by which memory may be more at the end than after the first minute; less is no leak."""

_BLOCK_SECONDS = 0.25
_SETTLING_SECONDS = 60.0


@dataclass(frozen=True)
class Soak:
    """Memory, files and threads before and after hours of audio."""

    audio_hours: float
    windows: int
    spent_seconds: float
    settled_mb: float
    """Resident memory after the first minute of audio, at its highest within the second."""
    final_mb: float
    files_left: int
    """File descriptors at the end beyond those of the beginning."""
    threads_left: int

    @property
    def growth(self) -> float:
        """Of the memory, as a share; negative where it has shrunk."""
        return self.final_mb / self.settled_mb - 1

    @property
    def passed(self) -> bool:
        """Whether nothing has grown."""
        return self.growth <= MAX_GROWTH and self.files_left <= 0 and self.threads_left <= 0

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures for people."""
        times = self.audio_hours * 3600 / self.spent_seconds
        return (
            f"audio: {self.audio_hours:g} h, {self.windows} windows, in {self.spent_seconds:.0f} s ({times:.0f} times "
            "as fast as it plays)",
            f"memory: {self.settled_mb:.1f} MB after the first minute of audio, {self.final_mb:.1f} MB at the end",
            f"ratio: {1 + self.growth:.3f} (at most {1 + MAX_GROWTH:.2f})",
            f"left behind: {self.files_left} file descriptors, {self.threads_left} threads",
        )


class SynthesisedStream:
    """A source for :func:`edge_runtime.listen` of audio that never repeats: a tone of changing pitch in noise."""

    name = "synthesised"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, sample_rate: int, seconds: float) -> None:
        self._rate = sample_rate
        self._seconds = seconds

    def blocks(self) -> Iterator[Samples]:
        """Blocks of a quarter of a second, float32 in [-1, 1]."""
        generator = np.random.default_rng(0)
        time = np.arange(round(_BLOCK_SECONDS * self._rate)) / self._rate
        for _ in range(round(self._seconds / _BLOCK_SECONDS)):
            tone = 0.3 * np.sin(2 * np.pi * generator.uniform(80.0, 2000.0) * time)
            yield np.clip(tone + generator.normal(0, 0.1, len(time)), -1, 1).astype(np.float32)


def soak(model: Path, *, hours: float, threads: int | None = None, settling_seconds: float = _SETTLING_SECONDS) -> Soak:
    """Listen to a stream from its beginning to its end.

    Parameters
    ----------
    model : Path
    hours : float > 0
        Of audio.
    threads : int > 0, optional
    settling_seconds : float > 0
        Of audio, after which memory is looked at for the first time.

    Raises
    ------
    TmgcError
        The model cannot be run.
    """
    import psutil

    process = psutil.Process()
    _listen(model, threads, 2 * settling_seconds)  # what libraries set up once and keep is not left behind
    files, running = process.num_fds(), process.num_threads()
    begun = perf_counter()
    windows, settled_mb, final_mb = _listen(model, threads, hours * 3600, settling_seconds)
    spent = perf_counter() - begun
    return Soak(hours, windows, spent, settled_mb, final_mb, process.num_fds() - files, process.num_threads() - running)


def _listen(
    model: Path, threads: int | None, seconds: float, settling_seconds: float = _SETTLING_SECONDS
) -> tuple[int, float, float]:
    """Number of windows, and MB after settling and at the end; the model is gone afterwards."""
    import psutil

    process = psutil.Process()
    classifier = GenreClassifier.open(model, threads=threads)
    stream = SynthesisedStream(classifier.card.spectrogram.sample_rate, seconds)
    windows, settled_mb, final_mb = 0, 0.0, 0.0
    for prediction in listen(stream, classifier, ListenSettings()):
        windows += 1
        # At its highest within a while, since what is held from block to block goes up and down by a megabyte.
        if settling_seconds <= prediction.end_seconds < 2 * settling_seconds:
            settled_mb = max(settled_mb, process.memory_info().rss / 1e6)
        elif prediction.end_seconds >= seconds - settling_seconds:
            final_mb = max(final_mb, process.memory_info().rss / 1e6)
    del classifier
    gc.collect()
    return windows, settled_mb, final_mb

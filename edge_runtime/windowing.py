"""A stream of audio to windows, whose spectrogram frames are computed once, as their samples arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings

LONGEST_HOP_SECONDS = 86_400.0


class Window(NamedTuple):
    """A stretch of a stream of the length that the model takes."""

    start_sample: int
    """Samples from the beginning of the stream."""
    samples: Samples
    """``[shape=(window_samples,)], float32 in [-1, 1]``"""
    after_gap: bool = False
    """Samples are missing between this window and the one before."""


def hop_samples(settings: SpectrogramSettings, hop_seconds: float) -> int:
    """Samples from one window to the next.

    Rounded to whole spectrogram frames, so that overlapping windows share frames; exact where windows do not overlap.

    Parameters
    ----------
    settings : SpectrogramSettings
    hop_seconds : float > 0, seconds

    Raises
    ------
    TmgcError
        The hop is shorter than one spectrogram frame, or not a finite number.
    """
    if not hop_seconds <= LONGEST_HOP_SECONDS:
        raise TmgcError(f"the hop must be a number of seconds, at most a day, got {hop_seconds}: try --hop 1.0")
    if hop_seconds >= settings.window_seconds:
        return round(hop_seconds * settings.sample_rate)
    frames = round(hop_seconds * settings.sample_rate / settings.hop_length)
    if frames < 1:
        shortest = settings.hop_length / settings.sample_rate
        raise TmgcError(f"the hop must be at least one frame ({shortest:.4f} s), got {hop_seconds} s: try --hop 1.0")
    return frames * settings.hop_length


def cut_windows(
    blocks: Iterable[Samples | None], settings: SpectrogramSettings, *, hop_seconds: float
) -> Iterator[Window]:
    """Whole windows of a stream, each as soon as its last sample has arrived.

    Samples behind the last whole window, or behind the last one before a gap, belong to no window.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(n,)], float32 in [-1, 1], or None
        Blocks of any length, at ``settings.sample_rate``. None marks a gap, which no window spans.
    settings : SpectrogramSettings
    hop_seconds : float > 0, seconds

    Yields
    ------
    window : Window
    """
    length, hop = settings.window_samples, hop_samples(settings, hop_seconds)
    pending: list[Samples] = []
    pending_samples = 0
    start = 0
    skip = 0  # samples between two windows that do not overlap
    after_gap = False
    for block in blocks:
        if block is None:
            start, pending, pending_samples, skip = start + pending_samples - skip, [], 0, 0
            after_gap = True
            continue
        if skip:
            skipped = min(skip, len(block))
            block, skip = block[skipped:], skip - skipped
        pending.append(block)
        pending_samples += len(block)
        if pending_samples < length:
            continue
        joined = np.concatenate(pending)
        while len(joined) >= length:
            yield Window(start, joined[:length], after_gap)
            after_gap = False
            start += hop
            skip = max(0, hop - len(joined))
            joined = joined[hop:]
        pending, pending_samples = [joined], len(joined)


_BATCH_FRAMES = 16
"""Frames computed at once, 93 ms at 44 100 Hz: one by one takes five times as long."""


class StreamedWindow(NamedTuple):
    """A window, and the part of its spectrogram that was computed as its samples arrived."""

    start_sample: int
    """Samples from the beginning of the stream."""
    samples: Samples
    """``[shape=(window_samples,)], float32 in [-1, 1]``"""
    after_gap: bool
    """Samples are missing between this window and the one before."""
    inner_power: NDArray[np.float32] | None
    """Mel power of its inner frames, for :meth:`Spectrogram.image`; None where windows share no frames."""
    framing_ms: float
    """Time spent on its frames since its last samples arrived, ms."""


OnFrames = Callable[[NDArray[np.float32], float], None]
"""Takes the mel power of frames, ``[shape=(frames, n_mels)], float32 >= 0``, and where the last one ends, seconds."""


def stream_windows(
    blocks: Iterable[Samples | None],
    spectrogram: Spectrogram,
    *,
    hop_seconds: float,
    framed: bool = True,
    on_frames: OnFrames | None = None,
) -> Iterator[StreamedWindow]:
    """Whole windows of a stream with the power of their inner frames.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(n,)], float32 in [-1, 1], or None
        As for :func:`cut_windows`.
    spectrogram : Spectrogram
    hop_seconds : float > 0, seconds
    framed : bool
        Whether to compute the frames; a model with waveform input needs none.
    on_frames : callable, optional
        Called with the frames as they are computed, about ten times a second; without ``framed`` for it alone.

    Yields
    ------
    window : StreamedWindow
    """
    settings = spectrogram.settings
    if not framed or hop_samples(settings, hop_seconds) >= settings.window_samples:
        if on_frames is not None:
            blocks = _InnerFrames(spectrogram, on_frames).shown(blocks)
        for window in cut_windows(blocks, settings, hop_seconds=hop_seconds):
            yield StreamedWindow(*window, inner_power=None, framing_ms=0.0)
        return
    frames = _InnerFrames(spectrogram, on_frames)
    for window in cut_windows(frames.fed_by(blocks), settings, hop_seconds=hop_seconds):
        inner_power = frames.of(window)
        yield StreamedWindow(*window, inner_power=inner_power, framing_ms=frames.take_spent_ms())


class _InnerFrames:
    """Mel power of the frames that overlapping windows share: a hop is whole frames, so they lie on one grid."""

    def __init__(self, spectrogram: Spectrogram, on_frames: OnFrames | None) -> None:
        self._spectrogram = spectrogram
        self._on_frames = on_frames
        self._fed_samples = 0
        self._n_fft, self._hop = spectrogram.settings.n_fft, spectrogram.settings.hop_length
        self._none = np.zeros((0, spectrogram.settings.n_mels), np.float32)
        self._powers: list[NDArray[np.float32]] = []
        self._waiting: Samples = np.zeros(0, np.float32)
        self._first = 0
        self._origin: int | None = None
        self._begin_grid()
        self._spent_ms = 0.0

    def fed_by(self, blocks: Iterable[Samples | None]) -> Iterator[Samples | None]:
        """Pass the blocks on, each after its frames are computed."""
        for block in blocks:
            begun = perf_counter()
            if block is None:
                self._begin_grid()
            else:
                self._feed(block)
            self._spent_ms = (perf_counter() - begun) * 1e3
            yield block

    def shown(self, blocks: Iterable[Samples | None]) -> Iterator[Samples | None]:
        """Pass the blocks on, and keep no frames."""
        for block in self.fed_by(blocks):
            self._powers.clear()
            yield block

    def of(self, window: Window) -> NDArray[np.float32]:
        """Power of a window's inner frames, ``[shape=(inner_frames, n_mels)]``; windows in order."""
        begun = perf_counter()
        self._compute()
        if self._origin is None:
            self._origin = window.start_sample
        number = (window.start_sample - self._origin) // self._hop
        kept = np.concatenate(self._powers)[number - self._first :] if self._powers else self._none
        self._first, self._powers = number, [kept]
        self._spent_ms += (perf_counter() - begun) * 1e3
        return kept[: self._spectrogram.settings.inner_frames]

    def take_spent_ms(self) -> float:
        """Time spent since the last block arrived, ms; resets it."""
        spent, self._spent_ms = self._spent_ms, 0.0
        return spent

    def _begin_grid(self) -> None:
        settings = self._spectrogram.settings
        # samples before the next frame: a window's first inner frame begins a little after the window
        self._skip = settings.leading_frames * self._hop - self._n_fft // 2
        self._first, self._powers = 0, []
        self._waiting = self._waiting[:0]
        self._origin = None

    def _feed(self, block: Samples) -> None:
        self._fed_samples += len(block)
        skipped = min(self._skip, len(block))
        self._skip -= skipped
        self._waiting = np.concatenate([self._waiting, block[skipped:]])
        if len(self._waiting) >= self._n_fft + (_BATCH_FRAMES - 1) * self._hop:
            self._compute()

    def _compute(self) -> None:
        """Compute the frames whose samples are complete."""
        if len(self._waiting) < self._n_fft:
            return
        power = self._spectrogram.frame_power(self._waiting)
        self._powers.append(power)
        done = len(self._powers[-1]) * self._hop
        self._skip = max(0, done - len(self._waiting))  # frames that do not overlap
        self._waiting = self._waiting[done:]
        if self._on_frames is not None:
            end_sample = self._fed_samples - len(self._waiting) + self._n_fft - self._hop
            self._on_frames(power, end_sample / self._spectrogram.settings.sample_rate)

"""A stream of sound cut into windows, one every hop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings

LONGEST_HOP_SECONDS = 86_400.0


class Window(NamedTuple):
    """A stretch of a stream, exactly as long as the model's picture."""

    start_sample: int
    """Samples from the beginning of the stream."""
    samples: Samples
    """``[shape=(window_samples,)], float32 in [-1, 1]``"""


def hop_samples(settings: SpectrogramSettings, hop_seconds: float) -> int:
    """Samples from one window to the next: the wish rounded to whole spectrogram frames.

    Overlapping windows then share their frames. Windows that do not overlap share none, so their hop is exact.

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
    """Whole windows of a stream, each given as soon as its last sample has come.

    What is left after the last whole window is less than a hop and is not answered for.

    Parameters
    ----------
    blocks : iterable of np.ndarray [shape=(n,)], float32 in [-1, 1], or None
        Blocks of any length, at ``settings.sample_rate``. None is a gap: no window straddles it.
    settings : SpectrogramSettings
    hop_seconds : float > 0, seconds
    """
    length, hop = settings.window_samples, hop_samples(settings, hop_seconds)
    pending: list[Samples] = []
    held = 0
    start = 0
    skip = 0
    for block in blocks:
        if block is None:
            start, pending, held, skip = start + held - skip, [], 0, 0
            continue
        if skip:
            skipped = min(skip, len(block))
            block, skip = block[skipped:], skip - skipped
        pending.append(block)
        held += len(block)
        if held < length:
            continue
        joined = np.concatenate(pending)
        while len(joined) >= length:
            yield Window(start, joined[:length])
            start += hop
            skip = max(0, hop - len(joined))
            joined = joined[hop:]
        pending, held = [joined], len(joined)

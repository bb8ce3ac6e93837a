"""Sound of any rate and channel count, block by block, as mono float32 at the rate that the model wants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono sound, ``[shape=(n,)], float32 in [-1, 1]``."""

DAMAGED = "holds samples that are not sound (not numbers, or far above full scale); they count as silence"
"""What to tell a person whose sound is :attr:`MonoStream.damaged`."""

_LOUDEST = 1e4
"""Samples beyond it, 80 dB above full scale, are damage and no sound."""


class MonoStream:
    """The mean of all channels, resampled as one stream without a seam between blocks.

    Parameters
    ----------
    rate : int > 0, Hz
        Of the blocks that come.
    sample_rate : int > 0, Hz
        Of the samples that are given.

    Attributes
    ----------
    damaged : bool
        Whether there were samples that are no sound.
    """

    def __init__(self, rate: int, sample_rate: int) -> None:
        import soxr

        self.damaged = False
        self._resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, "float32")

    def take(self, block: NDArray[np.float32]) -> Samples:
        """What a block adds to the stream; the resampler gives it a little later than it came.

        Parameters
        ----------
        block : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]
        """
        mono = self._mono(block)
        resampled: Samples = mono if self._resampler is None else self._resampler.resample_chunk(mono)
        return resampled

    def end(self) -> Samples:
        """What the resampler still held back."""
        nothing = np.zeros(0, np.float32)
        if self._resampler is None:
            return nothing
        last: Samples = self._resampler.resample_chunk(nothing, last=True)
        return last

    def _mono(self, block: NDArray[np.float32]) -> Samples:
        # The two ends and not abs, which would need as much memory again; NaN fails both.
        if not (block.max(initial=0) <= _LOUDEST and block.min(initial=0) >= -_LOUDEST):
            self.damaged = True
            block = np.where(np.abs(block) <= _LOUDEST, block, np.float32(0))
        if block.shape[1] == 1:
            return np.ascontiguousarray(block[:, 0])
        # einsum and not mean, which takes longer over such short rows than a decoder does.
        mono: Samples = np.einsum("fc->f", block) * np.float32(1 / block.shape[1])
        return mono

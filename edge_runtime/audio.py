"""Sound of any rate and channel count as mono float32 at the model's rate: downmix and resampling; and its level."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono audio, ``[shape=(n,)], float32 in [-1, 1]``."""

DAMAGED = "holds invalid samples (not a number, or far above full scale), which are replaced by silence"
"""Warning about a source whose :attr:`MonoResampler.damaged` is true."""

_MAX_SAMPLE = 1e4
"""80 dB above full scale; samples beyond it are invalid."""


class MonoResampler:
    """Downmixes (mean of the channels) and resamples a stream, without discontinuities between blocks.

    Parameters
    ----------
    rate : int > 0, Hz
        Rate of the input.
    sample_rate : int > 0, Hz
        Rate of the output.

    Attributes
    ----------
    damaged : bool
        Whether there were invalid samples, which are replaced by silence.
    """

    def __init__(self, rate: int, sample_rate: int) -> None:
        import soxr

        self.damaged = False
        self._resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, "float32")

    def process(self, block: NDArray[np.float32]) -> Samples:
        """Convert the next block; the output lags a little behind the input.

        Parameters
        ----------
        block : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]

        Returns
        -------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono
        """
        mono = self._downmix(block)
        resampled: Samples = mono if self._resampler is None else self._resampler.resample_chunk(mono)
        return resampled

    def flush(self) -> Samples:
        """The rest of the output, after the last block."""
        empty = np.zeros(0, np.float32)
        if self._resampler is None:
            return empty
        rest: Samples = self._resampler.resample_chunk(empty, last=True)
        return rest

    def _downmix(self, block: NDArray[np.float32]) -> Samples:
        # max and min instead of abs, which would allocate a copy; NaN fails both comparisons
        if not (block.max(initial=0) <= _MAX_SAMPLE and block.min(initial=0) >= -_MAX_SAMPLE):
            self.damaged = True
            block = np.where(np.abs(block) <= _MAX_SAMPLE, block, np.float32(0))
        if block.shape[1] == 1:
            return np.ascontiguousarray(block[:, 0])
        # mean takes longer over such short rows than decoding does
        mono: Samples = np.einsum("fc->f", block) * np.float32(1 / block.shape[1])
        return mono


def level_dbfs(samples: Samples) -> float:
    """Root mean square level relative to a full-scale square wave.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]

    Returns
    -------
    level : float >= -120, dBFS
    """
    return 20.0 * math.log10(max(math.sqrt(float(np.mean(np.square(samples, dtype=np.float64)))), 1e-6))

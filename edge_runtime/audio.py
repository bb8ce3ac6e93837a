"""Sound of any rate and channel count as mono float32 at the model's rate, without a constant offset; and its level."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono audio, ``[shape=(n,)], float32 in [-1, 1]``."""

DAMAGED = "holds invalid samples (not a number, or far above full scale), which are replaced by silence"
"""Warning about a source whose :attr:`MonoResampler.damaged` is true."""

CANCELLED = "has channels that cancel each other (one is inverted): the louder one is used instead of their mean"
"""Warning about a source whose :attr:`MonoResampler.cancelled` is true."""

HIGH_PASS_HZ = 5.0
"""Corner of the high-pass filter that removes an offset: a step of it decays by 60 dB in 0.22 s, and a tone of 20 Hz
loses 0.26 dB."""

SEGMENT_SECONDS = 0.5
"""Sound is measured in segments of this length: the first for the offset at the beginning, each for cancellation."""

_MAX_SAMPLE = 1e4
"""80 dB above full scale; samples beyond it are invalid."""

_CANCELLED_BELOW, _RESTORED_ABOVE = 0.05, 0.25
"""Power of the channels' mean, relative to that of the mean of as many independent channels. Below the first (two
channels with a correlation under -0.95), the channels cancel each other; above the second, they no longer do."""

_CANCELLED_SECONDS = 2.0
"""Channels that cancel each other for less are a passage of wide stereo, which is no defect."""

_QUIETEST_POWER = 1e-8
"""-80 dBFS; the channels of a segment below it say nothing about each other."""

_FADE_SECONDS = 0.01
"""Length of the cross-fade to or from the louder channel."""

_OFFSET_TO_RMS = 0.05
"""Mean of a window relative to its RMS, above which it has an offset: real music stays below 0.015, and at 0.3 no
prediction is wrong yet."""


class MonoResampler:
    """Turns a stream into mono, removes its offset and resamples it, without discontinuities between blocks.

    Mono is the mean of the channels, or the loudest of channels that cancel each other. The offset is removed by a
    first-order high-pass filter of 5 Hz that begins settled, as if the first 0.5 s had come before in reverse. The
    result does not depend on how the stream is cut into blocks.

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
    cancelled : bool
        Whether the channels have cancelled each other for 2 s or longer.
    """

    def __init__(self, rate: int, sample_rate: int) -> None:
        import soxr

        self.damaged = False
        self.cancelled = False
        self._segment = _segment_frames(rate)
        self._beginning: list[NDArray[np.float32]] | None = []
        self._downmix = _Downmix(rate)
        self._high_pass = _HighPass(rate)
        self._resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, "float32")

    def process(self, block: NDArray[np.float32]) -> Samples:
        """Convert the next block; the output lags a little behind the input, and begins after the first 0.5 s of it.

        Parameters
        ----------
        block : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]

        Returns
        -------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono
        """
        block = self._valid(block)
        if self._beginning is not None and len(block):
            self._beginning.append(block.copy())  # the caller may use its memory again
            if sum(map(len, self._beginning)) < self._segment:
                return np.zeros(0, np.float32)
            block = self._begin(self._beginning)
        return self._resample(self._mono(block))

    def flush(self) -> Samples:
        """The rest of the output, after the last block; the stream may go on after a gap, with its offset known."""
        rest = np.zeros(0, np.float32)
        if self._beginning:
            rest = self._mono(self._begin(self._beginning))
        rest = self._resample(rest, last=True)
        if self._resampler is not None:
            self._resampler.clear()
        return rest

    def _valid(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        # max and min instead of abs, which would allocate a copy; NaN fails both comparisons
        if block.max(initial=0) <= _MAX_SAMPLE and block.min(initial=0) >= -_MAX_SAMPLE:
            return block
        self.damaged = True
        return np.where(np.abs(block) <= _MAX_SAMPLE, block, np.float32(0))

    def _begin(self, blocks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Choose the channels and settle the filter by the first segment; returns all that has come so far."""
        self._beginning = None
        block = np.concatenate(blocks)
        first = _columns(block[: self._segment])
        self._high_pass.begin(self._downmix.begin(first))
        return block

    def _mono(self, block: NDArray[np.float32]) -> Samples:
        mono = np.empty(len(block), np.float32)
        done = 0
        while done < len(block):
            piece = _columns(block[done : done + self._downmix.frames_left])
            mono[done : done + piece.shape[1]] = self._high_pass.process(self._downmix.process(piece))
            done += piece.shape[1]
            self.cancelled |= self._downmix.cancelled_seconds >= _CANCELLED_SECONDS
        return mono

    def _resample(self, mono: Samples, *, last: bool = False) -> Samples:
        if self._resampler is None:
            return mono
        resampled: Samples = self._resampler.resample_chunk(mono, last=last)
        return resampled


class _Downmix:
    """The mean of the channels, or the loudest one of those that cancel each other, decided after each segment."""

    def __init__(self, rate: int) -> None:
        self.cancelled_seconds = 0.0
        self.frames_left = self._segment = _segment_frames(rate)
        self._rate = rate
        self._fade = max(1, round(_FADE_SECONDS * rate))
        self._channel: int | None = None
        self._before: int | None = None
        self._powers = _Powers()

    def begin(self, first: NDArray[np.float64]) -> NDArray[np.float64]:
        """Decide by the first segment, for this one too; returns its mono sound."""
        powers = _Powers()
        powers.add(first)
        self._channel = self._before = powers.loudest_of_cancelled(None)
        return _select(first, self._channel)

    def process(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mono sound of at most :attr:`frames_left` frames."""
        frames = columns.shape[1]
        mono = _select(columns, self._channel)
        position = self._segment - self.frames_left
        if self._before != self._channel and position < self._fade:
            share = np.minimum(1.0, np.arange(position, position + frames) / self._fade)
            mono = share * mono + (1 - share) * _select(columns, self._before)
        self._powers.add(columns)
        self.frames_left -= frames
        if not self.frames_left:
            self._decide()
        return mono

    def _decide(self) -> None:
        self.frames_left = self._segment
        self._before, self._channel = self._channel, self._powers.loudest_of_cancelled(self._channel)
        self.cancelled_seconds = 0.0 if self._channel is None else self.cancelled_seconds + self._segment / self._rate
        self._powers = _Powers()


def _select(columns: NDArray[np.float64], channel: int | None) -> NDArray[np.float64]:
    """A channel, or the mean of all."""
    mono: NDArray[np.float64] = columns.mean(axis=0) if channel is None else columns[channel]
    return mono


class _Powers:
    """Powers of the channels, and of their mean, over a segment; an offset counts for nothing."""

    def __init__(self) -> None:
        self._frames = 0
        self._sums = self._squares = np.zeros(1)  # takes the shape of what is added

    def add(self, columns: NDArray[np.float64]) -> None:
        """Measure more of the segment; a single channel cancels nothing."""
        if len(columns) == 1:
            return
        mean = columns.mean(axis=0)
        self._sums = self._sums + np.array([*columns.sum(axis=1), mean.sum()])
        self._squares = self._squares + np.array([*np.einsum("cf,cf->c", columns, columns), np.dot(mean, mean)])
        self._frames += columns.shape[1]

    def loudest_of_cancelled(self, before: int | None) -> int | None:
        """The channel to take, or None for their mean; the one that was taken before is kept unless 6 dB too quiet."""
        if len(self._sums) < 3:
            return None
        *channels, mean = self._squares / self._frames - np.square(self._sums / self._frames)
        loudest = int(np.argmax(channels))
        if channels[loudest] < _QUIETEST_POWER:
            return before
        independent = sum(channels) / len(channels) ** 2
        if mean >= (_CANCELLED_BELOW if before is None else _RESTORED_ABOVE) * independent:
            return None
        return loudest if before is None or channels[before] < channels[loudest] / 4 else before


class _HighPass:
    """First-order high-pass filter: the exponential moving mean is subtracted."""

    def __init__(self, rate: int) -> None:
        pole = math.exp(-2 * math.pi * HIGH_PASS_HZ / rate)
        frames = np.arange(1, _segment_frames(rate) + 1)
        # mean[n] = pole * mean[n - 1] + (1 - pole) * x[n], solved for all n of a segment by one cumulative sum. The
        # pole's powers span a factor of 7e6 in a segment, whatever the rate.
        self._decay = pole**frames
        self._growth = (1 - pole) / self._decay
        self._mean = 0.0

    def begin(self, first: NDArray[np.float64]) -> None:
        """Settle on the first segment, reversed."""
        self._mean = float(first.mean())
        self.process(first[::-1])

    def process(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filter a segment, or less."""
        mean = np.cumsum(samples * self._growth[: len(samples)])
        mean += self._mean
        mean *= self._decay[: len(samples)]
        self._mean = float(mean[-1])
        filtered: NDArray[np.float64] = samples - mean
        return filtered


def to_mono(sound: NDArray[np.float32], *, rate: int, sample_rate: int) -> Samples:
    """Downmix, high-pass filter and resample a whole recording, as :class:`MonoResampler` does with a stream.

    Parameters
    ----------
    sound : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]
    rate : int > 0, Hz
        Rate of the recording.
    sample_rate : int > 0, Hz
        Rate of the result.

    Returns
    -------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono
    """
    stream = MonoResampler(rate, sample_rate)
    return np.concatenate([stream.process(sound), stream.flush()])


def without_offset(samples: Samples) -> Samples:
    """A window without the offset that it has where it comes from no source of this package.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]

    Returns
    -------
    samples : np.ndarray [shape=(n,)], float32
        The same array where its mean is at most 5 % of its RMS.
    """
    mean = float(samples.mean(dtype=np.float64)) if len(samples) else 0.0
    if abs(mean) <= _OFFSET_TO_RMS * math.sqrt(float(np.dot(samples, samples)) / max(1, len(samples))):
        return samples
    return samples - np.float32(mean)


def level_dbfs(samples: Samples) -> float:
    """Root mean square level of the sound without its offset, relative to a full-scale square wave.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]

    Returns
    -------
    level : float >= -120, dBFS
    """
    return 20.0 * math.log10(max(float(np.std(samples, dtype=np.float64)), 1e-6))


def _segment_frames(rate: int) -> int:
    return max(1, round(SEGMENT_SECONDS * rate))


def _columns(block: NDArray[np.float32]) -> NDArray[np.float64]:
    """A row for each channel, which is summed many times as fast as a column."""
    return np.ascontiguousarray(block.T, dtype=np.float64)

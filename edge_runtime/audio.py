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
    """

    def __init__(self, rate: int, sample_rate: int) -> None:
        import soxr

        self.damaged = False
        self._segment_frames = _segment_frames(rate)
        self._segment = np.zeros((0, 0), np.float32)
        self._filled = 0
        self._begun = False
        self._downmix = _Downmix(rate)
        self._high_pass = _HighPass(rate)
        self._resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, "float32")

    @property
    def cancelled(self) -> bool:
        """Whether the channels have cancelled each other for 2 s or longer."""
        return self._downmix.cancelled

    def process(self, block: NDArray[np.float32]) -> Samples:
        """Convert the next block; the output lags a little behind the input, and begins after the first 0.5 s of it.

        Parameters
        ----------
        block : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]
            The number of channels may change from block to block.

        Returns
        -------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono
        """
        # max and min instead of abs, which would allocate a copy; NaN fails both comparisons
        if not (block.max(initial=0) <= _MAX_SAMPLE and block.min(initial=0) >= -_MAX_SAMPLE):
            self.damaged = True
            block = np.where(np.abs(block) <= _MAX_SAMPLE, block, np.float32(0))
        mono = []
        if len(block) and block.shape[1] != len(self._segment):
            mono.extend(self._held())
            self._segment = np.empty((block.shape[1], self._segment_frames), np.float32)
            self._filled = 0
            self._downmix.forget()
        while len(block):
            free = self._segment_frames - self._filled
            mono.append(self._add(block[:free]))
            block = block[free:]
        return self._resample(mono)

    def flush(self) -> Samples:
        """The rest of the output, after the last block; the stream may go on after a gap, with its offset known."""
        rest = self._resample(self._held(), last=True)
        if self._resampler is not None:
            self._resampler.clear()
        return rest

    def _add(self, block: NDArray[np.float32]) -> Samples:
        """Mono sound of a block that the segment has room for."""
        first, self._filled = self._filled, self._filled + len(block)
        self._segment[:, first : self._filled] = block.T
        complete = self._filled == self._segment_frames
        mono = np.zeros(0, np.float32)
        if self._begun:
            mono = self._filtered(first)
        elif complete:
            mono = self._begin()
        if complete:
            self._downmix.decide(self._segment)
            self._filled = 0
        return mono

    def _held(self) -> list[Samples]:
        """What was held back for the first segment."""
        return [] if self._begun or not self._filled else [self._begin()]

    def _begin(self) -> Samples:
        """Choose the channels, and settle the filter, by the first segment, which is all that has come so far."""
        self._begun = True
        self._high_pass.begin(self._downmix.begin(self._segment[:, : self._filled]))
        return self._filtered(0)

    def _filtered(self, first: int) -> Samples:
        mono = self._downmix.mix(self._segment[:, first : self._filled], first)
        return self._high_pass.process(mono)

    def _resample(self, mono: list[Samples], *, last: bool = False) -> Samples:
        joined = mono[0] if len(mono) == 1 else np.concatenate([np.zeros(0, np.float32), *mono])
        if self._resampler is None:
            return joined
        resampled: Samples = self._resampler.resample_chunk(joined, last=last)
        return resampled


class _Downmix:
    """The mean of the channels, or the loudest one of those that cancel each other, decided after each segment."""

    def __init__(self, rate: int) -> None:
        self.cancelled = False
        self._cancelled_segments = 0
        self._fade_frames = max(1, round(_FADE_SECONDS * rate))
        self._channel: int | None = None
        self._before: int | None = None

    def forget(self) -> None:
        """Take the mean of other channels, until they are measured."""
        self._channel = self._before = None

    def begin(self, segment: NDArray[np.float32]) -> NDArray[np.floating]:
        """Decide by the first segment for itself; returns its mono sound."""
        self._channel = self._before = _loudest_of_cancelled(segment, None)
        return _select(segment, self._channel)

    def mix(self, channels: NDArray[np.float32], first: int) -> NDArray[np.floating]:
        """Mono sound of a part of a segment, ``[shape=(channels, frames)]``, from its frame ``first`` on."""
        mono = _select(channels, self._channel)
        if self._before != self._channel and first < self._fade_frames:
            share = np.minimum(1.0, np.arange(first, first + len(mono)) / self._fade_frames)
            mono = share * mono + (1 - share) * _select(channels, self._before)
        return mono

    def decide(self, segment: NDArray[np.float32]) -> None:
        """Decide by a segment for the next one."""
        self._before, self._channel = self._channel, _loudest_of_cancelled(segment, self._channel)
        self._cancelled_segments = 0 if self._channel is None else self._cancelled_segments + 1
        self.cancelled |= self._cancelled_segments * SEGMENT_SECONDS >= _CANCELLED_SECONDS


def _select(channels: NDArray[np.float32], channel: int | None) -> NDArray[np.floating]:
    """A channel, or the mean of all."""
    if channel is None and len(channels) > 1:
        # mean takes longer over short blocks than all else together
        mean: NDArray[np.float32] = np.add.reduce(channels) * np.float32(1 / len(channels))
        return mean
    selected: NDArray[np.float32] = channels[channel or 0]
    return selected


def _loudest_of_cancelled(segment: NDArray[np.float32], before: int | None) -> int | None:
    """The channel to take, or None for the mean of all; the one taken before is kept unless it is 6 dB too quiet."""
    channels, frames = segment.shape
    if channels == 1:
        return None
    centred = segment - segment.mean(axis=1, keepdims=True)
    powers = np.einsum("cf,cf->c", centred, centred) / frames
    loudest = int(np.argmax(powers))
    if powers[loudest] < _QUIETEST_POWER:
        return before
    total = np.add.reduce(centred)
    left = _dot(total, total) / frames / float(powers.sum())
    if left >= (_CANCELLED_BELOW if before is None else _RESTORED_ABOVE):
        return None
    return loudest if before is None or powers[before] < powers[loudest] / 4 else before


class _HighPass:
    """First-order high-pass filter: the exponential moving mean is subtracted."""

    def __init__(self, rate: int) -> None:
        exponent = -2 * math.pi * HIGH_PASS_HZ / rate
        pole = math.exp(exponent)
        frames = np.arange(1, _segment_frames(rate) + 1)
        # mean[n] = pole * mean[n - 1] + (1 - pole) * x[n], solved for all n of a segment by one cumulative sum. The
        # pole's powers span a factor of 7e6 in a segment, whatever the rate.
        self._decay = np.exp(exponent * frames)  # faster than a power
        self._growth = (1 - pole) / self._decay
        self._means = np.empty(len(frames))  # allocated once: to allocate takes longer than to compute
        self._mean = 0.0

    def begin(self, first: NDArray[np.floating]) -> None:
        """Settle on the first segment, reversed."""
        frames = len(first)
        mean = float(first.mean()) + _dot(self._growth[:frames], first[::-1])
        self._mean = mean * float(self._decay[frames - 1])

    def process(self, samples: NDArray[np.floating]) -> Samples:
        """Filter a segment, or less."""
        means = self._means[: len(samples)]
        np.cumsum(np.multiply(samples, self._growth[: len(samples)], out=means), out=means)
        means += self._mean
        means *= self._decay[: len(samples)]
        self._mean = float(means[-1])
        filtered: Samples = np.subtract(samples, means, dtype=np.float32)
        return filtered


def mono_recording(sound: NDArray[np.float32], *, rate: int, sample_rate: int) -> Samples:
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
    if abs(mean) <= _OFFSET_TO_RMS * math.sqrt(_dot(samples, samples) / max(1, len(samples))):
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
    if not len(samples):
        return -120.0
    centred = samples - np.float32(samples.mean(dtype=np.float64))
    power = _dot(centred, centred) / len(samples)  # quicker than np.std
    return 20.0 * math.log10(max(math.sqrt(power), 1e-6))


def _dot(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """The dot product without BLAS, whose threads then wait busily for 30 ms on cores that the network needs."""
    return float(np.einsum("i,i->", left, right))


def _segment_frames(rate: int) -> int:
    return max(1, round(SEGMENT_SECONDS * rate))

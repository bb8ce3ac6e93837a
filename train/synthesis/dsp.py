"""Signal processing for synthesis: levels, wavetables, spectral envelopes, coloured noise, and the notes of a part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples

Sound = NDArray[np.float32]
"""Mono audio, ``[shape=(n,)], float32``."""
Curve = NDArray[np.float64]
"""Values over time, frequency or notes, ``[shape=(n,)], float64``."""
Spectrum = NDArray[np.complex64]
"""Real FFT of a song, ``[shape=(fft_length // 2 + 1,)], complex64``."""

SAMPLE_RATE = 44_100
"""Hz."""
CONTROL_STEP = 64
"""Samples between two points of a control curve: 1.5 ms, short against any slide or attack."""
TABLE_SIZE = 4096
"""Samples in one period of a wavetable; a power of two, so that the phase wraps with a mask."""


@dataclass(frozen=True)
class Canvas:
    """The time and frequency axes of one song."""

    samples: int
    """Length of the song, samples."""

    @property
    def seconds(self) -> float:
        """Length of the song, seconds."""
        return self.samples / SAMPLE_RATE

    @cached_property
    def fft_length(self) -> int:
        """Length of the song's FFT, samples."""
        return fast_length(self.samples)

    @cached_property
    def control_times(self) -> Curve:
        """Times of the control points, seconds: one more than the steps that cover the song."""
        points = -(-self.samples // CONTROL_STEP) + 1
        return np.arange(points, dtype=np.float64) * (CONTROL_STEP / SAMPLE_RATE)

    def upsample(self, control: Curve) -> Sound:
        """Interpolate a control curve linearly to the sample rate; ``[shape=(samples,)]``."""
        return _interpolated(control.astype(np.float32), CONTROL_STEP)[: self.samples]

    def spectrum(self, track: Sound) -> Spectrum:
        """Real FFT of a track that is not longer than the song."""
        # numpy's real FFT is several times faster on float64 than on float32.
        return np.fft.rfft(track.astype(np.float64), self.fft_length).astype(np.complex64)

    def sound(self, spectrum: Spectrum) -> Sound:
        """Inverse of :meth:`spectrum`; ``[shape=(samples,)]``."""
        return np.fft.irfft(spectrum, self.fft_length)[: self.samples].astype(np.float32, copy=False)


@dataclass(frozen=True)
class Tone:
    """A spectral envelope: high-pass, low-pass, tilt and resonances. It models a body, a cabinet, a room or a mouth."""

    low_hz: float = 30.0
    """Corner frequency of the high-pass."""
    high_hz: float = 18_000.0
    """Corner frequency of the low-pass."""
    order: int = 2
    """Order of both filters: 6 dB per octave each."""
    tilt_db: float = 0.0
    """Slope around 1 kHz, dB per octave."""
    peaks: tuple[tuple[float, float, float], ...] = ()
    """Resonances: centre in Hz, width in Hz, height in dB."""

    def gain(self, length: int) -> Sound:
        """Gain at the frequencies of a real FFT of ``length`` samples; ``[shape=(length // 2 + 1,)], >= 0``."""
        count = length // 2 + 1
        # The envelope is smooth: in a long spectrum, interpolating points a few Hz apart is enough.
        every = max(1, count // 4096)
        coarse = np.arange(-(-count // every) + 1.0) * (every * SAMPLE_RATE / length)
        return _interpolated(self.gain_at(coarse).astype(np.float32), every)[:count]

    def gain_at(self, hz: Curve) -> Curve:
        """Gain at given frequencies, Hz; ``[shape=(n,)], >= 0``."""
        audible = np.maximum(hz, 1.0)
        gain: Curve = (audible / 1000.0) ** (self.tilt_db / 6.02)
        gain /= np.sqrt(1.0 + (audible / self.high_hz) ** (2 * self.order))
        gain /= np.sqrt(1.0 + (self.low_hz / audible) ** (2 * self.order))
        for centre, width, height_db in self.peaks:
            bell = 1.0 / (1.0 + ((audible - centre) / (width / 2)) ** 2)
            gain *= 1.0 + (from_db(height_db) - 1.0) * bell
        return gain


def from_db(decibels: float) -> float:
    """Amplitude ratio of a level in dB."""
    return float(10.0 ** (decibels / 20.0))


def level(sound: Sound) -> float:
    """Root mean square, > 0 also for silence."""
    return max(float(np.sqrt(np.mean(sound**2))), 1e-12)


def wavetable(amplitudes: Curve) -> Sound:
    """One period from the amplitudes of its harmonics, fundamental first; ``[shape=(TABLE_SIZE,)]``, peak 1."""
    bins = np.zeros(TABLE_SIZE // 2 + 1, dtype=np.complex128)
    bins[1 : len(amplitudes) + 1] = -1j * amplitudes
    period = np.fft.irfft(bins, TABLE_SIZE)
    return (period / float(np.abs(period).max())).astype(np.float32)


def place(track: Sound, sound: Sound, at: int, gain: float) -> None:
    """Add a sound to a track from sample ``at`` on, which may be negative; what is outside the track is cut off."""
    first, last = max(at, 0), min(at + len(sound), len(track))
    if first < last:
        track[first:last] += sound[first - at : last - at] * np.float32(gain)


def noise(count: int, rng: np.random.Generator) -> Sound:
    """White Gaussian noise, root mean square 1; ``[shape=(count,)]``."""
    return rng.standard_normal(count, dtype=np.float32)


def coloured_noise(count: int, tone: Tone, rng: np.random.Generator) -> Sound:
    """Noise with a spectral envelope, root mean square 1; ``[shape=(count,)]``."""
    length = fast_length(count)
    spectrum = np.fft.rfft(noise(length, rng).astype(np.float64)) * tone.gain(length)
    sound = np.fft.irfft(spectrum, length)[:count]
    return (sound / float(sound.std())).astype(np.float32)


def fast_length(count: int) -> int:
    """The next even FFT length without a prime factor above 5: other lengths are several times slower."""
    length = count + count % 2
    while _without_small_factors(length) != 1:
        length += 2
    return length


def _without_small_factors(number: int) -> int:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number


def _interpolated(points: Sound, factor: int) -> Sound:
    """Linear interpolation with ``factor`` values from each point to the next."""
    ramp = np.arange(factor, dtype=np.float32) / np.float32(factor)
    dense: Sound = points[:-1, None] + np.diff(points)[:, None] * ramp
    return dense.reshape(-1)


@dataclass(frozen=True)
class Notes:
    """Notes ordered by start. The first may start before the song."""

    start: Curve
    """[shape=(n,)], s"""
    length: Curve
    """[shape=(n,)], s, until the next note"""
    pitch: Curve
    """[shape=(n, voices)], octaves above 1 Hz"""
    gain: Curve
    """[shape=(n,)], in [0, 1]; 0 is a rest"""

    @property
    def voices(self) -> int:
        """Number of simultaneous notes."""
        return int(self.pitch.shape[1])


@dataclass(frozen=True)
class Strokes:
    """Strokes of percussion, in any order."""

    start: Curve
    """[shape=(n,)], s"""
    hit: NDArray[np.int64]
    """[shape=(n,)], 0 low, 1 high, 2 light"""
    gain: Curve
    """[shape=(n,)], in [0, 1]"""


PINK = 0.5
"""Slope of pink noise: equal power in every octave, approximately as in rooms and streets."""


def add_noise(samples: Samples, *, snr_db: float, slope: float, random: np.random.Generator) -> Samples:
    """Add coloured noise at a signal-to-noise ratio.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
    snr_db : float, dB
        Ratio of the mean powers of samples and noise.
    slope : float >= 0
        The noise's amplitude is proportional to ``frequency ** -slope``: 0 is white, 0.5 pink and 1 brown.
    random : np.random.Generator

    Returns
    -------
    noisy : np.ndarray [shape=(n,)], float32
        Not clipped to [-1, 1].
    """
    spectrum = np.fft.rfft(random.standard_normal(len(samples)))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -slope
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, len(samples))
    noise *= np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return samples + noise.astype(np.float32)

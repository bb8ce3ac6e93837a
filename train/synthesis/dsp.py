"""Noise of a colour under sound, at a signal-to-noise ratio."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples

Sound = NDArray[np.float32]
"""Mono sound, ``[shape=(n,)], float32``."""
Curve = NDArray[np.float64]
"""Values over time, frequency or notes, ``[shape=(n,)], float64``."""
Spectrum = NDArray[np.complex64]
"""Real FFT of a song, ``[shape=(fft_length // 2 + 1,)]``."""

SAMPLE_RATE = 44_100
"""Hz."""
CONTROL_STEP = 64
"""Samples between two points of a control curve: 1.5 ms, finer than any slide or attack needs."""
TABLE_SIZE = 4096
"""Samples in one period of a wavetable; a power of two, so that the phase wraps with a mask."""


@dataclass(frozen=True)
class Canvas:
    """The axes of one song: how long it is in samples, in control points and as a spectrum."""

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
        """Seconds of the control points, one more than the steps that cover the song."""
        points = -(-self.samples // CONTROL_STEP) + 1
        return np.arange(points, dtype=np.float64) * (CONTROL_STEP / SAMPLE_RATE)

    def upsample(self, control: Curve) -> Sound:
        """A control curve at the sample rate, linear between its points; ``[shape=(samples,)]``."""
        return _stretched(control.astype(np.float32), CONTROL_STEP)[: self.samples]

    def spectrum(self, track: Sound) -> Spectrum:
        """Real FFT of a track at most as long as the song."""
        # numpy's real FFT is several times faster on float64 than on float32.
        return np.fft.rfft(track.astype(np.float64), self.fft_length).astype(np.complex64)

    def sound(self, spectrum: Spectrum) -> Sound:
        """The inverse of :meth:`spectrum`."""
        return np.fft.irfft(spectrum, self.fft_length)[: self.samples].astype(np.float32, copy=False)


@dataclass(frozen=True)
class Tone:
    """A fixed spectral envelope: two corners, a slope and resonances. A body, a cabinet, a room or a mouth."""

    low_hz: float = 30.0
    """High-pass corner."""
    high_hz: float = 18_000.0
    """Low-pass corner."""
    order: int = 2
    """Order of both corners: 6 dB an octave each."""
    tilt_db: float = 0.0
    """Slope about 1 kHz, dB an octave."""
    peaks: tuple[tuple[float, float, float], ...] = ()
    """Resonances: centre in Hz, width in Hz, height in dB."""

    def gain(self, length: int) -> Sound:
        """Gain at the frequencies of a real FFT of ``length`` samples; ``[shape=(length // 2 + 1,)], >= 0``."""
        count = length // 2 + 1
        # The envelope is smooth, so in a long spectrum a point every few Hz and lines between them do.
        every = max(1, count // 4096)
        coarse = np.arange(-(-count // every) + 1.0) * (every * SAMPLE_RATE / length)
        return _stretched(self.gain_at(coarse).astype(np.float32), every)[:count]

    def gain_at(self, hz: Curve) -> Curve:
        """Gain at any frequencies."""
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
    """Root mean square of a sound, never 0."""
    return max(float(np.sqrt(np.mean(sound**2))), 1e-12)


def wavetable(amplitudes: Curve) -> Sound:
    """One period from the amplitudes of its harmonics, the first being the fundamental; peak 1."""
    bins = np.zeros(TABLE_SIZE // 2 + 1, dtype=np.complex128)
    bins[1 : len(amplitudes) + 1] = -1j * amplitudes
    period = np.fft.irfft(bins, TABLE_SIZE)
    return (period / float(np.abs(period).max())).astype(np.float32)


def place(track: Sound, sound: Sound, at: int, gain: float) -> None:
    """Add a sound to a track, cut off at both ends of the track; ``at`` may be negative."""
    first, last = max(at, 0), min(at + len(sound), len(track))
    if first < last:
        track[first:last] += sound[first - at : last - at] * np.float32(gain)


def noise(count: int, rng: np.random.Generator) -> Sound:
    """White Gaussian noise of level 1."""
    return rng.standard_normal(count, dtype=np.float32)


def coloured_noise(count: int, tone: Tone, rng: np.random.Generator) -> Sound:
    """Noise with a tone's envelope, of level 1."""
    length = fast_length(count)
    spectrum = np.fft.rfft(noise(length, rng).astype(np.float64)) * tone.gain(length)
    sound = np.fft.irfft(spectrum, length)[:count]
    return (sound / float(sound.std())).astype(np.float32)


def fast_length(count: int) -> int:
    """The next even length with no prime factor above 5: others transform several times slower."""
    length = count + count % 2
    while _without_small_factors(length) != 1:
        length += 2
    return length


def _without_small_factors(number: int) -> int:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number


def _stretched(points: Sound, factor: int) -> Sound:
    """``factor`` values from each point to the next, linear between them."""
    ramp = np.arange(factor, dtype=np.float32) / np.float32(factor)
    dense: Sound = points[:-1, None] + np.diff(points)[:, None] * ramp
    return dense.reshape(-1)


@dataclass(frozen=True)
class Notes:
    """Notes in the order of their start. The first may start before the song does."""

    start: Curve
    """[shape=(n,)], s"""
    length: Curve
    """[shape=(n,)], s, up to the next note"""
    pitch: Curve
    """[shape=(n, voices)], octaves above 1 Hz"""
    gain: Curve
    """[shape=(n,)], in [0, 1]; 0 is a rest"""

    @property
    def voices(self) -> int:
        """Notes that sound at once."""
        return int(self.pitch.shape[1])

    @property
    def highest_hz(self) -> float:
        """The highest fundamental, Hz."""
        return float(2.0 ** self.pitch.max())


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
"""Equal power in every octave, as the noise of rooms and streets nearly has."""


def add_noise(samples: Samples, *, snr_db: float, slope: float, random: np.random.Generator) -> Samples:
    """Samples with noise.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    snr_db : float, dB
        Mean power of the samples against that of the noise.
    slope : float >= 0
        By which power of the frequency the noise's amplitude falls: 0 is white, 0.5 pink, 1 brown.
    random : np.random.Generator

    Returns
    -------
    noisy : np.ndarray [shape=(n,)], float32
        It may leave [-1, 1].
    """
    spectrum = np.fft.rfft(random.standard_normal(len(samples)))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** -slope
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, len(samples))
    noise *= np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return samples + noise.astype(np.float32)

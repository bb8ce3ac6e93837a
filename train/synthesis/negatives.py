"""Out-of-distribution sounds, for which a model should predict no genre: speech, noise, hum, silence and clatter.

Training uses speech, noise, hum and silence as negatives without a genre (outlier exposure: Hendrycks, Mazeika and
Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019). Clatter is for evaluation only: it measures
whether the rejection generalises to sounds that were not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.spectrogram import SpectrogramSettings
from train.synthesis.dsp import (
    SAMPLE_RATE,
    TABLE_SIZE,
    Canvas,
    Notes,
    Sound,
    Tone,
    coloured_noise,
    from_db,
    level,
    noise,
    wavetable,
)
from train.synthesis.tones import Gesture
from train.synthesis.voice import Voice

_LOUDNESS_DBFS = (-35.0, -15.0)
"""Range of levels of audible sounds, root mean square: well above the listener's silence, and rarely clipped."""
_QUIET_DBFS = (-95.0, -65.0)
"""Range of levels of a microphone in a silent room."""
_NOISE_TILTS_DB = (0.0, -3.0, -6.0)
"""White, pink and brown, dB per octave."""
_MAINS_HZ = 50.0
_HARMONICS = 20


def negatives(kind: str, settings: SpectrogramSettings, *, count: int, seed: int) -> Iterator[Samples]:
    """Synthesise windows of one kind of out-of-distribution sound.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    settings : SpectrogramSettings
        Sample rate and length of a window.
    count : int >= 0
    seed : int
        The same seed gives the same sounds.

    Yields
    ------
    samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
    """
    import soxr

    length = settings.window_samples
    for number in range(count):
        rng = np.random.default_rng((seed, KINDS.index(kind), number))
        # A little longer than the window, since resampling rounds.
        sound = _MAKERS[kind](round((settings.window_seconds + 0.1) * SAMPLE_RATE), rng)
        resampled = soxr.resample(sound, SAMPLE_RATE, settings.sample_rate)[:length]
        yield np.clip(resampled, -1.0, 1.0).astype(np.float32)


def _speech(samples: int, rng: np.random.Generator) -> Sound:
    """Speech of three to six syllables a second, with a pitch that falls over each phrase, and pauses."""
    canvas = Canvas(samples)
    length = np.maximum(rng.normal(1.0, 0.25, 8 + int(canvas.seconds * 8)), 0.4) / rng.uniform(3.0, 6.0)
    start = np.cumsum(length) - length - rng.uniform(0.0, length[0])
    phrase = rng.integers(5, 10)
    place = np.arange(len(start)) % phrase
    pitch = np.log2(rng.uniform(90.0, 230.0)) - 0.5 * place / phrase + rng.normal(0.0, 0.08, len(start))
    gain = np.where(place == phrase - 1, 0.0, rng.uniform(0.4, 1.0, len(start)))
    inside = start < canvas.seconds
    notes = Notes(start[inside], length[inside], pitch[inside, None], gain[inside])
    gesture = Gesture(attack_s=0.04, gate=0.8, slide_s=0.08, detune_cents=20.0)
    voice = Voice(gesture, formant_scale=rng.uniform(0.95, 1.2), vowels=6)
    return _at_random_level(_in_a_room(voice.render(notes, canvas, rng), rng), rng)


def _noise(samples: int, rng: np.random.Generator) -> Sound:
    """White, pink or brown noise."""
    tilt = _NOISE_TILTS_DB[rng.integers(len(_NOISE_TILTS_DB))]
    return _at_random_level(coloured_noise(samples, Tone(low_hz=20.0, high_hz=20_000.0, tilt_db=tilt), rng), rng)


def _hum(samples: int, rng: np.random.Generator) -> Sound:
    """Mains hum and its harmonics, the even ones louder as after a rectifier."""
    harmonic = np.arange(1, _HARMONICS + 1)
    amplitude = rng.uniform(0.3, 1.0, _HARMONICS) * harmonic ** rng.uniform(-2.0, -0.7)
    amplitude[1::2] *= rng.uniform(1.0, 3.0)
    cycles = _MAINS_HZ * rng.uniform(0.998, 1.002) * np.arange(samples) / SAMPLE_RATE
    hum = wavetable(amplitude)[(cycles * TABLE_SIZE).astype(np.intp) % TABLE_SIZE]
    return _at_random_level(_in_a_room(hum, rng), rng)


def _clatter(samples: int, rng: np.random.Generator) -> Sound:
    """Dishes and cutlery: two to eight strokes a second, each of a few decaying inharmonic partials."""
    track = np.zeros(samples + SAMPLE_RATE, np.float32)
    for start in rng.integers(0, samples, 1 + rng.poisson(rng.uniform(2.0, 8.0) * samples / SAMPLE_RATE)):
        hz = 800.0 * 10.0 ** rng.uniform(0.0, 1.0, rng.integers(3, 9))
        decay = rng.uniform(0.02, 0.3, len(hz)) / 6.9  # to -60 dB
        stroke = _decaying_partials(rng.uniform(0.2, 1.0, len(hz)), hz, decay, samples=SAMPLE_RATE // 2)
        track[start : start + len(stroke)] += np.float32(rng.uniform(0.1, 1.0)) * stroke
    return _at_random_level(_in_a_room(track[:samples], rng), rng)


def _decaying_partials(
    amplitudes: NDArray[np.float64], hz: NDArray[np.float64], decay_seconds: NDArray[np.float64], *, samples: int
) -> Sound:
    """A sum of sines, each divided by e in its ``decay_seconds``.

    At sample ``n = block * i + j`` a partial is the imaginary part of ``z ** (block * i) * z ** j``: a product of two
    short tables instead of an exponential and a sine of each sample.
    """
    block = math.isqrt(samples) + 1
    log_z = (2j * np.pi * hz - 1.0 / decay_seconds) / SAMPLE_RATE
    coarse = amplitudes * np.exp(block * np.arange(block)[:, None] * log_z)
    fine = np.exp(log_z[:, None] * np.arange(block))
    # Not a matrix product: the threads of BLAS would take longer over tables of this size.
    partials: NDArray[np.complex128] = np.einsum("ip,pj->ij", coarse, fine)
    return partials.imag.ravel()[:samples].astype(np.float32)


def _silence(samples: int, rng: np.random.Generator) -> Sound:
    """Digital silence, or the faint noise of a microphone."""
    if rng.random() < 0.5:
        return np.zeros(samples, np.float32)
    return noise(samples, rng) * np.float32(from_db(rng.uniform(*_QUIET_DBFS)))


def _in_a_room(sound: Sound, rng: np.random.Generator) -> Sound:
    """Add the faint noise that every recording has."""
    return sound + noise(len(sound), rng) * np.float32(level(sound) * from_db(rng.uniform(-60.0, -30.0)))


def _at_random_level(sound: Sound, rng: np.random.Generator) -> Sound:
    return sound * np.float32(from_db(rng.uniform(*_LOUDNESS_DBFS)) / level(sound))


_MAKERS: dict[str, Callable[[int, np.random.Generator], Sound]] = {
    "speech": _speech,
    "noise": _noise,
    "hum": _hum,
    "silence": _silence,
    "clatter": _clatter,
}

KINDS = tuple(_MAKERS)
"""All kinds of out-of-distribution sounds."""

TRAINED_ON = ("speech", "noise", "hum", "silence")
"""Kinds for training. The others are for evaluation only."""

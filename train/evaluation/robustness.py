"""Robustness: accuracy on the same clips under noise, codecs, reverberation, clipping, wrong speed and offset."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples, mono_recording
from train.dataset.dataset import Clip, Dataset
from train.evaluation.metrics import Interval, compute_scores
from train.evaluation.rejection import Predict
from train.progress import Reporter
from train.synthesis.dsp import PINK, add_noise

MP3_SAMPLE_RATE = 22_050
"""Hz. A codec at 32 kbit/s has no bits for frequencies above half of this."""

MP3_COMPRESSION = (160 - 32) / (160 - 8)
"""32 kbit/s as libsndfile's compression level: 0 is 160 kbit/s, the most at that sample rate, and 1 is 8 kbit/s."""

TELEPHONE_SAMPLE_RATE = 8000
"""Hz."""

TELEPHONE_BAND = (300.0, 3400.0)
"""Hz."""

REVERBERATION_SECONDS = 0.5
"""RT60, the time until reverberation has decayed by 60 dB: a furnished living room."""


QUIET_DBFS = -40.0
"""A microphone that is turned down, or far from the music."""

OFFSET = 0.03
"""Constant offset of a cheap converter, relative to full scale: 10 dB above the music at :data:`QUIET_DBFS`."""


class Degradation(NamedTuple):
    """One kind of degraded audio."""

    name: str
    apply: Callable[[Samples, int, np.random.Generator], Samples]
    """Of samples, sample rate in Hz and random generator; returns samples at the same rate."""


@dataclass(frozen=True)
class DegradedScores:
    """Accuracy under one degradation."""

    name: str
    """Of the degradation."""
    clips: int
    clip_accuracy: float
    """In [0, 1]."""
    clip_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""


def mp3_roundtrip(samples: Samples, sample_rate: int) -> Samples:
    """Encode as mono MP3 of 32 kbit/s at 22 050 Hz (LAME) and decode, with the codec's delay removed.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
    sample_rate : int > 0, Hz
    """
    import soundfile
    import soxr

    resampled = soxr.resample(samples, sample_rate, MP3_SAMPLE_RATE)
    with io.BytesIO(encode_mp3(resampled)) as file:
        decoded, _ = soundfile.read(file, dtype="float32")
    return _fit_length(soxr.resample(_aligned(decoded, resampled), MP3_SAMPLE_RATE, sample_rate), len(samples))


def encode_mp3(samples: Samples) -> bytes:
    """Encode as an MP3 file of 32 kbit/s.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
        At ``MP3_SAMPLE_RATE``.
    """
    import soundfile

    with io.BytesIO() as file:
        options = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": MP3_COMPRESSION}
        soundfile.write(file, samples, MP3_SAMPLE_RATE, **options)
        return file.getvalue()


def telephone_band(samples: Samples, sample_rate: int) -> Samples:
    """Resample to 8 kHz and band-pass to 300 Hz to 3400 Hz (elliptic filter, stop band at -40 dB).

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    sample_rate : int > 0, Hz
    """
    import soxr
    from scipy.signal import ellip, sosfilt

    band = ellip(6, 0.5, 40.0, TELEPHONE_BAND, "bandpass", output="sos", fs=TELEPHONE_SAMPLE_RATE)
    filtered = sosfilt(band, soxr.resample(samples, sample_rate, TELEPHONE_SAMPLE_RATE)).astype(np.float32)
    return _fit_length(soxr.resample(filtered, TELEPHONE_SAMPLE_RATE, sample_rate), len(samples))


def reverberate(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Convolve with :func:`room_response`: a microphone two or three steps from the source.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    sample_rate : int > 0, Hz
    rng : np.random.Generator
        Of the room.
    """
    from scipy.signal import fftconvolve

    reverberated: Samples = fftconvolve(samples, room_response(sample_rate, rng))[: len(samples)].astype(np.float32)
    return reverberated


def room_response(sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Impulse response of a room: the direct sound, then exponentially decaying noise of the same energy.

    The model is Moorer's (1979), "About this reverberation business".

    Parameters
    ----------
    sample_rate : int > 0, Hz
    rng : np.random.Generator

    Returns
    -------
    response : np.ndarray [shape=(round(REVERBERATION_SECONDS * sample_rate),)], float64
        Begins with 1, the direct sound.
    """
    seconds = np.arange(round(REVERBERATION_SECONDS * sample_rate)) / sample_rate
    response = rng.standard_normal(len(seconds)) * 10 ** (-3.0 * seconds / REVERBERATION_SECONDS)
    response[0] = 0.0
    response /= np.linalg.norm(response)
    response[0] = 1.0
    return response


def clipping_distortion(samples: Samples, *, excess_db: float) -> Samples:
    """Hard clipping, as by a recorder whose gain is too high.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    excess_db : float > 0, dB
        Level of the peak above the clipping level.
    """
    limit = np.abs(samples).max() * np.float32(10 ** (-excess_db / 20))
    return np.clip(samples, -limit, limit)


def change_speed(samples: Samples, sample_rate: int, *, speed: float) -> Samples:
    """Change tempo and pitch together, as a tape at the wrong speed does.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    sample_rate : int > 0, Hz
    speed : float > 0
        1.03 is 3 % faster and higher.

    Returns
    -------
    samples : np.ndarray [shape=(about n / speed,)], float32
    """
    import soxr

    resampled: Samples = soxr.resample(samples, speed * sample_rate, sample_rate)
    return resampled


def quiet_with_offset(samples: Samples, sample_rate: int) -> Samples:
    """Music at -40 dBFS with an offset of 0.03, as the sources of :mod:`edge_runtime` give it: without the offset.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    sample_rate : int > 0, Hz
    """
    quiet = samples * np.float32(10 ** (QUIET_DBFS / 20) / max(float(np.std(samples, dtype=np.float64)), 1e-6))
    return mono_recording((quiet + np.float32(OFFSET))[:, None], rate=sample_rate, sample_rate=sample_rate)


def _pink_noise(snr_db: float) -> Callable[[Samples, int, np.random.Generator], Samples]:
    return lambda samples, rate, rng: add_noise(samples, snr_db=snr_db, slope=PINK, random=rng)


DEGRADATIONS = (
    Degradation("none", lambda samples, rate, rng: samples),
    Degradation("pink noise, SNR 20 dB", _pink_noise(20.0)),
    Degradation("pink noise, SNR 10 dB", _pink_noise(10.0)),
    Degradation("pink noise, SNR 5 dB", _pink_noise(5.0)),
    Degradation("MP3, 32 kbit/s", lambda samples, rate, rng: mp3_roundtrip(samples, rate)),
    Degradation("telephone band", lambda samples, rate, rng: telephone_band(samples, rate)),
    Degradation("reverberation", reverberate),
    Degradation("clipping, 12 dB", lambda samples, rate, rng: clipping_distortion(samples, excess_db=12.0)),
    Degradation("speed +3 %", lambda samples, rate, rng: change_speed(samples, rate, speed=1.03)),
    Degradation("speed -3 %", lambda samples, rate, rng: change_speed(samples, rate, speed=0.97)),
    Degradation("-40 dBFS, offset 0.03", lambda samples, rate, rng: quiet_with_offset(samples, rate)),
)
"""The first leaves the audio as it is."""


_BATCH = 64
"""Clips whose audio and inputs are in memory at a time."""


def evaluate_robustness(
    dataset: Dataset, clips: list[Clip], predict: Predict, reporter: Reporter
) -> tuple[DegradedScores, ...]:
    """Accuracy of a model on the audio of clips under each of :data:`DEGRADATIONS`.

    A clip is degraded together with its margins and cut afterwards: filters, codecs and reverberation have then
    settled when it begins, and a clip that is played faster does not end too early.

    Parameters
    ----------
    dataset : Dataset
    clips : list of Clip
        Of one split.
    predict : Predict
        Called with at most 64 windows at a time.
    reporter : Reporter

    Returns
    -------
    scores : tuple of DegradedScores
        The first is without degradation, computed from the same files.

    Raises
    ------
    TmgcError
        The audio of a clip is missing or damaged.
    """
    probabilities: dict[str, list[NDArray[np.float32]]] = {kind.name: [] for kind in DEGRADATIONS}
    batches = [clips[first : first + _BATCH] for first in range(0, len(clips), _BATCH)]
    reporter.phase("evaluating robustness to degraded audio", len(batches) * len(DEGRADATIONS))
    for batch in batches:
        sounds = [dataset.audio(clip) for clip in batch]
        for kind in DEGRADATIONS:
            degraded = [degrade_clip(dataset, clip, sound, kind) for clip, sound in zip(batch, sounds, strict=True)]
            probabilities[kind.name].append(predict(degraded))
            reporter.step({})
    rows = []
    for name, parts in probabilities.items():
        scores = compute_scores(np.concatenate(parts), clips, dataset.genres, split=clips[0].split)
        rows.append(DegradedScores(name, scores.clips, scores.clip_accuracy, scores.clip_accuracy_ci))
    return tuple(rows)


def degrade_clip(dataset: Dataset, clip: Clip, sound: Samples, kind: Degradation) -> Samples:
    """Degrade one clip, reproducibly: the random generator is seeded with its source.

    Parameters
    ----------
    dataset : Dataset
    clip : Clip
    sound : np.ndarray [shape=(n,)], float32 in [-1, 1]
        The clip with its margins.
    kind : Degradation

    Returns
    -------
    samples : np.ndarray [shape=(window_samples,)], float32
        Begins at the same moment of the music. Where a song ends with its clip and is played faster, the missing
        hundredths of a second are its end, mirrored.
    """
    rate, length = dataset.spectrogram.sample_rate, dataset.spectrogram.window_samples
    degraded = kind.apply(sound, rate, np.random.default_rng([*os.fsencode(clip.source)]))
    first = round(clip.lead_seconds * rate * len(degraded) / len(sound))
    samples = degraded[first : first + length]
    return np.pad(samples, (0, length - len(samples)), mode="reflect")


def _aligned(decoded: Samples, original: Samples) -> Samples:
    """The decoded samples from the lag of the highest cross-correlation on, as many as the original ones."""
    from scipy.signal import correlate

    delay = int(correlate(decoded, original, method="fft").argmax()) - (len(original) - 1)
    return _fit_length(decoded[max(0, delay) :], len(original))


def _fit_length(samples: Samples, count: int) -> Samples:
    """Truncate or zero-pad: resampling back and forth may lose or gain a sample."""
    return np.pad(samples[:count], (0, max(0, count - len(samples))))

"""How a model stands low-quality sound: its accuracy on the same clips under each kind of degradation."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.spectrogram import Spectrogram
from train.dataset.dataset import Clip, Dataset
from train.evaluation.metrics import compute_scores
from train.evaluation.rejection import Predict
from train.progress import Reporter
from train.synthesis.dsp import PINK, add_noise

MP3_SAMPLE_RATE = 22_050
"""Hz. Codecs at 32 kbit/s do not spend it on what lies above half of this."""

MP3_COMPRESSION = (160 - 32) / (160 - 8)
"""32 kbit/s for libsndfile, to which 0 is the most that MP3 knows at that rate, 160 kbit/s, and 1 the least, 8."""

TELEPHONE_SAMPLE_RATE = 8000
"""Hz."""

TELEPHONE_BAND = (300.0, 3400.0)
"""Hz."""

REVERBERATION_SECONDS = 0.5
"""Until a room's echo is 60 dB down (RT60): a furnished living room."""


class Degradation(NamedTuple):
    """A way for sound to be bad."""

    name: str
    apply: Callable[[Samples, int, np.random.Generator], Samples]
    """Samples, their rate in Hz and a source of randomness, to samples at the same rate."""


def code_as_mp3(samples: Samples, sample_rate: int) -> Samples:
    """To mono MP3 of 32 kbit/s at 22 050 Hz by LAME and back, with the codec's delay taken off.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
    sample_rate : int > 0, Hz
    """
    import soundfile
    import soxr

    sent = soxr.resample(samples, sample_rate, MP3_SAMPLE_RATE)
    with io.BytesIO(mp3_of(sent)) as file:
        received, _ = soundfile.read(file, dtype="float32")
    return _of_length(soxr.resample(_aligned(received, sent), MP3_SAMPLE_RATE, sample_rate), len(samples))


def mp3_of(samples: Samples) -> bytes:
    """A whole MP3 file of 32 kbit/s.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
        At ``MP3_SAMPLE_RATE``.
    """
    import soundfile

    with io.BytesIO() as file:
        how = {"format": "MP3", "bitrate_mode": "CONSTANT", "compression_level": MP3_COMPRESSION}
        soundfile.write(file, samples, MP3_SAMPLE_RATE, **how)
        return file.getvalue()


def send_by_telephone(samples: Samples, sample_rate: int) -> Samples:
    """What is left of sound at 8 kHz between 300 Hz and 3400 Hz; the rest is 40 dB down.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    sample_rate : int > 0, Hz
    """
    import soxr
    from scipy.signal import ellip, sosfilt

    band = ellip(6, 0.5, 40.0, TELEPHONE_BAND, "bandpass", output="sos", fs=TELEPHONE_SAMPLE_RATE)
    sent = soxr.resample(samples, sample_rate, TELEPHONE_SAMPLE_RATE)
    received = sosfilt(band, sent).astype(np.float32)
    return _of_length(soxr.resample(received, TELEPHONE_SAMPLE_RATE, sample_rate), len(samples))


def play_in_room(samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
    """The sound and its echo from all walls, as loud as itself: as it is heard two or three steps from its source.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    sample_rate : int > 0, Hz
    rng : np.random.Generator
        Makes the room.
    """
    from scipy.signal import fftconvolve

    heard: Samples = fftconvolve(samples, room_response(sample_rate, rng))[: len(samples)].astype(np.float32)
    return heard


def room_response(sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Impulse response of a room: the direct sound, then noise of the same energy that dies away exponentially.

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


def overdrive(samples: Samples, *, excess_db: float) -> Samples:
    """What a recorder keeps of sound whose peak is too loud for it: everything beyond full scale is cut off.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32
    excess_db : float > 0, dB
        How far the loudest sample lies above full scale.
    """
    full_scale = np.abs(samples).max() * np.float32(10 ** (-excess_db / 20))
    return np.clip(samples, -full_scale, full_scale)


def play_at(samples: Samples, sample_rate: int, *, speed: float) -> Samples:
    """Played too fast or too slow, as tape is: time and pitch go wrong together.

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

    played: Samples = soxr.resample(samples, speed * sample_rate, sample_rate)
    return played


def _pink_noise(snr_db: float) -> Callable[[Samples, int, np.random.Generator], Samples]:
    return lambda samples, rate, rng: add_noise(samples, snr_db=snr_db, slope=PINK, random=rng)


DEGRADATIONS = (
    Degradation("as it is", lambda samples, rate, rng: samples),
    Degradation("noise at 20 dB SNR", _pink_noise(20.0)),
    Degradation("noise at 10 dB SNR", _pink_noise(10.0)),
    Degradation("noise at 5 dB SNR", _pink_noise(5.0)),
    Degradation("mp3 at 32 kbit/s", lambda samples, rate, rng: code_as_mp3(samples, rate)),
    Degradation("telephone band", lambda samples, rate, rng: send_by_telephone(samples, rate)),
    Degradation("a room's echo", play_in_room),
    Degradation("clipping by 12 dB", lambda samples, rate, rng: overdrive(samples, excess_db=12.0)),
    Degradation("3 % too fast", lambda samples, rate, rng: play_at(samples, rate, speed=1.03)),
    Degradation("3 % too slow", lambda samples, rate, rng: play_at(samples, rate, speed=0.97)),
)
"""All of them, after sound that nothing was done to."""


def _aligned(received: Samples, sent: Samples) -> Samples:
    """What was received, from the sample on at which it is most like what was sent, and as long."""
    from scipy.signal import correlate

    delay = int(correlate(received, sent, method="fft").argmax()) - (len(sent) - 1)
    return _of_length(received[max(0, delay) :], len(sent))


def _of_length(samples: Samples, count: int) -> Samples:
    """Resampling back and forth may lose or gain a sample."""
    return np.pad(samples[:count], (0, max(0, count - len(samples))))


_BATCH = 64
"""Clips whose sound and pictures are in memory at a time."""


@dataclass(frozen=True)
class Degraded:
    """Accuracy on sound of one kind."""

    name: str
    """Of the degradation."""
    clips: int
    clip_accuracy: float
    """Share of clips that were named right, in [0, 1]."""
    clip_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs."""


def degrade(dataset: Dataset, clips: list[Clip], predict: Predict, reporter: Reporter) -> tuple[Degraded, ...]:
    """Judge a model on the sound of clips as it is, and under each of ``DEGRADATIONS``.

    What is done to a clip is done to its margins too, before the clip is cut from them: filters, codecs and echoes
    are then in full swing when it begins, and a clip that is played too fast does not end too early.

    Parameters
    ----------
    dataset : Dataset
    clips : list of Clip
        Of one split.
    predict : callable
        Pictures to probabilities; called with at most 64 at a time.
    reporter : Reporter

    Returns
    -------
    rows : tuple of Degraded
        The first is of the sound as it is, from the same files as the others.

    Raises
    ------
    TmgcError
        The sound of a clip is missing or damaged.
    """
    spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)
    probabilities: dict[str, list[NDArray[np.float32]]] = {kind.name: [] for kind in DEGRADATIONS}
    batches = [clips[first : first + _BATCH] for first in range(0, len(clips), _BATCH)]
    reporter.phase("judging degraded sound", len(batches) * len(DEGRADATIONS))
    for batch in batches:
        sounds = [dataset.sound(clip) for clip in batch]
        for kind in DEGRADATIONS:
            degraded = (degraded_clip(dataset, clip, sound, kind) for clip, sound in zip(batch, sounds, strict=True))
            probabilities[kind.name].append(predict(np.stack([spectrogram.image(samples) for samples in degraded])))
            reporter.step({})
    rows = []
    for name, parts in probabilities.items():
        judged = compute_scores(np.concatenate(parts), clips, dataset.genres, split=clips[0].split)
        rows.append(Degraded(name, judged.clips, judged.clip_accuracy, judged.clip_interval))
    return tuple(rows)


def degraded_clip(dataset: Dataset, clip: Clip, sound: Samples, kind: Degradation) -> Samples:
    """One degraded clip, the same whenever it is asked for.

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
        From the same moment of the music on. Where a song ends with its clip, the last hundredths of a second that a
        clip played too fast then lacks are its end, mirrored.
    """
    rate, length = dataset.spectrogram.sample_rate, dataset.spectrogram.window_samples
    degraded = kind.apply(sound, rate, np.random.default_rng([*os.fsencode(clip.source)]))
    first = round(clip.lead_seconds * rate * len(degraded) / len(sound))
    samples = degraded[first : first + length]
    return np.pad(samples, (0, length - len(samples)), mode="reflect")

"""Sound that tells which of its seconds were heard: a ladder of tones, one rung higher each second."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

LOWEST_HZ = 400.0
STEP_HZ = 100.0
"""From one rung to the next."""

_FRAME_SECONDS = 0.1
_QUIET = 1e-3
"""Root mean square below which a frame holds no tone."""


def ladder(
    seconds: float, rate: int, *, first: int = 0, channels: int = 1, noise: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    """A tone of ``400 + 100 * rung`` Hz for every second.

    Parameters
    ----------
    seconds : float > 0
    rate : int > 0, Hz
        High enough for the highest rung.
    first : int >= 0
        Rung of the first second.
    channels : int > 0
        All the same.
    noise : (float, float), seconds
        Begin and end of noise below the tones, which an encoder of variable bit rate spends more bits on.

    Returns
    -------
    samples : np.ndarray [shape=(n, channels)], float32 in [-1, 1]
    """
    time = np.arange(round(seconds * rate)) / rate
    hz = LOWEST_HZ + STEP_HZ * (first + np.floor(time))
    samples = 0.3 * np.sin(2 * np.pi * hz * time)
    noisy = (time >= noise[0]) & (time < noise[1])
    samples[noisy] += np.random.default_rng(first).uniform(-0.2, 0.2, int(noisy.sum()))
    return np.repeat(samples[:, None].astype(np.float32), channels, axis=1)


def heard(samples: NDArray[np.float32], rate: int) -> list[int]:
    """The rungs that sound for at least 0.4 s each, in their order.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono
    rate : int > 0, Hz
    """
    length = round(_FRAME_SECONDS * rate)
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    if not len(frames):
        return []
    size = 8 * length  # padded, so that the peak is found to 2 Hz
    spectra = np.abs(np.fft.rfft(frames * np.hanning(length), size))
    rungs = (spectra.argmax(axis=1) * rate / size - LOWEST_HZ) / STEP_HZ
    sounds = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1)) > _QUIET
    named = np.where(sounds & (np.abs(rungs - np.rint(rungs)) < 0.2), np.rint(rungs), -1).astype(int)
    sounding = [rung for rung, run in groupby(named.tolist()) if rung >= 0 and sum(1 for _ in run) >= 4]
    return [rung for rung, _ in groupby(sounding)]

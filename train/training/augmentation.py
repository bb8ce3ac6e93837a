"""Variations of a clip that leave its genre what it is: of its sound, of its picture, and of a batch of pictures.

Each takes its randomness from a generator that is given to it, so that a seed, an epoch and a batch repeat exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from train.synthesis.dsp import add_noise
from train.training.config import Augmentation


def augment_waveform(
    sound: Samples, first: int, length: int, *, sample_rate: int, how: Augmentation, random: np.random.Generator
) -> Samples:
    """A clip cut at another moment, at another level, with noise.

    Parameters
    ----------
    sound : np.ndarray [shape=(n,)], float32 in [-1, 1]
        The clip with its margins.
    first, length : int >= 0, samples
        Where the clip begins in its sound, and how long it is.
    sample_rate : int > 0, Hz
    how : Augmentation
    random : np.random.Generator

    Returns
    -------
    samples : np.ndarray [shape=(length,)], float32 in [-1, 1]
    """
    farthest = round(how.shift_seconds * sample_rate)
    earliest, latest = max(0, first - farthest), min(len(sound) - length, first + farthest)
    begin = int(random.integers(earliest, max(earliest, latest) + 1))
    samples = sound[begin : begin + length]
    if how.gain_db:
        decibels = random.uniform(-how.gain_db, how.gain_db)
        samples = np.clip(samples * np.float32(10 ** (decibels / 20)), -1.0, 1.0)
    if random.random() < how.noise_share:
        snr_db, slope = random.uniform(*how.noise_snr_db), random.uniform(0.0, 1.0)
        samples = add_noise(samples, snr_db=snr_db, slope=slope, random=random)
    return samples


def mask(grey: NDArray[np.uint8], *, how: Augmentation, random: np.random.Generator) -> None:
    """Hide bands of time and of frequency behind the picture's mean, in place.

    Parameters
    ----------
    grey : np.ndarray [shape=(image_height, image_width)], uint8
    how : Augmentation
    random : np.random.Generator
    """
    mean = round(float(grey.mean()))
    for picture in (grey, grey.T):
        for _ in range(how.masks):
            width = int(random.integers(round(how.mask_share * len(picture)) + 1))
            start = int(random.integers(len(picture) - width + 1))
            picture[start : start + width] = mean


def mix(
    grey: NDArray[np.uint8], targets: NDArray[np.float32], *, alpha: float, random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Each picture mixed with another of its batch, and the genres in the same proportion.

    Pictures are mixed before they are coloured, so that what comes out is a possible picture.

    Parameters
    ----------
    grey : np.ndarray [shape=(n, image_height, image_width)], uint8
    targets : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
    alpha : float > 0
        The share of the first picture is drawn from Beta(alpha, alpha).
    random : np.random.Generator
    """
    share = random.beta(alpha, alpha, size=len(grey)).astype(np.float32)
    other = random.permutation(len(grey))
    pictures = share[:, None, None] * grey + (1 - share[:, None, None]) * grey[other]
    return np.rint(pictures).astype(np.uint8), share[:, None] * targets + (1 - share[:, None]) * targets[other]

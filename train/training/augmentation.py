"""Augmentation of a clip's waveform, of its spectrogram image, and of a batch of images.

Each transform draws from a generator that is passed in, so that a seed, an epoch and a batch number repeat exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from train.synthesis.dsp import add_noise
from train.training.config import Augmentation


def augment_waveform(
    samples: Samples,
    start: int,
    length: int,
    *,
    sample_rate: int,
    augmentation: Augmentation,
    random: np.random.Generator,
) -> Samples:
    """Cut a clip with a random shift, and apply random gain and noise.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
        The clip with its margins.
    start, length : int >= 0, samples
        Where the clip begins in ``samples`` without a shift, and how long it is.
    sample_rate : int > 0, Hz
    augmentation : Augmentation
    random : np.random.Generator

    Returns
    -------
    clip : np.ndarray [shape=(length,)], float32 in [-1, 1]
    """
    farthest = round(augmentation.shift_seconds * sample_rate)
    earliest, latest = max(0, start - farthest), min(len(samples) - length, start + farthest)
    begin = int(random.integers(earliest, max(earliest, latest) + 1))
    clip = samples[begin : begin + length]
    if augmentation.gain_db:
        gain_db = random.uniform(-augmentation.gain_db, augmentation.gain_db)
        clip = np.clip(clip * np.float32(10 ** (gain_db / 20)), -1.0, 1.0)
    if random.random() < augmentation.noise_share:
        snr_db, slope = random.uniform(*augmentation.noise_snr_db), random.uniform(0.0, 1.0)
        clip = np.clip(add_noise(clip, snr_db=snr_db, slope=slope, random=random), -1.0, 1.0)
    return clip


def spec_augment(image: NDArray[np.uint8], *, augmentation: Augmentation, random: np.random.Generator) -> None:
    """Mask random bands of time and of frequency with the image's mean, in place.

    Park et al. 2019, "SpecAugment: A simple data augmentation method for automatic speech recognition".

    Parameters
    ----------
    image : np.ndarray [shape=(image_height, image_width)], uint8
        Index image.
    augmentation : Augmentation
    random : np.random.Generator
    """
    mean = round(float(image.mean()))
    for axis in (image, image.T):
        for _ in range(augmentation.masks):
            width = int(random.integers(round(augmentation.mask_share * len(axis)) + 1))
            start = int(random.integers(len(axis) - width + 1))
            axis[start : start + width] = mean


def roll(held: NDArray[Any], *, random: np.random.Generator) -> None:
    """Rotate each clip in time by a random amount, in place: what leaves at the end comes back at the beginning.

    Parameters
    ----------
    held : np.ndarray [shape=(n, image_height, image_width)], uint8, or [shape=(n, window_samples)], float32
        Index images or waveforms; time is the last axis.
    random : np.random.Generator
    """
    for clip, steps in zip(held, random.integers(held.shape[-1], size=len(held)), strict=True):
        clip[:] = np.roll(clip, steps, axis=-1)


_HIGHEST_CUT, _LOWEST_CUT = 0.4, 0.08
"""Most rows that a limited band lacks at the top and at the bottom, as shares of all rows. Of 64 mel bands up to
22.05 kHz, without 40 % the highest is at 4.2 kHz, near that of the telephone, and without 8 % the lowest is at 320 Hz,
near that of small loudspeakers."""


def limit_bandwidth(image: NDArray[np.uint8], *, random: np.random.Generator) -> None:
    """Silence the rows above a random cut-off, and in half of the images those below another, in place.

    Low bit rates, low sample rates and small loudspeakers do the same to a sound. The rows that are left become
    brighter if the loudest one is lost, since a spectrogram is relative to its maximum.

    Parameters
    ----------
    image : np.ndarray [shape=(image_height, image_width)], uint8
        Index image, low frequencies at the bottom; 0 is silence.
    random : np.random.Generator
    """
    height, loudest = len(image), int(image.max())
    image[: random.integers(round(_HIGHEST_CUT * height) + 1)] = 0
    if random.random() < 0.5:
        image[height - random.integers(round(_LOWEST_CUT * height) + 1) :] = 0
    np.add(image, np.uint8(loudest - image.max()), out=image, where=image > 0)


def mixup(
    held: NDArray[Any], targets: NDArray[np.float32], *, alpha: float, random: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Blend each clip with another of its batch, and their targets in the same proportion.

    Zhang et al. 2018, "mixup: Beyond empirical risk minimization". Index images are blended rather than colours, so
    that the result is a valid image.

    Parameters
    ----------
    held : np.ndarray [shape=(n, image_height, image_width)], uint8, or [shape=(n, window_samples)], float32
        Index images or waveforms.
    targets : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
    alpha : float > 0
        The share of the first clip is drawn from Beta(alpha, alpha).
    random : np.random.Generator

    Returns
    -------
    held : np.ndarray
        Of the same shape and type.
    targets : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
    """
    share = random.beta(alpha, alpha, size=len(held)).astype(np.float32)
    other = random.permutation(len(held))
    factor = share.reshape(-1, *(1,) * (held.ndim - 1))
    blended = factor * held + (1 - factor) * held[other]
    mixed = np.rint(blended).astype(np.uint8) if held.dtype == np.uint8 else blended
    return mixed, share[:, None] * targets + (1 - share[:, None]) * targets[other]

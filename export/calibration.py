"""Calibration data: the training clips from which static int8 quantisation takes the ranges of the activations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, zip_longest

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import ModelInput
from edge_runtime.spectrogram import Spectrogram
from export.recipes import MAX_CALIBRATION_CLIPS
from train.dataset.dataset import Clip, Dataset

CALIBRATION_SEED = 2026
"""Fixed, so that the same run gives the same clips and hence the same file."""


def calibration_clips(dataset: Dataset, count: int, *, seed: int = CALIBRATION_SEED) -> list[Clip]:
    """Random clips of the training split, balanced over the genres.

    Parameters
    ----------
    dataset : Dataset
    count : int in [1, 5000]
        Where there are fewer, all are taken.
    seed : int

    Returns
    -------
    clips : list of Clip
        The genres alternate. Where each has enough clips, their counts differ by one at most.

    Raises
    ------
    TmgcError
        The count is out of its range, or the run has no training clips.
    """
    if not 1 <= count <= MAX_CALIBRATION_CLIPS:
        raise TmgcError(f"--calibration must be from 1 to {MAX_CALIBRATION_CLIPS} clips, got {count}")
    training = [clip for clip in dataset.of("train") if not clip.is_correction]  # these have no audio
    if not training:
        raise TmgcError(f"calibration needs clips of the training split: {dataset.run.folder} has none")
    rng = np.random.default_rng(seed)
    shuffled = []
    for genre in dataset.genres:
        clips = [clip for clip in training if clip.genre == genre]
        shuffled.append([clips[index] for index in rng.permutation(len(clips))])
    alternating = (clip for turn in zip_longest(*shuffled) for clip in turn if clip is not None)
    return list(islice(alternating, count))


def calibration_inputs(dataset: Dataset, clips: Sequence[Clip], *, input_kind: str) -> ModelInput:
    """The clips as inputs of the network.

    Returns
    -------
    inputs : np.ndarray
        Images ``[shape=(n, image_height, image_width, channels)], uint8``, or waveforms
        ``[shape=(n, window_samples)], float32 in [-1, 1]``.
    """
    waveforms = [dataset.samples(clip) for clip in clips]
    return np.stack(waveforms) if input_kind == "waveform" else spectrogram_images(dataset, waveforms)


def spectrogram_images(dataset: Dataset, waveforms: Sequence[Samples]) -> NDArray[np.uint8]:
    """Images of waveforms of one window each, ``[shape=(n, image_height, image_width, channels)], uint8``."""
    spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)
    return np.stack([spectrogram.image(samples) for samples in waveforms])

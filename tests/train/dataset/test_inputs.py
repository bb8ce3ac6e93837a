"""Clips become what a network takes: images, or waveforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.factories import tiny_dataset, write_songs
from train.dataset.dataset import Dataset
from train.dataset.inputs import NetworkInputs


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder: Path = tmp_path_factory.mktemp("inputs")
    return tiny_dataset(write_songs(folder / "songs", songs=3), folder / "run")


def test_images_are_held_as_index_images_and_given_in_colour(dataset: Dataset) -> None:
    inputs, clips = NetworkInputs(dataset, "image"), dataset.clips[:3]
    held = inputs.hold_clips(clips)
    assert held.shape == (3, 32, 32)
    assert held.dtype == np.uint8
    batch = inputs.batch(held)
    np.testing.assert_array_equal(batch, dataset.images(clips))
    assert batch.shape[1:] == inputs.shape == (32, 32, 3)
    # clips are stored in 16 bits: an index may be rounded to its neighbour
    again = inputs.hold([dataset.samples(clip) for clip in clips])
    assert np.abs(again.astype(int) - held).max() <= 1


def test_images_of_one_channel_are_the_index_images_themselves(dataset: Dataset, tmp_path: Path) -> None:
    from PIL import Image

    songs = dataset.run.folder.parent / "songs"
    gray = tiny_dataset(songs, tmp_path / "gray", colormap="gray")
    inputs, clips = NetworkInputs(gray, "image"), gray.clips[:3]
    held = inputs.hold_clips(clips)
    np.testing.assert_array_equal(held, dataset.index_images(dataset.clips[:3]))
    batch = inputs.batch(held)
    np.testing.assert_array_equal(batch[..., 0], held)
    assert batch.shape[1:] == inputs.shape == (32, 32, 1)
    with Image.open(clips[0].image_path(gray.run)) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), np.repeat(batch[0], 3, axis=-1))


def test_waveforms_are_held_and_given_as_they_are(dataset: Dataset) -> None:
    inputs, clips = NetworkInputs(dataset, "waveform"), dataset.clips[:3]
    batch = inputs.batch(inputs.hold_clips(clips))
    np.testing.assert_array_equal(batch, [dataset.samples(clip) for clip in clips])
    assert batch.shape[1:] == inputs.shape == (dataset.spectrogram.window_samples,)
    assert batch.dtype == np.float32

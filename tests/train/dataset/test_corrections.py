"""Corrections of a listener's users become training clips: images without audio, each correction a group of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import TmgcError
from edge_runtime.server.corrections import gray_png
from tests.train.dataset.conftest import SETTINGS, write_songs
from train.dataset.build import prepare
from train.dataset.corrections import CORRECTION_NAME
from train.dataset.dataset import Dataset, read_dataset
from train.dataset.folds import fold_datasets
from train.dataset.inputs import NetworkInputs
from train.run import Run
from train.training.config import Augmentation
from train.training.data import Split, TrainingBatches
from train.training.teacher_targets import check_teachable


def write_correction(folder: Path, genre: str = "Halk", *, images: int = 2, seed: int = 0, **fields: Any) -> None:
    """A correction with random images, as a listener keeps it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    settings = SETTINGS.spectrogram
    windows = []
    for number in range(images):
        image = random.integers(256, size=(settings.image_height, settings.image_width), dtype=np.uint8)
        (folder / f"{number}.png").write_bytes(gray_png(image))
        time = f"2026-11-26T20:40:{number * 2:02d}.000Z"
        windows.append({"image": f"{number}.png", "time": time, "level_dbfs": -20.0})
    document = {"schema": 1, "genre": genre, "spectrogram": settings.to_json(), "windows": windows, **fields}
    (folder / CORRECTION_NAME).write_text(json.dumps(document), "utf-8")


@pytest.fixture
def corrected(tmp_path: Path) -> Dataset:
    """A dataset with two corrections, and one that was interrupted."""
    write_correction(tmp_path / "kept" / "first", "Halk", images=3)
    write_correction(tmp_path / "kept" / "second", "Caz", seed=1)
    (tmp_path / "kept" / "interrupted").mkdir()
    songs = write_songs(tmp_path / "songs")
    dataset, _ = prepare(songs, Run(tmp_path / "run"), SETTINGS, corrections=tmp_path / "kept", workers=1)
    return dataset


def test_corrections_are_training_clips_of_groups_of_their_own(corrected: Dataset) -> None:
    clips = [clip for clip in read_dataset(corrected.run).clips if clip.is_correction]
    assert [(clip.song, clip.group, clip.genre, clip.split) for clip in clips] == [
        *[("first", "first", "Halk", "train")] * 3,
        *[("second", "second", "Caz", "train")] * 2,
    ]
    assert [clip.offset_seconds for clip in clips] == [0, 2, 4, 0, 2]
    assert not any(clip.audio_path(corrected.run).exists() for clip in clips)


def test_an_image_is_trained_on_as_it_was_kept(corrected: Dataset) -> None:
    clip = next(clip for clip in corrected.clips if clip.song == "second")
    settings = SETTINGS.spectrogram
    expected = np.random.default_rng(1).integers(
        256, size=(settings.image_height, settings.image_width), dtype=np.uint8
    )
    np.testing.assert_array_equal(corrected.index_images([clip])[0], expected)


def test_corrections_are_left_as_they_are_where_waveforms_are_augmented(corrected: Dataset) -> None:
    split = Split(corrected, "train", NetworkInputs(corrected, "image"))
    noisy = Augmentation.only(("noise",))
    batches = TrainingBatches(
        split, batch_size=len(split.labels), augmentation=noisy, weighted=True, negatives=split.held[:0], seed=0
    )
    images = {image.tobytes() for image in batches[0][0]}
    for clip in split.clips:
        assert (corrected.images([clip])[0].tobytes() in images) == clip.is_correction


def test_a_network_with_waveform_input_trains_without_them(corrected: Dataset) -> None:
    assert not any(clip.is_correction for clip in Split(corrected, "train", NetworkInputs(corrected, "waveform")).clips)


def test_a_dataset_that_is_prepared_without_them_has_them_no_more(corrected: Dataset, tmp_path: Path) -> None:
    dataset, _ = prepare(tmp_path / "songs", corrected.run, SETTINGS, workers=1)
    assert not any(clip.is_correction for clip in dataset.clips)
    assert len(list(corrected.run.images.iterdir())) == len(dataset.clips)


def test_what_needs_sound_says_that_corrections_have_none(corrected: Dataset) -> None:
    clip = next(clip for clip in corrected.clips if clip.is_correction)
    with pytest.raises(TmgcError, match="is an image without any"):
        corrected.samples(clip)
    with pytest.raises(TmgcError, match="corrections only train"):
        fold_datasets(corrected, 3, split_ratios=(0.8, 0.1, 0.1), seed=0)
    with pytest.raises(TmgcError, match="a teacher hears the sound of every clip"):
        check_teachable(corrected, ["musicnn"])
    check_teachable(corrected, [])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"genre": "Rock"}, "a correction names a genre that songs have"),
        ({"spectrogram": {**SETTINGS.spectrogram.to_json(), "n_mels": 32}}, "has n_mels 32, not "),
        ({"windows": [{"image": "../0.png", "time": "2026-11-26T20:40Z", "level_dbfs": 0}]}, "must be readable"),
        ({"windows": [{"image": "no.png", "time": "2026-11-26T20:40Z", "level_dbfs": 0}]}, "an image of a correction"),
        ({"windows": []}, "must be readable"),
        ({"windows": 3}, "must be readable"),
    ],
)
def test_corrections_that_do_not_fit_are_refused(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_correction(tmp_path / "kept" / "first", **fields)
    with pytest.raises(TmgcError, match=message):
        prepare(
            write_songs(tmp_path / "songs"),
            Run(tmp_path / "run"),
            SETTINGS,
            corrections=tmp_path / "kept",
            workers=1,
        )


def test_a_folder_without_corrections_is_refused(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    with pytest.raises(TmgcError, match="Name the folder of tmgc-listen"):
        prepare(songs, Run(tmp_path / "run"), SETTINGS, corrections=tmp_path / "nothing", workers=1)

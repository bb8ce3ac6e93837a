"""Batches are coloured pictures; those to train on are varied, and repeat for a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime import TmgcError
from train.dataset.dataset import Dataset
from train.training.config import Augmentation
from train.training.data import PictureBatches, Split, TrainingBatches, negative_images

OFF = Augmentation.only(())


IMPOSTORS = np.full((2, 32, 32), 7, np.uint8)


def training(
    split: Split, *, batch_size: int = 8, how: Augmentation = OFF, seed: int = 0, **rest: int
) -> TrainingBatches:
    return TrainingBatches(
        split, batch_size=batch_size, augmentation=how, weighted=True, negatives=IMPOSTORS, seed=seed, **rest
    )


def test_pictures_to_judge_come_as_they_are_and_in_order(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    batches = PictureBatches(split, batch_size=8)
    pictures, targets, weights = (
        np.concatenate(part) for part in zip(*(batches[n] for n in range(len(batches))), strict=True)
    )
    assert (weights == 1).all()
    np.testing.assert_array_equal(pictures, small_dataset.images(small_dataset.of("train")))
    np.testing.assert_array_equal(targets.argmax(axis=1), split.labels)


@pytest.mark.parametrize("size", [5, 8, 1000])
def test_all_batches_to_train_on_are_of_one_size_and_no_clip_comes_twice(size: int, small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    batches = training(split, batch_size=size)
    seen = [picture.tobytes() for number in range(len(batches)) for picture in batches[number][0]]
    assert {len(batches[number][0]) for number in range(len(batches))} == {min(size, len(split.labels))}
    assert len(set(seen)) == len(seen) == len(split.labels) // len(batches[0][0]) * len(batches[0][0])


def test_the_order_is_another_each_epoch_and_the_same_for_a_seed(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    batches, again = training(split), training(split)
    first = batches[0][0]
    batches.on_epoch_end()
    assert not np.array_equal(first, batches[0][0])
    np.testing.assert_array_equal(first, again[0][0])
    assert not np.array_equal(first, training(split, seed=1)[0][0])


def test_varied_batches_depend_on_nothing_but_seed_epoch_and_number(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    whole = training(split, how=Augmentation())
    whole.on_epoch_end()
    expected = whole[2]
    resumed = training(split, how=Augmentation(), first_epoch=1, workers=3)[2]
    for part, same in zip(expected, resumed, strict=True):
        np.testing.assert_array_equal(part, same)


def test_a_picture_drawn_anew_without_a_variation_is_the_one_that_was_prepared(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    inaudible = replace(OFF, noise_share=1.0, noise_snr_db=(100.0, 100.0))
    drawn = training(split, how=inaudible)[0][0].astype(int)
    np.testing.assert_allclose(drawn, training(split)[0][0], atol=4)  # 16-bit FLAC moves a grey level


def test_variations_leave_what_is_judged_alone(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    before = split.grey.copy()
    batches = training(split, how=replace(Augmentation(), flip=True))
    for number in range(len(batches)):
        batches[number]
    np.testing.assert_array_equal(split.grey, before)


def test_genres_with_few_clips_count_as_much_as_those_with_many(small_dataset: Dataset) -> None:
    few = [clip for clip in small_dataset.clips if clip.split != "train" or clip.genre != "Caz"]
    few += [clip for clip in small_dataset.of("train") if clip.genre == "Caz"][:3]
    split = Split(replace(small_dataset, clips=tuple(few)), "train")
    weights = split.class_weights()[split.labels]
    sums = [weights[split.labels == genre].sum() for genre in range(3)]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-5)
    assert weights.mean() == pytest.approx(1, rel=1e-5)


def test_impostors_take_the_place_of_some_pictures_and_are_no_genre(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    batches = training(split, batch_size=36, how=replace(OFF, impostor_share=0.5))
    pictures, targets, _ = batches[0]
    taken = (pictures == small_dataset.colormap[7]).all(axis=(1, 2, 3))
    assert 5 < taken.sum() < 31
    np.testing.assert_allclose(targets[taken], 1 / 3, rtol=1e-6)
    assert (targets[~taken].max(axis=1) == 1).all()
    assert (split.targets.max(axis=1) == 1).all(), "what is judged stays as it is"


def test_there_are_impostors_of_every_kind_that_may_be_trained_on(small_dataset: Dataset) -> None:
    pictures = negative_images(small_dataset.spectrogram, small_dataset.colormap)
    assert pictures.shape == (400, 32, 32)
    assert len(np.unique(pictures[:300], axis=0)) == 300


def test_the_last_batch_is_filled_up_for_all_devices_with_pictures_that_count_nothing(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    assert len(split.labels) == 36
    pictures, targets, weights = PictureBatches(split, batch_size=32, multiple=8)[1]
    assert len(pictures) == len(targets) == len(weights) == 8
    np.testing.assert_array_equal(weights, [2, 2, 2, 2, 0, 0, 0, 0])
    np.testing.assert_array_equal(targets[:4], split.targets[32:])


def test_what_is_wrong_with_a_clips_sound_is_said_as_it_is(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train")
    lost = split.clips[0].audio_path(small_dataset.run)
    lost.unlink()
    batches = training(split, batch_size=36, how=Augmentation())

    def as_tensorflow_does() -> None:
        try:
            batches[0]
        except TmgcError:
            raise RuntimeError("UNKNOWN: in the graph") from None

    with pytest.raises(TmgcError, match=lost.name), batches.own_errors():
        as_tensorflow_does()
    with pytest.raises(ZeroDivisionError), training(split).own_errors():
        _ = 1 / 0


@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_split_without_clips_is_refused(name: str, small_dataset: Dataset) -> None:
    others = tuple(clip for clip in small_dataset.clips if clip.split != name)
    with pytest.raises(TmgcError, match=f"training needs {name} clips"):
        Split(replace(small_dataset, clips=others), name)

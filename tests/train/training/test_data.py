"""Batches are RGB images; those for training are augmented, and repeat for a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime import TmgcError
from train.dataset.dataset import Dataset
from train.dataset.inputs import NetworkInputs
from train.training.config import Augmentation
from train.training.data import SequentialBatches, Split, TrainingBatches, negative_windows

OFF = Augmentation.only(())


NEGATIVES = np.full((2, 32, 32), 7, np.uint8)


def in_order(split: Split, *, batch_size: int, multiple: int = 1) -> SequentialBatches:
    return SequentialBatches(
        split.inputs,
        split.held,
        split.targets,
        batch_size=batch_size,
        multiple=multiple,
    )


def training(
    split: Split, *, batch_size: int = 8, augmentation: Augmentation = OFF, seed: int = 0, first_epoch: int = 0
) -> TrainingBatches:
    return TrainingBatches(
        split,
        batch_size=batch_size,
        augmentation=augmentation,
        weighted=True,
        negatives=NEGATIVES,
        seed=seed,
        first_epoch=first_epoch,
    )


def test_images_for_validation_are_unchanged_and_in_order(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    batches = in_order(split, batch_size=8)
    images, targets, weights = (
        np.concatenate(part) for part in zip(*(batches[n] for n in range(len(batches))), strict=True)
    )
    assert (weights == 1).all()
    np.testing.assert_array_equal(images, small_dataset.images(small_dataset.of("train")))
    np.testing.assert_array_equal(targets.argmax(axis=1), split.labels)


@pytest.mark.parametrize("size", [5, 8, 1000])
def test_all_training_batches_have_one_size_and_no_clip_comes_twice(size: int, small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    batches = training(split, batch_size=size)
    seen = [image.tobytes() for number in range(len(batches)) for image in batches[number][0]]
    assert {len(batches[number][0]) for number in range(len(batches))} == {min(size, len(split.labels))}
    assert len(set(seen)) == len(seen) == len(split.labels) // len(batches[0][0]) * len(batches[0][0])


def test_the_order_differs_in_each_epoch_and_repeats_for_a_seed(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    batches, again = training(split), training(split)
    first = batches[0][0]
    batches.on_epoch_end()
    assert not np.array_equal(first, batches[0][0])
    np.testing.assert_array_equal(first, again[0][0])
    assert not np.array_equal(first, training(split, seed=1)[0][0])


def test_augmented_batches_depend_on_nothing_but_seed_epoch_and_number(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    whole = training(split, augmentation=Augmentation())
    whole.on_epoch_end()
    expected = whole[2]
    resumed = training(split, augmentation=Augmentation(), first_epoch=1)[2]
    for part, same in zip(expected, resumed, strict=True):
        np.testing.assert_array_equal(part, same)


def test_an_image_from_the_waveform_without_a_change_is_the_prepared_one(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    inaudible = replace(OFF, noise_share=1.0, noise_snr_db=(100.0, 100.0))
    drawn = training(split, augmentation=inaudible)[0][0].astype(int)
    np.testing.assert_allclose(drawn, training(split)[0][0], atol=4)  # 16-bit FLAC moves an index


def test_augmentation_does_not_change_the_split_itself(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    before = split.held.copy()
    batches = training(split, augmentation=replace(Augmentation(), flip=True))
    for number in range(len(batches)):
        batches[number]
    np.testing.assert_array_equal(split.held, before)


@pytest.fixture
def uneven(small_dataset: Dataset) -> Split:
    """A training split in which a genre has fewer songs than others, and a song fewer clips."""
    songs = sorted({clip.song for clip in small_dataset.of("train") if clip.genre == "Caz"})
    few = [clip for clip in small_dataset.clips if clip.song != songs[0]]
    few.remove(next(clip for clip in few if clip.song == songs[1]))
    return Split(replace(small_dataset, clips=tuple(few)), "train", NetworkInputs(small_dataset, "image"))


def test_clip_weights_make_every_genre_and_every_song_of_a_genre_contribute_equally(uneven: Split) -> None:
    weights = uneven.clip_weights()
    genres = [weights[uneven.labels == genre].sum() for genre in range(3)]
    np.testing.assert_allclose(genres, genres[0], rtol=1e-5)
    songs = np.array([clip.song for clip in uneven.clips])
    jazz = [weights[songs == song].sum() for song in set(songs) if song.startswith("Caz/")]
    np.testing.assert_allclose(jazz, jazz[0], rtol=1e-5)
    assert weights.mean() == pytest.approx(1, rel=1e-5)
    assert weights.max() == pytest.approx(
        2 * np.median(weights[uneven.labels == uneven.labels[weights.argmax()]]), rel=1e-5
    )


def test_a_blended_clip_has_the_blended_weight_of_its_clips(uneven: Split) -> None:
    batches = training(uneven, batch_size=1000, augmentation=replace(OFF, mixup_alpha=0.3))
    _, targets, weights = batches[0]
    assert weights.min() >= uneven.clip_weights().min() - 1e-5
    assert weights.max() <= uneven.clip_weights().max() + 1e-5
    caz = uneven.dataset.genres.index("Caz")
    assert weights[targets[:, caz] < 0.01] == pytest.approx(uneven.clip_weights()[uneven.labels != caz][0], rel=0.05)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-5)


def test_some_images_lose_their_highest_frequencies(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    images = training(split, batch_size=36, augmentation=replace(OFF, bandwidth_share=0.5))[0][0]
    lost = (images[:, 0] == small_dataset.colormap[0]).all(axis=(1, 2))
    assert 5 < lost.sum() < 31


def test_negatives_replace_some_images_with_equal_probabilities_as_target(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    batches = training(split, batch_size=36, augmentation=replace(OFF, negative_share=0.5))
    images, targets, _ = batches[0]
    replaced = (images == small_dataset.colormap[7]).all(axis=(1, 2, 3))
    assert 5 < replaced.sum() < 31
    np.testing.assert_allclose(targets[replaced], 1 / 3, rtol=1e-6)
    assert (targets[~replaced].max(axis=1) == 1).all()
    assert (split.targets.max(axis=1) == 1).all(), "the split itself does not change"


def test_there_are_negatives_of_every_kind_that_is_trained_on(small_dataset: Dataset) -> None:
    windows = negative_windows(small_dataset.spectrogram, per_kind=10)
    assert {window.shape for window in windows} == {(small_dataset.spectrogram.window_samples,)}
    assert len(np.unique(windows[:30], axis=0)) == 30
    assert len(windows) == 40


def test_the_last_batch_is_padded_for_all_devices_with_images_of_weight_0(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    assert len(split.labels) == 36
    images, targets, weights = in_order(split, batch_size=32, multiple=8)[1]
    assert len(images) == len(targets) == len(weights) == 8
    np.testing.assert_array_equal(weights, [2, 2, 2, 2, 0, 0, 0, 0])
    np.testing.assert_array_equal(targets[:4], split.targets[32:])


def test_the_error_of_a_damaged_clip_is_raised_itself(small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    lost = split.clips[0].audio_path(small_dataset.run)
    lost.unlink()
    batches = training(split, batch_size=36, augmentation=Augmentation())

    def as_tensorflow_does() -> None:
        try:
            batches[0]
        except TmgcError:
            raise RuntimeError("UNKNOWN: in the graph") from None

    with pytest.raises(TmgcError, match=lost.name), batches.own_errors():
        as_tensorflow_does()
    with pytest.raises(ZeroDivisionError), training(split).own_errors():
        _ = 1 / 0


def test_several_splits_are_one_with_the_clips_of_each(small_dataset: Dataset) -> None:
    both = Split(small_dataset, ("train", "validation"), NetworkInputs(small_dataset, "image"))
    assert both.clips == small_dataset.of("train") + small_dataset.of("validation")
    assert len(both.held) == len(both.targets) == len(both.clips)


@pytest.mark.parametrize("augment", [("roll",), ()])
def test_training_images_are_rolled_where_that_is_asked_for(augment: tuple[str, ...], small_dataset: Dataset) -> None:
    split = Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))
    batches = training(split, batch_size=36, augmentation=Augmentation.only(augment))
    images = batches[0][0][..., 0]
    kept = {image.tobytes() for image in small_dataset.images(split.clips)[..., 0]}
    unchanged = sum(image.tobytes() in kept for image in images)
    assert unchanged < 5 if augment else unchanged == 36
    assert np.sort(images, axis=2).sum() == np.sort(small_dataset.images(split.clips)[..., 0], axis=2).sum()


@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_split_without_clips_is_refused(name: str, small_dataset: Dataset) -> None:
    others = tuple(clip for clip in small_dataset.clips if clip.split != name)
    with pytest.raises(TmgcError, match=f"training needs {name} clips"):
        Split(replace(small_dataset, clips=others), name, NetworkInputs(small_dataset, "image"))


def test_batches_are_computed_by_as_many_threads_as_the_process_may_use_cores(
    small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 2, 5})
    assert training(Split(small_dataset, "train", NetworkInputs(small_dataset, "image"))).workers == 3

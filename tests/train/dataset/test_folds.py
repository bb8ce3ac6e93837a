"""Folds keep groups together, hold every genre, and do not depend on what the songs are trained with."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import SpectrogramSettings, TmgcError
from tests.factories import write_songs
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import Clip, Dataset, read_dataset, write_dataset
from train.dataset.folds import check_unknown, fold_datasets, write_fold
from train.run import SPLITS, Run

RATIOS = (0.8, 0.1, 0.1)


def dataset_of(folder: Path, songs: dict[str, int], *, group: int = 1, clips: int = 2) -> Dataset:
    """Songs of each genre, as many as stated in a group."""
    return Dataset(
        run=Run(folder),
        genres=tuple(songs),
        spectrogram=SpectrogramSettings(),
        colormap=np.zeros((256, 3), np.uint8),
        demonstration=True,
        clips=tuple(
            Clip(
                name=f"{genre}-{song}-{clip}",
                song=f"{genre}/{song}",
                genre=genre,
                split="train",
                offset_seconds=float(clip),
                lead_seconds=0.0,
                level_dbfs=-20.0,
                group=f"{genre}/{song - song % group}",
            )
            for genre, count in songs.items()
            for song in range(count)
            for clip in range(clips)
        ),
    )


def fold_of(folds: tuple[Dataset, ...]) -> dict[str, int]:
    """The fold that each clip is tested in."""
    return {clip.name: number for number, fold in enumerate(folds) for clip in fold.of("test")}


@pytest.mark.parametrize("group", [1, 3])
def test_every_clip_is_tested_once_and_groups_stay_together(group: int, tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, {"Caz": 30, "Halk": 45}, group=group)
    folds = fold_datasets(dataset, 5, split_ratios=RATIOS, seed=0)
    tested = [clip.name for fold in folds for clip in fold.of("test")]
    assert sorted(tested) == sorted(clip.name for clip in dataset.clips)
    for fold in folds:
        split_of: dict[str, set[str]] = {}
        for clip in fold.clips:
            split_of.setdefault(clip.group, set()).add(clip.split)
        assert all(len(splits) == 1 for splits in split_of.values())


def test_folds_are_stratified_and_every_split_has_every_genre(tmp_path: Path) -> None:
    folds = fold_datasets(dataset_of(tmp_path, {"Caz": 30, "Halk": 45}, clips=1), 5, split_ratios=RATIOS, seed=0)
    for fold in folds:
        assert Counter(clip.genre for clip in fold.of("test")) == {"Caz": 6, "Halk": 9}
        assert {clip.genre for clip in fold.of("validation")} == {"Caz", "Halk"}
        assert len(fold.of("train")) == pytest.approx(8 / 9 * 60, abs=2)


def test_folds_depend_on_songs_and_seed_alone(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, {"Caz": 30, "Halk": 45})
    folds = fold_of(fold_datasets(dataset, 5, split_ratios=RATIOS, seed=0))
    other = replace(
        dataset,
        spectrogram=SpectrogramSettings(sample_rate=16_000),
        clips=tuple(replace(clip, split="test") for clip in reversed(dataset.clips)),
    )
    assert fold_of(fold_datasets(other, 5, split_ratios=(0.5, 0.4, 0.1), seed=0)) == folds
    assert fold_of(fold_datasets(dataset, 5, split_ratios=RATIOS, seed=1)) != folds


def test_a_fold_is_a_run_that_reads_the_clips_of_all(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, {"Caz": 6, "Halk": 6})
    dataset.run.clips.mkdir()
    folds = fold_datasets(dataset, 3, split_ratios=RATIOS, seed=0)
    for _ in range(2):  # the second time, nothing changes
        for fold in folds:
            write_fold(fold)
    read = read_dataset(Run(tmp_path / "fold-2"))
    assert read.fingerprint() == folds[1].fingerprint()
    assert read.run.clips.resolve() == dataset.run.clips.resolve()
    assert not Path(read.run.clips.readlink()).is_absolute(), "the folder may be moved"


def test_folds_that_were_begun_with_other_clips_are_refused(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, {"Caz": 6, "Halk": 6})
    write_fold(fold_datasets(dataset, 3, split_ratios=RATIOS, seed=0)[0])
    with pytest.raises(TmgcError, match="were prepared anew since, or divided otherwise"):
        write_fold(fold_datasets(dataset, 3, split_ratios=RATIOS, seed=1)[0])


def test_a_fold_is_not_prepared_by_itself_since_its_clips_are_those_of_all(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", songs=3, genres=("Caz", "Halk"))
    dataset = dataset_of(tmp_path / "run", {"Caz": 6, "Halk": 6})
    for folder in (dataset.run.clips, dataset.run.images):
        folder.mkdir(parents=True)
    fold = fold_datasets(dataset, 3, split_ratios=RATIOS, seed=0)[0]
    write_fold(fold)
    with pytest.raises(TmgcError, match="fold-1 is a fold of a cross-validation"):
        prepare(songs, fold.run, DatasetConfig())


@pytest.mark.parametrize(
    ("songs", "group", "folds", "expected"),
    [
        (8, 1, 10, "10 folds need at least 10 songs of every genre: Caz has 8"),
        (12, 4, 5, "5 folds need at least 5 groups of songs of every genre: Caz has 3"),
        (3, 1, 2, "2 folds need at least 4 songs of every genre: Caz has 3"),
    ],
)
def test_too_few_songs_of_a_genre_are_refused(
    songs: int, group: int, folds: int, expected: str, tmp_path: Path
) -> None:
    dataset = dataset_of(tmp_path, {"Halk": 60, "Caz": songs}, group=group)
    with pytest.raises(TmgcError, match=expected):
        fold_datasets(dataset, folds, split_ratios=RATIOS, seed=0)


@pytest.mark.parametrize(("songs", "folds"), [(4, 2), (3, 3), (4, 3), (4, 4)])
def test_as_few_songs_as_are_asked_for_are_enough(songs: int, folds: int, tmp_path: Path) -> None:
    for fold in fold_datasets(dataset_of(tmp_path, {"Halk": 60, "Caz": songs}), folds, split_ratios=RATIOS, seed=0):
        assert all({clip.genre for clip in fold.of(split)} == {"Caz", "Halk"} for split in SPLITS)


def test_a_run_that_was_trained_on_the_songs_is_refused(tmp_path: Path) -> None:
    run, other = (dataset_of(tmp_path / name, {"Caz": 6, "Halk": 6}) for name in ("run", "other"))
    known = tuple(replace(clip, content_sha256=clip.song) for clip in run.clips)
    run = replace(run, clips=known)
    other.run.folder.mkdir()
    check_unknown(run, other.run)
    write_dataset(replace(other, clips=tuple(replace(clip, split="test") for clip in known)))
    check_unknown(run, other.run)
    write_dataset(replace(other, clips=known[:4]))
    with pytest.raises(TmgcError, match="other was trained on 2 of these"):
        check_unknown(run, other.run)


def test_a_file_in_the_place_of_a_link_is_refused(tmp_path: Path) -> None:
    fold = fold_datasets(dataset_of(tmp_path, {"Caz": 6, "Halk": 6}), 3, split_ratios=RATIOS, seed=0)[0]
    fold.run.clips.mkdir(parents=True)
    with pytest.raises(TmgcError, match="folds share their clips by symbolic links"):
        write_fold(fold)

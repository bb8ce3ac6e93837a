"""A split that folders give is taken as it is; what is in two of its splits is reported."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from tests.train.dataset.conftest import SETTINGS, melody, write_sound
from train.dataset.build import prepare
from train.dataset.dataset import Dataset
from train.run import SPLITS, Run

GIVEN = replace(SETTINGS, split_folders=True)


def write_split(folder: Path, *, songs: dict[str, int], artist: str = "") -> Path:
    """Write ``folder/<split>/<genre>/<n>.flac``, all different."""
    seed = 0
    for split, count in songs.items():
        for genre in ("Caz", "Halk"):
            for number in range(count):
                seed += 1
                write_sound(
                    folder / split / genre / f"{number}.flac", melody(seed), artist=artist and f"{artist} {seed}"
                )
    return folder


def prepared(folder: Path) -> Dataset:
    dataset, _ = prepare(folder, Run(folder.parent / "run"), GIVEN, workers=1)
    return dataset


def test_every_song_is_in_the_split_of_its_folder(tmp_path: Path, notices: Callable[[], list[str]]) -> None:
    dataset = prepared(write_split(tmp_path / "songs", songs={"Train": 2, "valid": 1, "test": 1}))
    of_folder = dict(zip(("Train", "valid", "test"), SPLITS, strict=True))
    assert dataset.genres == ("Caz", "Halk")
    assert all(clip.split == of_folder[clip.song.split("/")[0]] for clip in dataset.clips)
    assert len({clip.song for clip in dataset.clips}) == 8
    assert notices()[1] == "splits: train 4, validation 2, test 2"


def test_songs_of_train_become_validation_where_there_is_none(tmp_path: Path, notices: Callable[[], list[str]]) -> None:
    dataset = prepared(write_split(tmp_path / "songs", songs={"train": 6, "test": 2}))
    counts = {split: len({clip.song for clip in dataset.of(split)}) for split in SPLITS}
    assert counts == {"train": 10, "validation": 2, "test": 4}
    assert {clip.song.split("/")[0] for clip in dataset.of("validation")} == {"train"}
    assert {clip.genre for clip in dataset.of("validation")} == {"Caz", "Halk"}
    assert "songs of train become those of validation, for which there is no folder" in notices()


def test_recordings_and_artists_in_two_splits_are_reported(tmp_path: Path, notices: Callable[[], list[str]]) -> None:
    songs = write_split(tmp_path / "songs", songs={"train": 2, "val": 1, "test": 1}, artist="singer")
    shutil.copy(songs / "train" / "Caz" / "0.flac", songs / "test" / "Caz" / "copy.flac")
    write_sound(songs / "test" / "Halk" / "other.flac", melody(99), artist="Singer 1")
    dataset = prepared(songs)
    artists, duplicates = notices()[-2:]
    assert artists.startswith("the same artists are in two splits (1 of them, such as ")
    assert "train/Caz/0.flac (train)" in artists
    assert "(test)" in artists
    assert "2 songs have the same audio as another and are not all in the same split as it" in duplicates
    assert {clip.song: clip.split for clip in dataset.clips}["test/Caz/copy.flac"] == "test"


def test_a_genre_that_is_missing_in_a_split_is_refused(tmp_path: Path) -> None:
    songs = write_split(tmp_path / "songs", songs={"train": 3, "val": 1, "test": 1})
    shutil.rmtree(songs / "test" / "Halk")
    with pytest.raises(TmgcError, match="Halk has none that give clips in test"):
        prepared(songs)

"""Songs that belong together stay together, and genres are divided in the ratios as far as that allows.

A split that folders give is taken as it is; what is in two of its splits is reported.
"""

from __future__ import annotations

import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from edge_runtime import TmgcError
from tests.train.dataset.conftest import SETTINGS, melody, write_sound
from train.dataset.build import prepare
from train.dataset.dataset import Dataset
from train.dataset.discover import Song
from train.dataset.split import Unit, connected_groups, large_groups, read_groups, shortfalls, split_units
from train.run import SPLITS, Run

RATIOS = (0.8, 0.1, 0.1)


def units_of(genre: str, sizes: Sequence[int]) -> list[Unit]:
    return [Unit(f"{genre}/{number}", Counter({genre: size})) for number, size in enumerate(sizes)]


def songs_in(units: Sequence[Unit], splits: Sequence[str], genre: str) -> list[int]:
    pairs = list(zip(units, splits, strict=True))
    return [sum(unit.genres[genre] for unit, side in pairs if side == split) for split in SPLITS]


@pytest.mark.parametrize(
    ("songs", "split_ratios", "wanted"),
    [
        (40, RATIOS, [32, 4, 4]),
        (40, (0.5, 0.25, 0.25), [20, 10, 10]),
        (12, RATIOS, [10, 1, 1]),
        (3, RATIOS, [1, 1, 1]),
        (150, RATIOS, [120, 15, 15]),
    ],
)
def test_songs_are_shared_exactly_in_every_genre(
    songs: int, split_ratios: tuple[float, float, float], wanted: list[int]
) -> None:
    units = units_of("A", [1] * songs) + units_of("B", [1] * songs)
    splits = split_units(units, split_ratios=split_ratios, seed=0, kind="songs")
    assert songs_in(units, splits, "A") == songs_in(units, splits, "B") == wanted
    assert not shortfalls(units, splits, split_ratios=split_ratios, kind="songs")


def test_the_seed_and_nothing_else_decides() -> None:
    units = units_of("A", [1] * 40)
    first = split_units(units, split_ratios=RATIOS, seed=1, kind="songs")
    assert first == split_units(units, split_ratios=RATIOS, seed=1, kind="songs")
    assert first != split_units(units, split_ratios=RATIOS, seed=2, kind="songs")
    backwards = split_units(units[::-1], split_ratios=RATIOS, seed=1, kind="songs")[::-1]
    assert first == backwards


@pytest.mark.parametrize("sizes", [[10, 10, 1], [30, 5, 3, 3], [7] * 7, [1, 1, 50], [9, 8, 7, 6, 5, 4, 3, 2, 1]])
def test_every_split_has_every_genre_however_large_the_artists(sizes: list[int]) -> None:
    units = units_of("A", sizes)
    splits = split_units(units, split_ratios=RATIOS, seed=3, kind="artists")
    counts = songs_in(units, splits, "A")
    assert min(counts) > 0
    assert counts[0] == max(counts), "most songs are to train on"


def test_artists_of_a_usual_collection_come_close_to_the_shares() -> None:
    units = units_of("A", [1 + number % 8 for number in range(60)])
    splits = split_units(units, split_ratios=RATIOS, seed=0, kind="artists")
    total = sum(unit.genres["A"] for unit in units)
    assert songs_in(units, splits, "A") == pytest.approx([0.8 * total, 0.1 * total, 0.1 * total], abs=2)
    assert not shortfalls(units, splits, split_ratios=RATIOS, kind="artists")


def test_what_artists_make_impossible_is_said() -> None:
    units = units_of("Halk", [20, 20, 20])
    splits = split_units(units, split_ratios=RATIOS, seed=0, kind="artists")
    (line,) = shortfalls(units, splits, split_ratios=RATIOS, kind="artists")
    assert line == "Halk is split into 20/20/20 songs, not 48/6/6, since its artists stay together"


def test_units_of_two_genres_stay_whole_and_both_genres_are_filled() -> None:
    both = [Unit(f"both/{number}", Counter({"A": 2, "B": 3})) for number in range(3)]
    units = both + units_of("A", [1] * 20) + units_of("B", [1] * 20)
    splits = split_units(units, split_ratios=RATIOS, seed=0, kind="artists")
    for genre in "AB":
        assert min(songs_in(units, splits, genre)) > 0
    assert len(splits) == len(units)


def test_a_genre_with_two_artists_is_refused_by_name_with_the_way_out() -> None:
    units = units_of("Halk", [5, 5]) + units_of("Caz", [1] * 5)
    with pytest.raises(TmgcError, match=r"Halk has 2 .*--group-by song"):
        split_units(units, split_ratios=RATIOS, seed=0, kind="artists")


Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, ...] = ("NFC", "NFD")


def songs_of(folder: Path, *names: str) -> list[Song]:
    return [Song(folder / name, name, name.partition("/")[0]) for name in names]


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("found", FORMS)
def test_groups_are_matched_in_any_unicode_form(tmp_path: Path, written: Form, found: Form) -> None:
    row, name = (unicodedata.normalize(form, "Şarkı/ağıt.mp3") for form in (written, found))
    (tmp_path / "groups.csv").write_text(f"path,group\n{row},ağıt\n", "utf-8")
    assert read_groups(tmp_path, songs_of(tmp_path, name, "Caz/1.mp3")) == {name: "ağıt"}


def test_without_the_file_there_are_no_groups(tmp_path: Path) -> None:
    assert read_groups(tmp_path, songs_of(tmp_path, "Caz/1.mp3")) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,group\nCaz/2.mp3,a\n", r"there is no song Caz/2\.mp3 \(1 such rows\)"),
        ("path,group\nCaz/1.mp3,\n", r"Caz/1\.mp3 has none"),
        ("path,group\nCaz/1.mp3,a\nCaz/1.mp3,b\n", r"Caz/1\.mp3 has 'a' and 'b'"),
        ("file,group\nCaz/1.mp3,a\n", "must have the columns"),
        ("path,group\nCaz/1.mp3\n", r"Caz/1\.mp3 has none"),
        ("", "must have the columns"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "groups.csv").write_text(text, "utf-8")
    with pytest.raises(TmgcError, match=message):
        read_groups(tmp_path, songs_of(tmp_path, "Caz/1.mp3"))


def test_songs_hang_together_through_others() -> None:
    assert connected_groups(6, [["a", "", "a", "b", "", "bc"]], [(2, 3)]) == [[0, 2, 3, 5], [1], [4]]
    assert connected_groups(3, [[(), (), ()]], []) == [[0], [1], [2]]
    assert connected_groups(4, [[("ab", "c"), ("d",), ("c", "d"), ("a",)]], []) == [[0, 1, 2], [3]]


def test_keys_of_different_kinds_tie_but_are_not_mistaken_for_each_other() -> None:
    artists, groups = [("a",), ("b",), ("b",), (), ("c",)], [(), (), ("b",), ("b",), ("a",)]
    assert connected_groups(5, [artists, groups], []) == [[0], [1, 2, 3], [4]]


def test_a_group_that_holds_much_of_a_genre_is_told_with_what_ties_it() -> None:
    genres = ["Halk"] * 12 + ["Caz"] * 12
    keys = [("koro", f"singer {song % 4}") for song in range(8)] + [(f"other {song}",) for song in range(16)]
    members = connected_groups(24, [keys], [])
    (line,) = large_groups(members, genres, [keys])
    assert line == (
        "8 of 12 songs of Halk are one group and in one split: they share koro (8), singer 0 (2), singer 1 (2), "
        "singer 2 (2), singer 3 (2). If these are several artists, correct the songs' tags"
    )
    assert not large_groups([[song] for song in range(24)], genres, [keys])


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_no_file_is_refused_and_not_taken_for_none(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "groups.csv"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(TmgcError, match="must be a file"):
        read_groups(tmp_path, [])


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

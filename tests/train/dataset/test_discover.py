"""Every file in a folder of songs is a song or is skipped with a reason, whatever its name and its kind."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.dataset.discover import NOT_AUDIO, Skipped, find_songs
from train.run import SPLITS


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def reasons(left_out: list[Skipped]) -> dict[str, str]:
    return {item.song: item.reason for item in left_out}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    touch(tmp_path / "songs" / "Caz" / "1.mp3", tmp_path / "songs" / "Halk" / "1.MP3")
    return tmp_path / "songs"


def test_two_spellings_of_a_genre_are_one_genre(folder: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Şarkı İğde çöl") for form in ("NFC", "NFD"))
    assert composed != decomposed
    touch(folder / composed / "a.mp3", folder / decomposed / "a.mp3")
    songs, left_out = find_songs(folder)
    assert not left_out
    assert {song.genre for song in songs} == {"Caz", "Halk", composed}
    assert len({song.relative_path for song in songs}) == 4, "each is still found under the name that the system knows"
    assert all(song.path.is_file() for song in songs)


def test_what_is_no_song_is_listed_with_its_reason(folder: Path) -> None:
    touch(
        folder / "Caz" / "cover.jpg",
        folder / "Caz" / "._1.mp3",
        folder / "Halk" / ".private" / "2.mp3",
        folder / "lost.mp3",
        folder / "README.txt",
        folder / "groups.csv",
        folder / "demo_corpus.json",
    )
    os.mkfifo(folder / "Caz" / "pipe.wav")
    songs, left_out = find_songs(folder)
    assert [song.relative_path for song in songs] == ["Caz/1.mp3", "Halk/1.MP3"]
    found = reasons(left_out)
    assert found.pop("Caz/cover.jpg") == NOT_AUDIO
    assert found.pop("Caz/._1.mp3") == "what macOS writes beside a file"
    assert found.pop("Halk/.private/2.mp3") == "hidden"
    assert found.pop("lost.mp3") == "not in the folder of a genre"
    assert "a pipe" in found.pop("Caz/pipe.wav")
    assert found.pop("README.txt") == NOT_AUDIO
    assert not found


def test_odd_names_of_songs_are_songs(folder: Path) -> None:
    names = ["ş ğ ı İ ç ö ü.mp3", "line\nbreak.mp3", "tab\t.mp3", "a" * 250 + ".mp3", os.fsdecode(b"\xfe\xff.mp3")]
    touch(*(folder / "Caz" / name for name in names), folder / "Caz" / "deep" / "er" / "still.ogg")
    songs, left_out = find_songs(folder)
    assert not left_out
    assert {song.path.name for song in songs} == {"1.mp3", "1.MP3", "still.ogg", *names}


def test_links_are_followed_but_in_no_circle(folder: Path, tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "album" / "far.flac", tmp_path / "elsewhere" / "single.flac")
    (folder / "Caz" / "album").symlink_to(tmp_path / "elsewhere" / "album")
    (folder / "Caz" / "single.flac").symlink_to(tmp_path / "elsewhere" / "single.flac")
    (folder / "Rap").symlink_to(tmp_path / "elsewhere")
    (folder / "Caz" / "round").symlink_to(folder)
    (folder / "Halk" / "gone.mp3").symlink_to(tmp_path / "nowhere.mp3")
    (folder / "Halk" / "self.mp3").symlink_to("self.mp3")
    songs, left_out = find_songs(folder)
    linked = {"Caz/album/far.flac", "Caz/single.flac", "Rap/single.flac"}
    assert {song.relative_path for song in songs} == {"Caz/1.mp3", "Halk/1.MP3", *linked}
    assert set(reasons(left_out)) == {"Caz/round", "Halk/gone.mp3", "Halk/self.mp3", "Rap/album"}
    assert "that contains it" in reasons(left_out)["Caz/round"]
    assert reasons(left_out)["Rap/album"] == "the same folder as Caz/album"
    assert "broken" in reasons(left_out)["Halk/gone.mp3"]


def test_a_folder_that_two_genres_link_to_is_read_once_and_a_real_one_by_its_own_path(
    folder: Path, notices: Callable[[], list[str]]
) -> None:
    (folder / "Arabesk").symlink_to(folder / "Halk")
    touch(folder.parent / "shared" / "song.mp3")
    (folder / "Pop").symlink_to(folder.parent / "shared")
    (folder / "Rock").symlink_to(folder.parent / "shared")
    songs, left_out = find_songs(folder)
    assert {song.relative_path for song in songs} == {"Caz/1.mp3", "Halk/1.MP3", "Pop/song.mp3"}
    assert reasons(left_out) == {"Arabesk": "the same folder as Halk", "Rock": "the same folder as Pop"}
    assert "no songs are taken from the folders 'Arabesk', 'Rock'" in notices()


def test_genres_and_what_is_skipped_are_shown_before_a_refusal_too(
    folder: Path, notices: Callable[[], list[str]]
) -> None:
    touch(folder / "Halk" / "2.mp3", folder / "Halk" / "cover.jpg", folder / "$RECYCLE.BIN" / "3.mp3")
    (folder / "Rock").mkdir()
    find_songs(folder)
    shown = notices()
    touch(folder / "unknown" / "4.mp3")
    with pytest.raises(TmgcError, match="a genre cannot be called unknown"):
        find_songs(folder)
    refused = notices()
    assert shown == [
        f"3 songs in {folder}/<genre>; genres: Caz 1, Halk 2",
        "no songs are taken from the folders 'Rock'",
        "not songs: 2 files: 1 in $RECYCLE.BIN, a folder of the system; 1 not an audio file, by its name",
    ]
    assert refused == [f"4 songs in {folder}/<genre>; genres: Caz 1, Halk 2, unknown 1", *shown[1:]]


@pytest.mark.parametrize("name", ["Türkü".encode("cp1254"), "Türkü".encode("cp857"), "Türkü".encode()])
def test_songs_of_a_folder_from_a_turkish_windows_are_used(
    folder: Path, name: bytes, notices: Callable[[], list[str]]
) -> None:
    touch(folder / os.fsdecode(name) / os.fsdecode("ışık.mp3".encode("cp1254")))
    songs, left_out = find_songs(folder)
    assert not left_out
    assert {song.genre for song in songs} == {"Caz", "Halk", "Türkü"}
    assert all(song.path.is_file() for song in songs)
    assert any("is the genre Türkü" in notice for notice in notices()) == (name != "Türkü".encode())


def test_folders_of_one_genre_only_are_told_apart_from_too_few_genres(tmp_path: Path) -> None:
    touch(tmp_path / "Pop" / "1.mp3", tmp_path / "Pop " / "2.mp3")
    with pytest.raises(TmgcError, match=r"'Pop' \(1 songs\), 'Pop ' \(1 songs\)\. Merge"):
        find_songs(tmp_path)
    (tmp_path / "Pop ").rename(tmp_path / os.fsdecode("Türkü".encode("cp857")))
    (tmp_path / "Pop").rename(tmp_path / "Türkü")
    with pytest.raises(TmgcError, match=r"found 2 songs in 1 genre\(s\)\. Songs are files that end in"):
        find_songs(tmp_path)


def test_genres_one_level_deeper_and_songs_outside_genres_are_pointed_at(folder: Path) -> None:
    with pytest.raises(TmgcError, match=rf"Are the genres the folders in {folder}\? Then name that, or add"):
        find_songs(folder.parent)
    touch(folder.parent / "deep" / "Music" / "Turkish" / "Caz" / "1.mp3")
    touch(folder.parent / "deep" / "Music" / "Turkish" / "Halk" / "1.mp3")
    with pytest.raises(TmgcError, match=r"Are the genres the folders in .*/deep/Music/Turkish\?"):
        find_songs(folder.parent / "deep")
    touch(folder.parent / "flat" / "1.mp3", folder.parent / "flat" / "2.mp3")
    with pytest.raises(TmgcError, match="stand 2 songs: move each into that of its genre"):
        find_songs(folder.parent / "flat")


SPLITS_OF_OTHERS = [("train", "test"), ("Training", "VAL", "testing"), ("eğitim", "doğrulama", "sınama")]


@pytest.mark.parametrize("names", SPLITS_OF_OTHERS)
@pytest.mark.parametrize("inside", [False, True])
def test_a_data_set_that_is_split_already_is_recognised_and_taken_as_it_is_on_demand(
    tmp_path: Path, names: tuple[str, ...], inside: bool
) -> None:
    folder, expected = tmp_path / "songs", set()
    for name, split in zip(names, ("train", "test") if len(names) == 2 else SPLITS, strict=True):
        for genre in ("Caz", "Halk"):
            path = Path(genre, name, "1.mp3") if inside else Path(name, genre, "1.mp3")
            touch(folder / path)
            expected.add((str(path), genre, split))
    with pytest.raises(TmgcError, match=r"already split\. Take its splits as they are with --split-folders"):
        find_songs(folder)
    songs, left_out = find_songs(folder, split_folders=True)
    assert {song[1:] for song in songs} == expected
    assert not left_out


def test_songs_beside_the_splits_are_skipped_with_a_reason(tmp_path: Path, notices: Callable[[], list[str]]) -> None:
    touch(*(tmp_path / split / genre / "1.mp3" for split in ("train", "test") for genre in ("Caz", "Halk")))
    touch(tmp_path / "extra" / "Caz" / "2.mp3", tmp_path / "train" / "3.mp3")
    songs, left_out = find_songs(tmp_path, split_folders=True)
    assert len(songs) == 4
    reason = "not in the folder of a genre and a split"
    assert reasons(left_out) == {"extra/Caz/2.mp3": reason, "train/3.mp3": reason}
    assert notices() == [
        f"4 songs in {tmp_path}/<split>/<genre>; genres: Caz 2, Halk 2",
        "splits: train 2, validation 0, test 2",
        "no songs are taken from the folders 'extra'",
        f"not songs: 2 files: 2 {reason}",
    ]


@pytest.mark.parametrize("names", [("Caz", "Halk"), ("train", "val"), ("train",)])
def test_split_folders_need_train_and_test(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(*(tmp_path / name / genre / "1.mp3" for name in names for genre in ("Pop", "Rock")))
    with pytest.raises(TmgcError, match=r"--split-folders takes train, validation, test .*: found .*none of .*test"):
        find_songs(tmp_path, split_folders=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_read_is_listed(folder: Path) -> None:
    touch(folder / "Halk" / "closed" / "1.mp3")
    (folder / "Halk" / "closed").chmod(0)
    try:
        _, left_out = find_songs(folder)
    finally:
        (folder / "Halk" / "closed").chmod(0o700)
    assert "cannot be read" in reasons(left_out)["Halk/closed"]


def test_the_counts_add_up_to_the_files_found(folder: Path) -> None:
    touch(*(folder / "Halk" / name for name in ("a.wav", "b.txt", ".c.ogg", "d.m4a", "e")))
    songs, left_out = find_songs(folder)
    assert len(songs) + len(left_out) == sum(path.is_file() for path in folder.rglob("*"))


def test_a_folder_of_songs_that_the_system_refuses_is_refused_in_one_line(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(TmgcError, match="there is no folder"):
            find_songs(folder)
    with pytest.raises(TmgcError, match=r"must be readable: .* is not \(File name too long\)"):
        find_songs(tmp_path / ("a" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_of_songs_that_is_closed_is_refused_in_one_line(folder: Path) -> None:
    folder.chmod(0)
    try:
        with pytest.raises(TmgcError, match=r"must be readable: .* is not \(Permission denied\)"):
            find_songs(folder)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(("genres", "message"), [((), "found 0 songs"), (("Halk",), "1 genre")])
def test_a_folder_without_songs_of_two_genres_is_refused(tmp_path: Path, genres: tuple[str, ...], message: str) -> None:
    (tmp_path / "songs").mkdir()
    touch(*(tmp_path / "songs" / genre / "1.mp3" for genre in genres))
    with pytest.raises(TmgcError, match=message):
        find_songs(tmp_path / "songs")

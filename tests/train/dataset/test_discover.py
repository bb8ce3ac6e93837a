"""Every file in a folder of songs is a song or is skipped with a reason, whatever its name and its kind."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.dataset.discover import NOT_AUDIO, Skipped, find_songs


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
        folder / "Halk" / ".trash" / "2.mp3",
        folder / "lost.mp3",
        folder / "README.txt",
        folder / "groups.csv",
        folder / "demo_corpus.json",
        folder / "Pop\nRock" / "1.mp3",
    )
    os.mkfifo(folder / "Caz" / "pipe.wav")
    songs, left_out = find_songs(folder)
    assert [song.relative_path for song in songs] == ["Caz/1.mp3", "Halk/1.MP3"]
    found = reasons(left_out)
    assert found.pop("Caz/cover.jpg") == NOT_AUDIO
    assert found.pop("Caz/._1.mp3") == found.pop("Halk/.trash/2.mp3") == "hidden"
    assert "not in the folder of a genre" in found.pop("lost.mp3")
    assert "control characters" in found.pop("Pop\nRock/1.mp3")
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
    linked = {"Caz/album/far.flac", "Caz/single.flac", "Rap/album/far.flac", "Rap/single.flac"}
    assert {song.relative_path for song in songs} == {"Caz/1.mp3", "Halk/1.MP3", *linked}
    assert set(reasons(left_out)) == {"Caz/round", "Halk/gone.mp3", "Halk/self.mp3"}
    assert "that contains it" in reasons(left_out)["Caz/round"]
    assert "broken" in reasons(left_out)["Halk/gone.mp3"]


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

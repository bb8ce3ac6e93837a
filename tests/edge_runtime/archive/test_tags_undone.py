"""What is written into files is taken back, and a kill at any moment leaves each of them whole."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import mutagen
import pytest

from edge_runtime.archive.audio_part import id3_size
from edge_runtime.archive.id3_frames import Frame, Id3Tag
from edge_runtime.archive.journal import read_changes
from edge_runtime.archive.results import Archive
from edge_runtime.archive.tags import WriteSettings
from edge_runtime.files import PARTIAL
from tests.edge_runtime.archive.changed import OWN, archive_of, lengthen, only, outcomes, read_back, undo, write
from tests.edge_runtime.archive.encoded import NAMES, audio_md5, probed
from tests.edge_runtime.archive.made import make_archive, row
from tests.edge_runtime.archive.tagged import TAG, tag_command


def test_undo_restores_what_was_there_and_its_absence(encoded: Path, music: Path) -> None:
    archive = archive_of(music)
    write(archive)
    write(archive, OWN)
    assert probed(music / "song.flac")["tmgc_genre"] == "Arabesk"
    assert outcomes(undo(archive)) == {"written"}
    same = {name for name in NAMES if (music / name).read_bytes() == (encoded / name).read_bytes()}
    assert same >= {name for name in NAMES if not name.endswith(".m4a")}
    assert all(probed(music / name) == probed(encoded / name) for name in NAMES if name not in same)
    assert audio_md5(music) == audio_md5(encoded)
    assert undo(archive) == {}, "nothing is left to undo"
    assert outcomes(write(archive)) == {"written"}, "it may be written again"


@pytest.mark.parametrize("name", NAMES)
def test_a_replaced_genre_comes_back_with_all_its_values(music: Path, name: str) -> None:
    archive_of(only(music, name).parent)
    song: Any = mutagen.File(music / name, easy=True)
    if song.tags is None:
        song.add_tags()
    song["genre"] = ["Türk Sanat Müziği", "Fasıl"]
    song.save()
    shutil.rmtree(music.parent / "out")
    archive = archive_of(music)
    assert write(archive)[name].outcome == "kept"
    assert write(archive, WriteSettings(replace=True))[name].before[0].startswith("Türk Sanat Müziği")
    assert read_back(music / name) == ["Arabesk"]
    undo(archive)
    assert read_back(music / name) == ["Türk Sanat Müziği", "Fasıl"]


def with_genres(song: Path) -> bytes:
    """A song whose genres stand before, between and behind other tags; its content."""
    if song.suffix == ".mp3":
        names, values = (
            (b"TCON", b"TIT2", b"TCON", b"TPE1", b"TALB", b"TCON"),
            (b"Halk", b"t", b"Caz", b"a", b"b", b"Pop"),
        )
        frames = [Frame(name, b"\0\0", b"\0" + value) for name, value in zip(names, values, strict=True)]
        with song.open("rb") as opened:
            opened.seek(id3_size(opened))
            audio = opened.read()
        song.write_bytes(Id3Tag(4 if "v24" in song.name else 3, 0, frames).render(300) + audio)
    else:
        file: Any = mutagen.File(song)
        file.tags[:] = [
            *(("genre", "Türk Sanat Müziği"), ("TITLE", "t"), ("TMGC_GENRE", "Caz"), ("Genre", "Fasıl")),
            *(("ARTIST", "a"), ("ALBUM", "b"), ("TMGC_GENRE", "Pop"), ("GENRE", "Klasik"), ("DATE", "1970")),
        ]
        file.save()
    return song.read_bytes()


@pytest.mark.parametrize("also", [None, 0.01])
@pytest.mark.parametrize("name", ["song.flac", "song.ogg", "song.opus", "v23.mp3", "v24.mp3"])
def test_replaced_genres_come_back_into_their_places(music: Path, name: str, also: float | None) -> None:
    before = with_genres(only(music, name))
    archive = archive_of(music)
    for field in ("GENRE", "TMGC_GENRE"):
        written = write(archive, WriteSettings(replace=True, also=also, field=field))
        assert outcomes(written) == {"written"}
    assert (music / name).read_bytes() != before
    assert outcomes(undo(archive)) == {"written"}
    assert (music / name).read_bytes() == before


def test_replaced_atoms_come_back_as_mutagen_orders_them(music: Path) -> None:
    song = only(music, "song.m4a")
    atoms = mutagen.File(song)
    atoms.tags["\xa9gen"] = ["Fasıl", "Klasik"]
    atoms.save()
    before, archive = song.read_bytes(), archive_of(music)
    assert outcomes(write(archive, WriteSettings(replace=True))) == {"written"}
    assert outcomes(undo(archive)) == {"written"}
    assert song.read_bytes() == before


def test_a_genre_that_others_have_moved_still_comes_back(music: Path) -> None:
    song = only(music, "song.flac")
    with_genres(song)
    archive = archive_of(music)
    write(archive, WriteSettings(replace=True))
    file: Any = mutagen.File(song)
    file.tags[:] = [("COMPOSER", "c"), *file.tags]
    file.save()
    assert outcomes(undo(archive)) == {"written"}
    tags = list(mutagen.File(song).tags)
    assert [value for key, value in tags if key.upper() == "GENRE"] == ["Türk Sanat Müziği", "Fasıl", "Klasik"]
    assert ("COMPOSER", "c") in tags


def test_undo_refuses_a_song_that_has_changed_since_and_restores_others(music: Path) -> None:
    archive = archive_of(music)
    write(archive)
    song: Any = mutagen.File(music / "song.flac")
    song["genre"] = ["Yeni"]
    song.save()
    (music / "song.ogg").unlink()
    songs = undo(archive)
    assert songs["song.flac"].reason.startswith("it has changed since its tags were written")
    assert songs["song.ogg"].reason == "it no longer exists"
    assert {name for name, song in songs.items() if song.outcome == "written"} == set(NAMES) - {
        "song.flac",
        "song.ogg",
    }
    assert read_back(music / "song.flac") == ["Yeni"]


def test_undo_takes_back_what_still_stands_there_whatever_others_have_changed(music: Path) -> None:
    archive = archive_of(music)
    write(archive)
    for name in NAMES:
        song: Any = mutagen.File(music / name, easy=True)
        song["title"] = "Yeni"
        song.save()
    mp3s = {"bare.mp3", "v1.mp3", "v23.mp3", "v24.mp3"}
    songs = undo(archive)
    assert {name for name, song in songs.items() if song.outcome == "written"} >= set(NAMES) - mp3s
    for name in set(NAMES) - mp3s:
        song = mutagen.File(music / name, easy=True)
        assert (song["title"], song.get("genre")) == (["Yeni"], None)
    assert not {name for name, song in undo(archive).items() if song.outcome == "written"}, "nothing is left to undo"


def test_what_two_archives_have_written_both_take_back(encoded: Path, music: Path) -> None:
    first = archive_of(music)
    write(first)
    second = make_archive(music.parent / "second", [row(name, music, "Arabesk") for name in NAMES])
    assert outcomes(write(second, OWN)) == {"written"}
    assert outcomes(undo(first)) == {"written"}
    assert outcomes(undo(second)) == {"written"}
    assert all(read_back(music / name) == [] for name in NAMES)
    assert undo(first) == undo(second) == {}
    assert all(probed(music / name) == probed(encoded / name) for name in NAMES if name != "v1.mp3")
    assert audio_md5(music) == audio_md5(encoded)


_KILLED = """
import os, sys
from pathlib import Path
from edge_runtime.archive.journal import Journal
from edge_runtime.archive.results import read_archive
from edge_runtime.archive.tags import WriteSettings, undo_tags, write_tags
Path.replace = lambda *_: os._exit(9)
folder = Path(sys.argv[1])
with Journal(folder) as journal:
    list(undo_tags(folder, journal=journal) if sys.argv[2] == "undo"
         else write_tags(read_archive(folder), WriteSettings(), journal=journal))
"""


def killed(archive: Archive, action: str) -> None:
    """Run an action in a process that dies between the journal and the first change."""
    done = subprocess.run([sys.executable, "-c", _KILLED, str(archive.folder), action], check=False)
    assert done.returncode == 9


def test_a_kill_between_the_journal_and_the_change_is_recovered_from(encoded: Path, music: Path) -> None:
    song = only(music, "song.flac")
    archive = archive_of(music)
    killed(archive, "write")
    assert len(list(read_changes(archive.folder))) == 1
    assert song.read_bytes() == (encoded / song.name).read_bytes()
    assert len(list(music.glob(f"{PARTIAL}*"))) == 1, "which the walk leaves out, since it is hidden"
    assert undo(archive) == {}, "nothing has been written"
    assert outcomes(write(archive)) == {"written"}
    assert not list(music.glob(f"{PARTIAL}*"))
    killed(archive, "undo")
    assert read_back(song) == ["Arabesk"]
    assert outcomes(undo(archive)) == {"written"}
    assert song.read_bytes() == (encoded / song.name).read_bytes()


def test_a_kill_in_an_undo_of_a_song_that_others_have_changed_is_recovered_from(music: Path) -> None:
    song = only(music, "song.flac")
    archive = archive_of(music)
    write(archive)
    lengthen(song)
    killed(archive, "undo")
    assert read_back(song) == ["Arabesk"]
    assert outcomes(undo(archive)) == {"written"}
    assert read_back(song) == []
    assert song.read_bytes().endswith(b"\0"), "what others have changed stays"
    assert [path.name for path in music.iterdir()] == ["song.flac"]


@pytest.mark.full
def test_however_often_it_is_killed_every_song_is_whole(encoded: Path, tmp_path: Path) -> None:
    music, rounds = tmp_path / "music", random.Random(1)
    for number in range(20):
        shutil.copytree(encoded, music / f"{number:02d}")
    before = {path: path.read_bytes() for path in music.rglob("*.*")}
    out = archive_of(music).folder
    for action in ("write", "undo"):
        for _ in range(6):
            running = subprocess.Popen([*TAG, action, str(out), "--yes"], stdout=subprocess.DEVNULL)
            with suppress(subprocess.TimeoutExpired):
                running.wait(rounds.uniform(0.4, 1.2))
            running.kill()
            running.wait()
            for path in before:
                assert mutagen.File(path) is not None, "it is the old song or the new one"
        assert tag_command(action, out, "--yes").returncode == 0
        assert {path for path in music.rglob("*") if path.is_file()} == set(before), "nothing is left behind"
        for path in before:
            assert read_back(path) == (["Arabesk"] if action == "write" else [])
        for number in (0, 9, 19):
            assert audio_md5(music / f"{number:02d}") == audio_md5(encoded)
    same = ("bare.mp3", "v1.mp3", "song.flac", "song.ogg", "song.opus")
    assert all(path.read_bytes() == content for path, content in before.items() if path.name in same)

"""Genres are written into real files, and read back by others; whatever else is in the files stays."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import mutagen
import pytest
from mutagen.flac import FLAC
from mutagen.id3 import ID3

from edge_runtime.archive import tags as tags_module
from edge_runtime.archive.journal import JOURNAL, Journal, JournalError, OwnChanges
from edge_runtime.archive.manifest import find_songs
from edge_runtime.archive.results import stored_path
from edge_runtime.archive.tags import WriteSettings, undo_tags, write_tags
from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL
from tests.edge_runtime.archive.changed import (
    GENRE,
    OWN,
    archive_of,
    by_name,
    lengthen,
    only,
    outcomes,
    read_back,
    undo,
    write,
)
from tests.edge_runtime.archive.encoded import NAMES, audio_md5, probed
from tests.edge_runtime.archive.made import make_archive, row


def test_every_format_has_the_genre_for_mutagen_and_ffprobe_and_the_same_sound(encoded: Path, music: Path) -> None:
    assert outcomes(write(archive_of(music))) == {"written"}
    for name in NAMES:
        assert read_back(music / name) == ["Arabesk"]
        before, after = probed(encoded / name), probed(music / name)
        assert after.pop("genre") == "Arabesk"
        if name != "v1.mp3":  # whose new tag holds what ID3v1 says
            assert after == before
    assert len(set(audio_md5(encoded))) > 5
    assert audio_md5(music) == audio_md5(encoded)


def test_an_id3_tag_keeps_its_version_and_a_new_one_has_the_chosen_one(music: Path) -> None:
    write(archive_of(music), WriteSettings(id3v2_version=3))
    versions = {name: ID3(music / name).version[1] for name in NAMES if name.endswith(".mp3")}
    assert versions == {"v24.mp3": 4, "v23.mp3": 3, "bare.mp3": 3, "v1.mp3": 3}
    assert str(ID3(music / "v1.mp3")["TIT2"]) == "Song", "players may read the new tag alone"


def test_further_genres_are_further_values(music: Path) -> None:
    write(archive_of(music, confidence=0.5), WriteSettings(min_confidence=0.5, also=0.25))
    for name in ("song.flac", "song.ogg", "song.opus", "song.m4a", "v24.mp3"):
        assert read_back(music / name) == ["Arabesk", "Halk", "Pop"]
    assert ID3(music / "v23.mp3")["TCON"].text == ["Arabesk/Halk/Pop"]
    assert probed(music / "song.flac")["genre"] == "Arabesk;Halk;Pop"


def test_songs_without_a_sure_genre_stay_as_they_are(music: Path, tmp_path: Path) -> None:
    rows = [
        row("song.flac", music, "unknown", 0.4),
        row("song.ogg", music, "silence", 0.0),
        row("song.opus", music, None),
        row("v24.mp3", music, "Pop", 0.79),
    ]
    archive = make_archive(tmp_path / "out", rows)
    assert [song.outcome for song in write(archive).values()] == ["no genre", "no genre", "no genre", "unsure"]
    assert not (tmp_path / "out" / JOURNAL).read_bytes()


def test_a_dry_run_says_the_same_and_changes_nothing(encoded: Path, music: Path) -> None:
    archive = archive_of(music)
    dry = list(write_tags(archive, GENRE, journal=None))
    assert all((music / name).read_bytes() == (encoded / name).read_bytes() for name in NAMES)
    assert dry == list(write(archive).values())
    written = {path.name: path.read_bytes() for path in music.iterdir()}
    assert by_name(undo_tags(archive.folder, journal=None)).keys() == written.keys()
    assert {path.name: path.read_bytes() for path in music.iterdir()} == written


def test_written_songs_are_not_classified_again(music: Path) -> None:
    archive = archive_of(music)
    root = stored_path(str(music))
    before = find_songs([root], None, OwnChanges(archive.folder)).songs
    write(archive)
    write(archive, OWN)
    assert find_songs([root], None, OwnChanges(archive.folder)).songs == before
    assert outcomes(write(archive)) == {"same"}
    undo(archive)
    assert find_songs([root], None, OwnChanges(archive.folder)).songs == before
    (music / "song.flac").write_bytes((music / "song.ogg").read_bytes())
    assert find_songs([root], None, OwnChanges(archive.folder)).songs != before


def test_names_may_be_of_any_bytes(encoded: Path, music: Path) -> None:
    names = [b"\xfeark\xfd.flac", "new\nline \u202e.flac".encode(), b" -'\"$(x)`;.flac", "ş".encode() * 120 + b".flac"]
    song = only(music, "song.flac")
    for name in names:
        shutil.copy(song, music / os.fsdecode(name))
    archive = archive_of(music)
    assert outcomes(write(archive)) == {"written"}
    assert {os.fsencode(path.name) for path in music.iterdir()} == {*names, b"song.flac"}
    assert all(read_back(path) == ["Arabesk"] for path in music.iterdir())
    undo(archive)
    assert {path.read_bytes() for path in music.iterdir()} == {(encoded / "song.flac").read_bytes()}


def test_permissions_and_extended_attributes_are_kept(music: Path) -> None:
    song = only(music, "song.flac")
    song.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(song, 12345, 23456)
    with_attribute = True
    try:
        os.setxattr(song, "user.note", b"kept")
    except OSError:
        with_attribute = False
    before = song.stat()
    write(archive_of(music))
    after = song.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert not with_attribute or os.getxattr(song, "user.note") == b"kept"
    assert after.st_mtime_ns > before.st_mtime_ns, "backups must see the change"
    assert [path.name for path in music.iterdir()] == ["song.flac"]


def _gone(song: Path) -> None:
    song.unlink()


def _behind_a_link(song: Path) -> None:
    elsewhere = song.parents[1] / "elsewhere"
    elsewhere.mkdir()
    song.rename(elsewhere / song.name)
    song.symlink_to(elsewhere / song.name)


def _in_a_linked_folder(song: Path) -> None:
    elsewhere = song.parents[1] / "elsewhere"
    song.parent.rename(elsewhere)
    song.parent.symlink_to(elsewhere)


def _with_two_names(song: Path) -> None:
    song.with_name("other.flac").hardlink_to(song)


def _read_only(song: Path) -> None:
    song.chmod(0o444)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lengthen, "it has changed since it was classified"),
        (_gone, "it no longer exists"),
        (_behind_a_link, "it is reached through a symbolic link"),
        (_in_a_linked_folder, "it is reached through a symbolic link"),
        (_with_two_names, "it has 2 hard links"),
        (_read_only, "it is read-only"),
    ],
)
def test_a_song_that_must_not_be_replaced_is_named_and_others_go_on(music: Path, spoil: Any, reason: str) -> None:
    (music / "album").mkdir()
    song = (music / "song.flac").rename(music / "album" / "song.flac")
    for path in music.glob("*.m*"):
        path.unlink()
    archive = archive_of(music)
    content = song.read_bytes()
    spoil(song)
    songs = write(archive)
    assert songs["song.flac"].outcome == "refused"
    assert songs["song.flac"].reason.startswith(reason)
    assert songs["song.opus"].outcome == songs["song.ogg"].outcome == "written"
    assert not song.exists() or song.read_bytes().startswith(content)


def test_formats_without_such_tags_and_damaged_ones_are_named(music: Path, tmp_path: Path) -> None:
    only(music, "song.flac")
    shutil.copy(music / "song.flac", music / "cut.flac")
    os.truncate(music / "cut.flac", 60)
    (music / "text.mp3").write_text("no song")
    (music / "empty.ogg").touch()
    command = ["ffmpeg", "-v", "error", "-i", str(music / "song.flac"), str(music / "song.wav")]
    subprocess.run(command, check=True)
    before = {path.name: path.read_bytes() for path in music.iterdir()}
    songs = write(archive_of(music))
    assert {name for name, song in songs.items() if song.outcome == "refused"} == before.keys() - {"song.flac"}
    assert songs["song.wav"].reason == "tags are written to MP3, FLAC, Ogg Vorbis, Opus and M4A: it is something else"
    for name in before.keys() - {"song.flac"}:
        assert (music / name).read_bytes() == before[name]


def test_songs_of_another_machine_are_left_out(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "out", [row("song.mp3", "s3://bucket")])
    assert outcomes(write(archive)) == {"remote"}


def test_a_song_that_is_changed_meanwhile_is_left_to_who_changes_it(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = only(music, "song.flac")
    archive = archive_of(music)
    check = tags_module._check

    def check_and_change(path: Path, *rest: Any) -> None:
        check(path, *rest)
        lengthen(path)

    monkeypatch.setattr(tags_module, "_check", check_and_change)
    assert write(archive)["song.flac"].reason == "it is being changed by another program"
    assert read_back(song) == []
    assert [path.name for path in music.iterdir()] == ["song.flac"]


@pytest.mark.parametrize("what", ["song", "copy", "other song", "other copy"])
def test_nothing_takes_the_place_of_a_song_that_was_not_compared_with_it(
    encoded: Path, music: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    song = only(music, "song.flac")
    archive = archive_of(music)
    append = Journal.append

    def append_and_change(journal: Journal, change: Any) -> None:
        append(journal, change)
        (copy,) = music.glob(f"{PARTIAL}*")
        changed = song if what.endswith("song") else copy
        if what.startswith("other"):
            status = changed.stat()
            changed.unlink()
            changed.write_bytes(bytes(status.st_size))
            os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
        else:
            lengthen(changed)

    monkeypatch.setattr(Journal, "append", append_and_change)
    assert write(archive)["song.flac"].reason == "it is being changed by another program"
    assert [path.name for path in music.iterdir()] == ["song.flac"]
    if what.endswith("copy"):
        assert song.read_bytes() == (encoded / song.name).read_bytes()


def test_a_song_is_changed_by_one_run_at_a_time(encoded: Path, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl")
    only(music, "song.flac")
    first = archive_of(music)
    second = make_archive(music.parent / "second", [row("song.flac", music, "Arabesk")])
    check, said = tags_module._check, list[str]()

    def check_and_write(*arguments: Any) -> None:
        monkeypatch.setattr(tags_module, "_check", check)
        said.append(write(second)["song.flac"].reason)
        assert len(list(music.glob(f"{PARTIAL}*"))) == 1, "whose copy stays"
        check(*arguments)

    monkeypatch.setattr(tags_module, "_check", check_and_write)
    assert outcomes(write(first)) == {"written"}
    assert said == ["another tmgc-tag is changing it"]
    assert [path.name for path in music.iterdir()] == ["song.flac"]


@pytest.mark.parametrize("outcome", ["unsure", "no genre", "refused", "undone"])
def test_a_copy_that_a_kill_has_left_behind_is_removed_wherever_a_song_is_passed(music: Path, outcome: str) -> None:
    song = only(music, "song.flac")
    genre, confidence = ("unknown", 0.9) if outcome == "no genre" else ("Arabesk", 0.1 if outcome == "unsure" else 0.9)
    archive = archive_of(music, genre=genre, confidence=confidence)
    if outcome == "refused":
        lengthen(song)
    elif outcome == "undone":
        write(archive)
    left, other = music / f"{PARTIAL}tag-{'0a' * 8}.flac", music / f"{PARTIAL}other.flac"
    left.touch()
    other.touch()
    if outcome == "undone":
        undo(archive)
    else:
        assert outcomes({"song": next(write_tags(archive, GENRE, journal=None))}) == {outcome}
        assert left.exists(), "a dry run changes nothing"
        assert write(archive)["song.flac"].outcome == outcome
    assert not left.exists()
    assert other.exists()


def test_a_change_of_the_sound_is_refused(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = only(music, "song.flac")
    archive = archive_of(music)
    finish = tags_module._check

    def damage_and_check(path: Path, copy: Path, tags: Any) -> None:
        content = bytearray(copy.read_bytes())
        content[-100] ^= 1
        copy.write_bytes(content)
        finish(path, copy, tags)

    monkeypatch.setattr(tags_module, "_check", damage_and_check)
    assert write(archive)["song.flac"].reason == "its audio would change: it is left as it is"
    assert read_back(song) == []


def test_what_a_library_refuses_to_write_is_one_line(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise mutagen.MutagenError("block is too long")

    monkeypatch.setattr(FLAC, "save", refuse)
    songs = write(archive_of(music))
    assert songs["song.flac"].reason == "its tags cannot be read or written: block is too long"
    assert songs["song.ogg"].outcome == "written"


def test_what_the_system_refuses_is_told(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        try:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        except OSError as error:
            raise mutagen.MutagenError from error

    monkeypatch.setattr(FLAC, "save", refuse)
    assert write(archive_of(music))["song.flac"].reason == "the system refuses: Input/output error"


def test_without_its_journal_no_song_is_changed(encoded: Path, music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object, change: object) -> None:
        raise JournalError(errno.EIO, os.strerror(errno.EIO))

    archive = archive_of(music)
    monkeypatch.setattr(Journal, "append", broken)
    with pytest.raises(JournalError):
        write(archive)
    assert all((music / name).read_bytes() == (encoded / name).read_bytes() for name in NAMES)


def test_a_full_disk_ends_the_work_and_leaves_songs_whole(
    encoded: Path, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = archive_of(music)
    monkeypatch.setattr(tags_module, "_check", full)
    with pytest.raises(OSError, match="No space left"):
        write(archive)
    assert sorted(path.name for path in music.iterdir()) == NAMES
    assert all((music / name).read_bytes() == (encoded / name).read_bytes() for name in NAMES)


@pytest.mark.parametrize("field", ["genre", "ARTIST", "TMGC", "TMGC_", "TMGC_=", "TMGC_ÇALGI", "TMGC_x", ""])
def test_no_field_of_others_is_written(field: str) -> None:
    with pytest.raises(TmgcError, match="--field is GENRE or a name such as TMGC_GENRE"):
        WriteSettings(field=field)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_song_of_somebody_else_is_left_to_them(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = only(music, "song.flac")
    os.chown(song, 12345, 12345)

    def forbidden(*_: object) -> None:  # as it is for everybody else
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", forbidden)
    assert write(archive_of(music))["song.flac"].reason == "its owner cannot be kept: it belongs to another user"
    assert [path.name for path in music.iterdir()] == ["song.flac"]

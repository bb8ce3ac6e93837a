"""The manifest lists every song of a library once, and never fewer than there are without a word."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from edge_runtime import TmgcError
from edge_runtime.archive.journal import OwnChanges, State
from edge_runtime.archive.manifest import find_songs, read_manifest, sorted_by_path, write_manifest
from edge_runtime.archive.results import local_path, manifest_schema

_NOBODY = 65534


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in ("Caz/b.MP3", "Caz/a.opus", "Halk/c.flac", "d.wav", "Halk/cover.jpg", ".hidden/x.mp3", "Caz/._a.mp3"):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(len(name)))
    return tmp_path / "music"


@pytest.fixture
def no_privileges() -> Iterator[None]:
    """Root may read everything: be somebody else meanwhile."""
    if os.geteuid() == 0:
        os.seteuid(_NOBODY)
        yield
        os.seteuid(0)
    else:
        yield


def found(*roots: Path | str, before: Path | None = None) -> list[str]:
    songs = find_songs(list(map(str, roots)), read_manifest(before) if before else None, OwnChanges(Path("nowhere")))
    return list(map(str, songs.songs["path"].to_pylist()))


def test_songs_are_listed_in_order_with_size_and_time(music: Path, tmp_path: Path) -> None:
    assert found(music) == ["Caz/a.opus", "Caz/b.MP3", "Halk/c.flac", "d.wav"]
    library = find_songs([str(music)], None, OwnChanges(tmp_path))
    write_manifest(tmp_path, library.songs)
    for song in library.songs.to_pylist():
        status = (music / song["path"]).stat()
        assert (song["size"], song["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
    assert read_manifest(tmp_path) == library.songs
    assert read_manifest(tmp_path / "nowhere") is None


@pytest.mark.parametrize("address", ["", "file://"])
def test_a_time_beyond_64_bits_is_the_last_one_within(address: str, music: Path, tmp_path: Path) -> None:
    """``touch -d 2400-01-01``."""
    future = 13_569_465_600 * 10**9
    os.utime(music / "d.wav", ns=(future, future))
    if (music / "d.wav").stat().st_mtime_ns != future:
        pytest.skip("a file system without such times")
    song = find_songs([f"{address}{music}"], None, OwnChanges(tmp_path)).songs.to_pylist()[-1]
    assert (song["path"], song["mtime_ns"]) == ("d.wav", 2**63 - 1)
    assert State.of((music / "d.wav").stat()).mtime_ns == 2**63 - 1


def test_the_manifest_stays_in_parts_whose_text_has_its_limits(music: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.archive.manifest.ROW_GROUP", 3)
    songs = find_songs([str(music)], None, OwnChanges(Path("nowhere"))).songs
    assert songs.schema == manifest_schema()
    assert [len(chunk) for chunk in songs["path"].chunks] == [3, 1]


@pytest.mark.full
def test_paths_of_more_than_2_gib_together_are_sorted_and_written(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="no psutil, which tells how much memory is free")
    if psutil.virtual_memory().available < 8 * 2**30:
        pytest.skip("less than 8 GiB of memory are free")
    count, parts = 150_000, 15
    names = [f"{'x' * 1000}{number}" for number in range(count)]
    part = pa.table([names, ["/m"] * count, [0] * count, [0] * count], schema=manifest_schema())
    songs = sorted_by_path([part] * parts)
    assert pc.sum(pc.binary_length(songs["path"])).as_py() > 2**31
    write_manifest(tmp_path, songs)
    assert read_manifest(tmp_path) == songs
    assert [songs["path"][number].as_py() for number in range(0, len(songs), 100 * parts)] == sorted(names)[::100]


def test_several_roots_stand_one_after_the_other(music: Path) -> None:
    assert found(music / "Halk", music / "Caz") == ["a.opus", "b.MP3", "c.flac"]


def test_what_is_gone_is_told_for_each_root_whatever_order_they_are_named_in(music: Path, notices: list[str]) -> None:
    (music / "Halk" / "e.mp3").touch()
    own, roots = OwnChanges(music), [str(music / "Halk"), str(music / "Caz")]
    before = find_songs(roots, None, own).songs
    assert before == find_songs(roots[::-1], None, own).songs
    for name in ("Caz/a.opus", "Halk/e.mp3"):
        (music / name).unlink()
    assert find_songs(roots, before, own).songs["path"].to_pylist() == ["b.MP3", "c.flac"]
    assert notices == [
        f"warning: gone from {music}/{folder} since the last run: 1 songs, such as {song}"
        for folder, song in (("Caz", "a.opus"), ("Halk", "e.mp3"))
    ]


def test_a_link_to_nothing_and_one_to_itself_are_songs_whose_rows_will_say_so(music: Path) -> None:
    (music / "gone.mp3").symlink_to("nowhere.mp3")
    (music / "loop.mp3").symlink_to("loop.mp3")
    assert {"gone.mp3", "loop.mp3"} < set(found(music))


@pytest.mark.parametrize("address", ["", "file://"])
def test_names_that_are_no_text_come_back_exactly(address: str, music: Path) -> None:
    names = {b"\xfeark\xfd.mp3", "Şarkı.mp3".encode(), b"line\nbreak.mp3"}
    for name in names:
        with open(os.path.join(os.fsencode(music), name), "wb"):  # noqa: PTH118, PTH123  # of bytes
            pass
    assert names < {os.fsencode(local_path(path)) for path in found(f"{address}{music}")}


def test_songs_of_a_folder_that_cannot_be_read_are_kept_and_told(
    music: Path, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(music)  # folders above are closed, too
    own = OwnChanges(tmp_path)
    library = find_songs(["."], None, own)
    write_manifest(tmp_path, library.songs)
    before = read_manifest(tmp_path)
    (music / "Halk").chmod(0)
    request.getfixturevalue("no_privileges")
    again = find_songs(["."], before, own)
    assert again.songs == library.songs
    assert again.unread == 1
    assert notices == ["warning: ./Halk: the folder cannot be read: Permission denied; songs kept from before: 1"]


def test_songs_that_cannot_be_read_any_more_keep_their_size_and_time(
    music: Path, tmp_path: Path, notices: list[str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Of a folder that may be listed and not entered, the names are known and nothing else."""
    monkeypatch.chdir(music)
    own = OwnChanges(tmp_path)
    before = find_songs(["."], None, own).songs
    (music / "Halk" / "new.mp3").touch()
    (music / "Halk").chmod(0o444)
    request.getfixturevalue("no_privileges")
    again = find_songs(["."], before, own)
    assert [song for song in again.songs.to_pylist() if song["path"] != "Halk/new.mp3"] == before.to_pylist()
    assert {"path": "Halk/new.mp3", "root": ".", "size": 0, "mtime_ns": 0} in again.songs.to_pylist()
    assert again.unread == 1
    assert notices == ["warning: ./Halk/c.flac: cannot be read: Permission denied; its row is kept from before"]


def test_songs_behind_a_link_are_kept_while_its_target_is_missing(
    music: Path, tmp_path: Path, notices: list[str]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    for link in ("Vol. 1", "disk"):
        (disk / link).mkdir()
        (disk / link / "e.mp3").touch()
        (music / link).symlink_to(disk / link)
    (music / "empty").symlink_to("nowhere")
    (music / "cover.png").symlink_to("nowhere.png")
    own = OwnChanges(tmp_path)
    first = find_songs([str(music)], None, own)
    assert first.unread == 1
    disk.rename(tmp_path / "unmounted")
    again = find_songs([str(music)], first.songs, own)
    assert again.songs == first.songs
    assert {"Vol. 1/e.mp3", "disk/e.mp3"} < set(again.songs["path"].to_pylist())
    assert again.unread == 3
    assert f"warning: {music}/disk: a broken link; songs kept from before: 1" in notices


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_root_without_songs_is_refused(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    if kind == "empty":
        root.mkdir()
    elif kind == "file":
        root.touch()
    with pytest.raises(TmgcError, match="holds none" if kind == "empty" else "there is no folder"):
        found(root)

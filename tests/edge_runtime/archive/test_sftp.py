"""Songs on another machine, reached by SFTP, are tagged as those in a folder are."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edge_runtime import TmgcError
from edge_runtime.archive.journal import OwnChanges
from edge_runtime.archive.manifest import find_songs
from edge_runtime.archive.remote import fetched, is_there, remote_files
from tests.edge_runtime.archive import sftp_server
from tests.edge_runtime.archive.tagged import rows, tag_command, tag_library, write_library

asyncssh = pytest.importorskip("asyncssh", reason="no asyncssh, which serves SFTP")
pytest.importorskip("paramiko", reason="no paramiko, which speaks SFTP")
pytest.importorskip("fsspec", reason="no fsspec")


class Library(NamedTuple):
    """Songs and their address."""

    folder: Path
    address: str
    server: subprocess.Popen[str]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library") / "music", 12, broken=[3])


@pytest.fixture
def library(music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A server for one user, whose key is in the home folder."""
    shutil.copytree(music, tmp_path / "served" / "music")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(home / ".ssh" / "id_ed25519")
    key.write_public_key(home / "authorized_keys")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    command = [sys.executable, sftp_server.__file__, str(tmp_path / "served"), str(home / "authorized_keys")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        yield Library(tmp_path / "served" / "music", f"sftp://tester@127.0.0.1:{port}/music", server)
        server.kill()


def found(library: Library) -> list[str]:
    """Paths below the address, with those that cannot be read."""
    return sorted(file.path for file in remote_files(library.address))


@pytest.mark.full
def test_songs_have_the_rows_of_the_same_songs_in_a_folder_and_a_second_run_does_nothing(
    library: Library, tmp_path: Path, models: dict[str, Path]
) -> None:
    arguments = (library.address, tmp_path / "remote", "--model", models["tflite"], "--windows", 2)
    done = tag_command(*arguments)
    assert done.returncode == 0, done.stderr
    assert "could not be read: 1 of 12 songs" in done.stderr
    tag_library(library.folder, tmp_path / "local", models["tflite"])
    remote, local = (
        [{key: value for key, value in row.items() if key != "root"} for row in rows(tmp_path / name)]
        for name in ("remote", "local")
    )
    assert remote == local
    assert {row["root"] for row in rows(tmp_path / "remote")} == {library.address}
    again = tag_command(*arguments)
    assert (again.returncode, "nothing has changed" in again.stderr) == (0, True), again.stderr


@pytest.mark.full
def test_a_folder_that_cannot_be_listed_is_told_and_its_rows_are_kept(
    library: Library, tmp_path: Path, models: dict[str, Path]
) -> None:
    arguments = (library.address, tmp_path / "out", "--model", models["tflite"], "--windows", 2)
    assert tag_command(*arguments).returncode == 0
    before = rows(tmp_path / "out")
    (library.folder / "01").chmod(0)
    done = tag_command(*arguments)
    (library.folder / "01").chmod(0o755)
    assert done.returncode == 1
    kept = f"{library.address}/01: the folder cannot be read: Permission denied; songs kept from before: 2"
    assert kept in done.stderr
    assert rows(tmp_path / "out") == before
    assert tag_command(*arguments).returncode == 0


def test_an_address_is_there_while_it_answers(library: Library) -> None:
    assert is_there(library.address)
    assert not is_there(f"{library.address}/nothing")
    not_fetched = pytest.raises(TmgcError, match="a song must be fetched: this one is not")
    with not_fetched, fetched(library.address, "no.mp3", 1, lambda: None):
        pass
    library.server.kill()
    library.server.wait()
    assert not is_there(library.address.replace("tester", "other")), "which is asked anew"
    with pytest.raises(TmgcError, match="an address must be readable: sftp://tester"):
        found(library)


def test_what_is_hidden_is_left_out_though_it_cannot_be_listed(library: Library) -> None:
    (library.folder / "lost+found").mkdir(mode=0)
    (library.folder / "00" / ".hidden.mp3").touch()
    assert found(library) == [f"{n // 10:02d}/{n:04d}.mp3" for n in range(12)]


def test_links_to_songs_are_what_they_lead_to_and_those_to_folders_are_told(
    library: Library, notices: list[str]
) -> None:
    (library.folder / "other.mp3").symlink_to("00/0001.mp3")
    (library.folder / "gone.mp3").symlink_to("nowhere.mp3")
    (library.folder / "around").symlink_to(".")
    status = (library.folder / "00" / "0001.mp3").stat()
    (linked,) = [file for file in remote_files(library.address) if file.path == "other.mp3"]
    assert (linked.size, linked.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert notices == [
        f"warning: {library.address}/around: a link to a folder, which is not followed: name that folder as a MUSIC"
    ]
    songs = find_songs([library.address], None, OwnChanges(library.folder))
    assert {"path": "gone.mp3", "root": library.address, "size": 0, "mtime_ns": 0} in songs.songs.to_pylist()


def test_a_folder_with_a_name_that_is_no_text_cannot_be_listed_and_others_can(
    library: Library, notices: list[str]
) -> None:
    with open(bytes(library.folder / "01") + b"/\xfe.mp3", "wb"):  # noqa: PTH123  # of bytes
        pass
    songs = find_songs([library.address], None, OwnChanges(library.folder))
    assert songs.songs["path"].to_pylist() == [f"00/{n:04d}.mp3" for n in range(10)]
    assert songs.unread == 1
    assert notices[0].startswith(
        f"warning: {library.address}/01: the folder cannot be read: 'utf-8' codec can't decode"
    )

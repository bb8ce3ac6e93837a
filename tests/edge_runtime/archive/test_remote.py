"""Songs in an object store are tagged as those in a folder are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from edge_runtime.archive.remote import fetched, is_there, remote_files
from tests.conftest import until
from tests.edge_runtime.archive.tagged import rows, tag_command, tag_library, write_library


def idle() -> None:
    """Instead of a message that a process is at work."""


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library") / "music", 6, broken=[3])


@pytest.fixture(scope="module")
def bucket(music: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An address of a server for S3 that holds the library, with hidden and other files beside the songs."""
    pytest.importorskip("moto", reason="no moto, which serves S3")
    s3fs = pytest.importorskip("s3fs", reason="no s3fs, which speaks S3")
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("w") as file, pytest.MonkeyPatch.context() as patch:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        server = subprocess.Popen(command, stderr=file, stdout=file)
        try:
            until(lambda: "Running on http://" in log.read_text() or server.poll() is not None)
            address = log.read_text().partition("Running on ")[2].split()[0]
            for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}.items():
                patch.setenv(f"AWS_{name}", value)
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            s3fs.S3FileSystem.clear_instance_cache()
            files = s3fs.S3FileSystem()
            files.mkdir("archive")
            files.put(f"{music}/", "archive/music/", recursive=True)
            for other in ("music/.hidden/1.mp3", "music/._0.mp3", "music/cover.jpg", "musician/1.mp3"):
                files.pipe(f"archive/{other}", b"x")
            yield "s3://archive/music"
        finally:
            server.kill()
            server.wait()


@pytest.mark.full
def test_songs_of_a_bucket_have_the_rows_of_the_same_songs_in_a_folder(
    bucket: str, music: Path, tmp_path: Path, models: dict[str, Path]
) -> None:
    done = tag_command(bucket, tmp_path / "remote", "--model", models["tflite"], "--windows", 2)
    assert done.returncode == 0, done.stderr
    tag_library(music, tmp_path / "local", models["tflite"])
    differing = ("root", "mtime_ns")
    remote, local = (
        [{key: value for key, value in row.items() if key not in differing} for row in rows(tmp_path / name)]
        for name in ("remote", "local")
    )
    assert remote == local
    assert {row["root"] for row in rows(tmp_path / "remote")} == {bucket}
    again = tag_command(bucket, tmp_path / "remote", "--model", models["tflite"], "--windows", 2)
    assert "nothing has changed" in again.stderr


@pytest.mark.full
def test_what_is_not_there_or_too_large_is_told(bucket: str) -> None:
    assert is_there(bucket)
    assert not is_there(f"{bucket}/nothing")
    with pytest.raises(TmgcError, match="an address must be readable: s3://nobody/music is not"):
        list(remote_files("s3://nobody/music"))
    with pytest.raises(TmgcError, match="a song must be fetched: this one is not"), fetched(bucket, "no.mp3", 1, idle):
        pass
    with pytest.raises(TmgcError, match="has at most"), fetched(bucket, "00/0000.mp3", 10**12, idle):
        pass


@pytest.mark.full
def test_a_copy_is_gone_when_it_was_used(bucket: str, music: Path) -> None:
    with fetched(bucket, "00/0000.mp3", 1, idle) as copy:
        assert copy.read_bytes() == (music / "00" / "0000.mp3").read_bytes()
        opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # of this process
    assert not copy.exists()
    assert len(os.listdir("/proc/self/fd")) < opened  # noqa: PTH208


def test_a_long_fetch_says_that_it_is_at_work() -> None:
    files = pytest.importorskip("fsspec", reason="no fsspec").filesystem("memory")
    files.pipe("/long/song.wav", bytes(3 * files.blocksize))
    beats = list[int]()
    with fetched("memory://long", "song.wav", 1, lambda: beats.append(1)) as copy:
        assert copy.stat().st_size == 3 * files.blocksize
        assert len(beats) >= 3


def test_an_address_is_listed_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec", reason="no fsspec")
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.wav").touch()
    now = 0.0
    monkeypatch.setattr("edge_runtime.archive.remote.monotonic", lambda: now)
    assert is_there(f"file://{tmp_path}/music")
    (tmp_path / "music" / "song.wav").unlink()
    now = 59.0
    assert is_there(f"file://{tmp_path}/music")
    now = 61.0
    assert not is_there(f"file://{tmp_path}/music")


def test_an_error_of_the_program_does_not_count_as_an_address_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pytest.importorskip("fsspec", reason="no fsspec").filesystem("memory")
    files.pipe("/odd/song.wav", b"x")

    def listing_nothing(self: object, path: str) -> list[str]:
        return []

    monkeypatch.setattr(type(files), "ls", listing_nothing)
    with pytest.raises(TypeError, match="unexpected keyword argument 'detail'"):
        is_there("memory://odd")

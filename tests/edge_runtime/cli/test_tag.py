"""``tmgc-tag`` as a person runs it: what it says, how it ends, and that it goes on afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pyarrow import parquet

from edge_runtime.archive.results import SHARDS
from edge_runtime.errors import pip_install_extra
from tests.conftest import mounted_tmpfs, until
from tests.edge_runtime.archive.chaos import workers
from tests.edge_runtime.archive.tagged import TAG, rows, tag_command, write_library, write_song


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("library") / "music", 8, broken=[3], seconds=3.0)


def test_it_says_what_there_is_and_the_second_time_that_nothing_has_changed(
    music: Path, tmp_path: Path, models: dict[str, Path]
) -> None:
    first = tag_command(music, tmp_path / "out", "--model", models["tflite"], "--workers", 2)
    assert (first.returncode, first.stdout) == (0, "")
    assert "8 songs: " in first.stderr
    assert "8 of them in " in first.stderr
    assert " a core; decoding " in first.stderr
    assert f"could not be read: 1 of 8 songs; tmgc-tag report {tmp_path / 'out'} says why" in first.stderr
    second = tag_command(music, tmp_path / "out", "--model", models["tflite"])
    assert "nothing has changed\n" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["music"], "songs and results are two folders: tmgc-tag MUSIC OUT"),
        (["music", "s3://bucket"], "results go into a folder of this machine: got s3://bucket"),
        (["nowhere", "out"], "there is no folder"),
        (["empty", "out"], "holds none"),
        (["music", "out", "--windows", "some"], "--windows is a number or all, got 'some'"),
        (["music", "out", "--windows", "0"], "--windows must be 1 to 50, or all, got 0"),
        (["music", "out", "--shard", "3/2"], "--shard is I/N, with I from 1 to N, got '3/2'"),
        (["music", "out", "--model", "missing.tflite"], "a model file must exist"),
        (["sftp://me:secret@host/music", "out"], "so it holds no password"),
        (["gopher://host/music", "out"], "must be one that fsspec opens: gopher://host/music"),
        (["music", "music/Caz", "out"], "a song belongs to one folder"),
    ],
)
def test_what_is_refused_is_told_in_one_line(
    arguments: list[str], refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from edge_runtime.cli.tag import main

    (tmp_path / "empty").mkdir()
    (tmp_path / "music" / "Caz").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)
    done = CliRunner().invoke(main, arguments)
    signal.signal(signal.SIGTERM, handler)
    assert done.exit_code == 2
    *warnings, error = done.stderr.splitlines()
    assert all(line.startswith("warning: this model is a demonstration") for line in warnings)
    assert error.startswith("error: ")
    assert refusal in error
    assert "secret" not in done.stderr


@pytest.mark.parametrize("missing", ["pyarrow", "fsspec"])
def test_without_its_extra_one_line_says_what_to_install(missing: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from edge_runtime.cli.tag import main; main()"
    command = [*TAG[:2], code, "s3://bucket/music", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    needed = f"tagging an archive needs {missing}, which is not installed: {pip_install_extra('archive')}"
    assert done.stderr.splitlines()[-1] == f"error: {needed}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_at_once_when_it_is_interrupted_and_keeps_what_is_done(
    number: signal.Signals, code: int, tmp_path: Path, models: dict[str, Path]
) -> None:
    song = write_song(tmp_path / "music" / "0.wav", seconds=60.0)
    for copy in range(1, 200):
        song.with_stem(str(copy)).hardlink_to(song)
    model = ("--model", str(models["tflite"]), "--windows", "all", "--workers", "1")
    # a test that runs in the background would ignore Ctrl-C
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + TAG[-1]
    command = [*TAG[:-1], heeding, str(song.parent), str(tmp_path / "out"), *model]
    read = set[str]()

    def reads_the_second_song(worker: psutil.Process) -> bool:
        read.update(file.path for file in worker.open_files() if Path(file.path).parent == song.parent)
        return len(read) > 1

    with subprocess.Popen(command, stderr=subprocess.PIPE) as driver:
        until(lambda: workers(driver.pid))
        (worker,) = workers(driver.pid)
        until(lambda: reads_the_second_song(worker))
        driver.send_signal(number)
        _, notices = driver.communicate(timeout=20)  # all songs would take a minute
    assert driver.returncode == code, notices
    assert not worker.is_running()
    (saved,) = (tmp_path / "out" / SHARDS).iterdir()
    assert 1 <= parquet.read_metadata(saved).num_rows < 200
    assert b"the same command goes on from there" in notices


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    with mounted_tmpfs(tmp_path / "disk", "64k") as folder:
        yield folder


def test_a_full_disk_ends_it_in_one_line_and_it_goes_on_when_there_is_room(
    music: Path, small_disk: Path, models: dict[str, Path]
) -> None:
    fill = small_disk / "fill"
    out = small_disk / "out"
    out.mkdir()
    fill.write_bytes(bytes(52_000))
    full = tag_command(music, out, "--model", models["tflite"])
    assert full.returncode == 2
    (line,) = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    assert line.endswith("No space left on device. Make room, then run it again")
    assert "Traceback" not in full.stderr
    fill.unlink()
    assert tag_command(music, out, "--model", models["tflite"]).returncode == 0
    assert len(rows(out)) == 8
    assert not list(out.rglob(".part-*"))


def test_names_that_are_no_text_are_kept_and_shown_safely(tmp_path: Path, music: Path, models: dict[str, Path]) -> None:
    from edge_runtime.archive.results import local_path

    odd = tmp_path / "odd"
    odd.mkdir()
    names = [b"\xfeark\xfd.mp3", b"a\nb.mp3", b"\x1b[31mred.mp3", "\uef80.mp3".encode(), "Şarkı.mp3".encode()]
    for name in names:
        os.link(music / "00" / "0000.mp3", os.path.join(os.fsencode(odd), name))  # noqa: PTH118  # of bytes
    (odd / "\x1b[31mbroken.mp3").write_bytes(b"nothing")
    done = tag_command(odd, tmp_path / "out", "--model", models["tflite"])
    assert done.returncode == 0
    assert "\x1b" not in done.stderr
    found = rows(tmp_path / "out")
    assert {os.fsencode(local_path(row["path"])) for row in found if row["error"] is None} == set(names)
    assert not any("\x1b" in (row["error"] or "") for row in found)

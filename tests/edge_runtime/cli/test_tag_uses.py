"""``tmgc-tag report``, ``write``, ``undo`` and ``playlist``, from the library to its tags and back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_runtime.archive.journal import JOURNAL
from edge_runtime.archive.lock import lock_results
from edge_runtime.archive.results import read_archive
from edge_runtime.archive.song import Row
from edge_runtime.archive.tagging import Progress
from edge_runtime.cli.tag import main
from edge_runtime.errors import pip_install_extra
from tests.edge_runtime.archive.made import make_archive, row
from tests.edge_runtime.archive.tagged import tag_library, write_library


def uses(*arguments: object) -> Result:
    """``tmgc-tag`` with these arguments."""
    return CliRunner().invoke(main, list(map(str, arguments)))


class Refused(Progress):
    """Of a run that has nothing to classify."""

    def song(self, row: Row) -> None:
        raise AssertionError("a song is classified again")


COMMANDS = {"report": (), "write": (), "undo": (), "playlist": ("--genre", "Halk")}


def test_a_library_is_written_reported_listed_and_restored(models: dict[str, Path], tmp_path: Path) -> None:
    music, out = write_library(tmp_path / "music", 4, broken=[2]), tmp_path / "out"
    tag_library(music, out, models["tflite"])
    before = {path: path.read_bytes() for path in music.rglob("*.mp3")}
    genres = [song["genre"] for song in read_archive(out).rows()]

    dry = uses("write", out, "--min-confidence", "0")
    assert dry.exit_code == 0, dry.stderr
    assert dry.stderr.splitlines() == [
        "songs without a genre: unknown, silent or not read: 1",
        "tags that would be written: 3. Nothing was changed: add --yes",
    ]
    assert {path: path.read_bytes() for path in before} == before

    written = uses("write", out, "--min-confidence", "0", "--yes")
    assert written.stdout == dry.stdout
    assert written.stdout.splitlines()[0] == f"{music}/00/0000.mp3: nothing -> {genres[0]}"
    computed = tag_library(music, out, models["tflite"], progress=Refused())
    assert computed.songs == 4, "none of them is classified again"

    listed = uses("playlist", out, "--genre", genres[0], "--relative-to", music)
    assert listed.stdout.splitlines()[:3] == ["#EXTM3U", "#EXTINF:5,0000", "00/0000.mp3"]
    assert uses("report", out).stderr == f"{out}/report.html\n"

    restored = uses("undo", out, "--yes")
    assert restored.exit_code == 0, restored.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_a_playlist_has_names_as_they_are(tmp_path: Path) -> None:
    make_archive(tmp_path / "out", [row("می\u200cخواهم\u3000.mp3", "/srv/music", "Pop")])
    listed = uses("playlist", tmp_path / "out", "--genre", "Pop")
    assert listed.stdout.splitlines()[2] == "/srv/music/می\u200cخواهم\u3000.mp3"


def test_songs_that_are_refused_are_one_line_each_and_exit_code_1(tmp_path: Path) -> None:
    for name in ("a\x1b[31m.mp3", "b.mp3"):
        (tmp_path / name).write_text("no song")
    make_archive(tmp_path / "out", [row(name, tmp_path, "Pop") for name in ("a\x1b[31m.mp3", "b.mp3")])
    done = uses("write", tmp_path / "out", "--yes")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "\x1b" not in done.stderr
    assert done.stderr.splitlines()[0].startswith(
        f"warning: {tmp_path}/a\\x1b[31m.mp3: its tags cannot be read or written"
    )
    assert len(done.stderr.splitlines()) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_holds_no_results_is_refused(command: str, tmp_path: Path) -> None:
    done = uses(command, tmp_path, *COMMANDS[command])
    assert done.exit_code == 2
    assert done.stderr == (
        f"error: a folder of results holds archive.json: {tmp_path} does not. Run: tmgc-tag MUSIC {tmp_path}\n"
    )


@pytest.mark.parametrize("command", ["report", "write", "playlist"])
def test_incomplete_results_are_not_used(command: str, tmp_path: Path) -> None:
    make_archive(tmp_path, [row("a.mp3", tmp_path)])
    next((tmp_path / "shards").iterdir()).unlink()
    done = uses(command, tmp_path, *COMMANDS[command])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "1 of 1 shards" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_extra_one_line_names_it(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pyarrow", "mutagen", "jinja2"):
        monkeypatch.setitem(sys.modules, module, None)
    done = uses(command, tmp_path, *COMMANDS[command])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert pip_install_extra("archive") in done.stderr


def test_two_writers_exclude_each_other(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    make_archive(tmp_path, [row("a.mp3", tmp_path)])
    with lock_results(tmp_path, shared=False):
        done = uses("write", tmp_path, "--yes")
    assert done.exit_code == 2
    assert "another is at work" in done.stderr
    assert not (tmp_path / JOURNAL).exists()


def test_the_packages_of_the_extra_are_imported_when_they_are_needed() -> None:
    heavy = "{'pyarrow', 'mutagen', 'jinja2', 'fsspec', 'ray', 'tensorflow', 'keras'}"
    modules = "edge_runtime.cli.tag, edge_runtime.cli.tag_uses, edge_runtime.archive.tags, edge_runtime.archive.report"
    code = f"import sys, {modules}, edge_runtime.archive.playlist; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

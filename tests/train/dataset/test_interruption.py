"""A preparation that is killed goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from tests.train.dataset.conftest import SETTINGS, melody, write_songs, write_sound
from train.dataset import prepare
from train.dataset.dataset import read_dataset
from train.run import Run

SONGS = 30
OPTIONS = ("--offsets", "0,1", "--sample-rate", "11025", "--image-size", "32")


def contents(run: Run) -> dict[str, str]:
    """Every file of a run and what it holds, but for the record of the files' times."""
    files = (path for path in sorted(run.folder.rglob("*")) if path.is_file() and path.name != "prepared.json")
    return {str(path.relative_to(run.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


_HALTING = """
import signal, sys, time
from train.cli import main
from train.dataset.build import Staging

record, left = Staging.record, int(sys.argv.pop(1))

def record_and_halt(staging, song):
    global left
    record(staging, song)
    left -= 1
    if not left:
        time.sleep(600)

Staging.record = record_and_halt
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test that runs in the background would ignore it
main()
"""


def begin(songs: Path, run: Run, *, halt_after: int = -1) -> subprocess.Popen[str]:
    """``tmgc-train prepare``, in a process group of its own, as a terminal starts it.

    After so many songs it waits to be ended, however slow or quick the machine is.
    """
    command = [sys.executable, "-c", _HALTING, str(halt_after), "prepare", str(songs), str(run.folder), *OPTIONS]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_songs(run: Run, count: int, process: subprocess.Popen[str]) -> None:
    journal = run.folder / ".preparing" / "journal.jsonl"
    while process.poll() is None and not (journal.is_file() and journal.read_bytes().count(b"\n") > count):
        time.sleep(0.02)
    assert process.poll() is None, "it is still at it"


def assert_nobody_left(group: int) -> None:
    """The process group dies out, within seconds where the machine has nothing else to do."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process outlived its parent")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("music") / "songs", songs=SONGS)


@pytest.fixture(scope="module")
def undisturbed(songs: Path) -> dict[str, str]:
    run = Run(songs.parent / "undisturbed")
    prepare(songs, run, SETTINGS, workers=1)
    return contents(run)


def test_killed_again_and_again_it_goes_on_and_ends_the_same(
    songs: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    for halt_after, count in ((1, 1), (7, 8), (18, 26)):
        process = begin(songs, run, halt_after=halt_after)
        wait_for_songs(run, count, process)
        process.kill()
        process.communicate()
        assert_nobody_left(process.pid)
        with pytest.raises(TmgcError, match="tmgc-train prepare"):
            read_dataset(run)
    process = begin(songs, run)
    _, said = process.communicate()
    assert process.returncode == 0, said
    before = next(int(line.split()[2]) for line in said.splitlines() if "were cut before" in line)
    assert before == 26
    assert contents(run) == undisturbed


@pytest.mark.parametrize("pauses", [(), (0.05, 0.1), (0.3,)], ids=["once", "thrice", "again"])
def test_ctrl_c_ends_with_one_line_that_says_how_to_go_on(
    pauses: tuple[float, ...], songs: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    process = begin(songs, run, halt_after=3)
    wait_for_songs(run, 3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    for pause in pauses:
        time.sleep(pause)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted, and nothing is lost: the same command goes on")
    assert "Traceback" not in said
    assert_nobody_left(process.pid)
    prepare(songs, run, SETTINGS, workers=1)
    assert contents(run) == undisturbed


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("renamings", [0, 60, *range(120, 131)])
def test_killed_while_the_corpus_is_put_together_it_ends_the_same(
    songs: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamings: int
) -> None:
    few = write_songs(tmp_path / "few", songs=3)
    run = Run(tmp_path / "run")
    prepare(few, run, SETTINGS, workers=1)
    earlier = contents(run)
    _cut_all(songs, run, monkeypatch)
    rename, left = Path.replace, renamings

    def renamed(path: Path, target: Path) -> Path:
        nonlocal left
        if not path.name.startswith(".part-"):
            left -= 1
        if left < 0:
            raise Killed
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", renamed)
        try:
            prepare(songs, run, SETTINGS, workers=1)
        except Killed:
            _assert_whole_or_nothing(run, earlier, undisturbed)
    notes = list[str]()
    prepare(songs, run, SETTINGS, workers=1, on_note=notes.append)
    assert notes[0].startswith(("going on: 60 of 60", "nothing changed: 120 clips")), "no song is cut again"
    assert contents(run) == undisturbed


def _cut_all(songs: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring a preparation to where all songs are cut."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["train.dataset.build"], "assemble", killed)
        with pytest.raises(Killed):
            prepare(songs, run, SETTINGS, workers=1)


def _assert_whole_or_nothing(run: Run, earlier: dict[str, str], later: dict[str, str]) -> None:
    """A run that says that it is whole holds the earlier dataset or the new one, never some of both."""
    if run.dataset_csv.is_file():
        found = {name: sha for name, sha in contents(run).items() if not name.startswith(".preparing")}
        assert found in (earlier, later)


def test_songs_that_changed_or_went_are_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs, run, notes = write_songs(tmp_path / "songs"), Run(tmp_path / "run"), list[str]()
    _cut_all(songs, run, monkeypatch)
    write_sound(songs / "Halk" / "song 0.wav", melody(999, seconds=4.0))
    (songs / "Caz" / "song 0.wav").unlink()
    (run.folder / ".preparing" / "clips" / ".part-left.flac").touch()
    prepare(songs, run, SETTINGS, workers=1, on_note=notes.append)
    assert notes[0] == "going on: 8 of 9 songs were cut before"
    fresh = Run(tmp_path / "fresh")
    prepare(songs, fresh, SETTINGS, workers=1)
    assert contents(run) == contents(fresh)


def test_a_torn_or_damaged_journal_costs_no_more_than_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    _cut_all(songs, run, monkeypatch)
    journal = run.folder / ".preparing" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-50])
    notes = list[str]()
    _cut_all(songs, run, monkeypatch)
    journal.write_bytes(b"\xff\x00 no journal")
    prepare(songs, run, SETTINGS, workers=1, on_note=notes.append)
    assert not notes
    assert len(read_dataset(run).clips) == 20


def test_a_journal_of_another_shape_costs_no_more_than_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs, run, notes = write_songs(tmp_path / "songs"), Run(tmp_path / "run"), list[str]()
    _cut_all(songs, run, monkeypatch)
    journal = run.folder / ".preparing" / "journal.jsonl"
    first, *lines = map(json.loads, journal.read_text("utf-8").splitlines())
    shape = first.pop("journal")
    assert isinstance(shape, int)
    for key in (first, first | {"journal": shape - 1}):
        others = [{"path": line["song"], "clips": []} for line in lines]
        journal.write_text("".join(json.dumps(line) + "\n" for line in (key, *others)), "utf-8")
        _cut_all(songs, run, monkeypatch)
    prepare(songs, run, SETTINGS, workers=1, on_note=notes.append)
    assert notes == ["going on: 10 of 10 songs were cut before"]


def test_other_settings_cut_anew_but_another_split_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs, run, notes = write_songs(tmp_path / "songs"), Run(tmp_path / "run"), list[str]()
    _cut_all(songs, run, monkeypatch)
    dataset, _ = prepare(songs, run, replace(SETTINGS, seed=5), workers=1, on_note=notes.append)
    assert notes == ["going on: 10 of 10 songs were cut before"]
    _cut_all(songs, run, monkeypatch)
    dataset, _ = prepare(songs, run, replace(SETTINGS, offsets_seconds=(0.5,)), workers=1, on_note=notes.append)
    assert len(notes) == 1
    assert {clip.offset_seconds for clip in dataset.clips} == {0.5}
    assert len(list(run.clips.iterdir())) == 10

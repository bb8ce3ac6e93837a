"""A preparation that is killed at any moment continues where it was, and ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from tests.train.dataset.conftest import SETTINGS, contents, melody, write_songs, write_sound
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import read_dataset
from train.run import Run

OPTIONS = ("--offsets", "0,1", "--sample-rate", "11025", "--image-size", "32")


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve: more than two workers have in hand when the second of two runs is killed."""
    return write_songs(tmp_path_factory.mktemp("many") / "songs", songs=6)


@pytest.fixture(scope="module")
def few_songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six, since every one of their files is a moment to be killed at."""
    return write_songs(tmp_path_factory.mktemp("few") / "songs", songs=3, seconds=3.0)


def undisturbed(songs: Path) -> dict[str, str]:
    """What a run holds in the end."""
    run = Run(songs.parent / "undisturbed")
    if not run.folder.exists():
        prepare(songs, run, SETTINGS, workers=1)
    return contents(run)


_HALTING = """
import signal, sys, time
from train.cli import main
from train.cli.progress import ProgressBar

left = int(sys.argv.pop(1))

def step_and_halt(bar, values):
    global left
    left -= 1
    if not left:
        time.sleep(600)

ProgressBar.step = step_and_halt
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test that runs in the background would ignore it
main()
"""


def begin(songs: Path, run: Run, *, halt_after: int = -1) -> subprocess.Popen[str]:
    """``tmgc-train prepare``, in a process group of its own, as a terminal starts it.

    After so many songs it waits to be ended, however slow or fast the machine is.
    """
    command = [sys.executable, "-c", _HALTING, str(halt_after), "prepare", str(songs), str(run.folder), *OPTIONS]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def done_songs(run: Run) -> dict[str, int]:
    """The JSON files of songs that are done, with their inode numbers: a new number is a new file."""
    return {path.name: path.stat().st_ino for path in run.clips.glob("[!.]*.json")}


def wait_for_songs(run: Run, count: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and len(done_songs(run)) < count:
        time.sleep(0.02)
    assert process.poll() is None, "it still runs"


def assert_nobody_left(group: int) -> None:
    """The process group dies out, within seconds where the machine has nothing else to do."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process outlived its parent")


def test_killed_again_and_again_it_continues_and_ends_the_same(songs: Path, tmp_path: Path) -> None:
    run, done = Run(tmp_path / "run"), dict[str, int]()
    for halt_after, count in ((1, 1), (2, 3)):
        process = begin(songs, run, halt_after=halt_after)
        wait_for_songs(run, count, process)
        process.kill()
        process.communicate()
        assert_nobody_left(process.pid)
        with pytest.raises(TmgcError, match="tmgc-train prepare"):
            read_dataset(run)
        assert done.items() <= done_songs(run).items(), "no song is extracted again"
        done = done_songs(run)
    prepare(songs, run, SETTINGS, workers=1)
    assert done.items() <= done_songs(run).items()
    assert contents(run) == undisturbed(songs)


@pytest.mark.parametrize("pauses", [(), (0.05, 0.1, 0.3)], ids=["once", "impatiently"])
def test_ctrl_c_ends_with_one_line_that_says_how_to_continue(
    pauses: tuple[float, ...], songs: Path, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    process = begin(songs, run, halt_after=3)
    wait_for_songs(run, 3, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    for pause in pauses:
        time.sleep(pause)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
    _, message = process.communicate()
    assert process.returncode == 130
    assert message.splitlines()[-1].startswith("interrupted, nothing is lost: the same command continues")
    assert "Traceback" not in message
    assert_nobody_left(process.pid)
    prepare(songs, run, SETTINGS, workers=1)
    assert contents(run) == undisturbed(songs)


_KILLED_AT_EACH_STEP = """
import os, shutil, signal, sys
from pathlib import Path
from tests.train.dataset.conftest import SETTINGS
from train.dataset import prepare
from train.run import Run

songs, before, folder, every = *map(Path, sys.argv[1:4]), int(sys.argv[4])

def killing_itself(function):
    def called(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return called

prepare(songs, Run(folder / "warm"), SETTINGS, workers=1)  # loads what the children share
shutil.rmtree(folder / "warm")
step, status = 0, signal.SIGKILL
while status == signal.SIGKILL:
    run = Run(folder / f"{step:03d}")
    if before.is_dir():
        shutil.copytree(before, run.folder)
    if not (child := os.fork()):
        left = step
        for name in ("replace", "unlink", "mkdir"):
            setattr(os, name, killing_itself(getattr(os, name)))
        prepare(songs, run, SETTINGS, workers=1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    step += every
sys.exit(status)
"""


def killed_at_each_step(songs: Path, before: Run, folder: Path, *, every: int) -> Iterator[Run]:
    """Copies of a run, in each of which a preparation was killed before another of its changes to the file system."""
    folder.mkdir()
    command = [sys.executable, "-c", _KILLED_AT_EACH_STEP, str(songs), str(before.folder), str(folder), str(every)]
    assert subprocess.run(command, check=False).returncode == 0
    yield from map(Run, sorted(folder.iterdir()))


def assert_complete_or_none(run: Run, earlier: dict[str, str], later: dict[str, str]) -> None:
    """A run that has a dataset has all files of the earlier or of the new one, and reads nothing of the other."""
    if run.dataset_csv.is_file():
        found = contents(run)
        settings_and_table = {name: found[name] for name in ("dataset.json", "dataset.csv")}
        whole = [each for each in (earlier, later) if settings_and_table.items() <= each.items()]
        assert whole, "the earlier or the new dataset"
        clips = {name: sha256 for name, sha256 in whole[0].items() if "/" in name}
        assert clips.items() <= found.items()


def test_killed_while_songs_are_extracted_it_ends_the_same(few_songs: Path, tmp_path: Path) -> None:
    runs = list(killed_at_each_step(few_songs, Run(tmp_path / "none"), tmp_path / "runs", every=5))
    assert len(runs) > 6 * 5 / 5, "each song writes five files"
    for run in runs:
        assert_complete_or_none(run, undisturbed(few_songs), undisturbed(few_songs))
        done = done_songs(run)
        prepare(few_songs, run, SETTINGS, workers=1)
        assert done.items() <= done_songs(run).items(), "no song is extracted again"
        assert contents(run) == undisturbed(few_songs)


@pytest.mark.full
@pytest.mark.parametrize("change", ["songs", "settings", "split"])
def test_killed_while_a_dataset_replaces_another_it_has_one_of_them_whole(
    few_songs: Path, tmp_path: Path, change: str
) -> None:
    before, extracted = Run(tmp_path / "before"), few_songs.parent / "undisturbed"
    settings = {"settings": replace(SETTINGS, offsets_seconds=(0.5,)), "split": replace(SETTINGS, seed=1)}
    earlier_songs = write_songs(tmp_path / "songs", songs=3, seconds=2.8) if change == "songs" else few_songs
    prepare(earlier_songs, before, settings.get(change, SETTINGS), workers=1)
    earlier, later = contents(before), undisturbed(few_songs)
    for folder in ("clips", "images"):  # all songs are extracted, and the replacement is next
        shutil.copytree(extracted / folder, before.folder / folder, dirs_exist_ok=True)
    runs = list(killed_at_each_step(few_songs, before, tmp_path / "runs", every=1))
    assert len(runs) >= 10
    for run in runs:
        assert_complete_or_none(run, earlier, later)
        done = done_songs(run)
        prepare(few_songs, run, SETTINGS, workers=1)
        assert done_songs(run).items() <= done.items(), "no song is extracted again"
        assert contents(run) == later


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def extract_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Run], None]:
    """Brings a preparation to where all songs are extracted."""

    def stopped(songs: Path, run: Run) -> None:
        def killed(*_: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["train.dataset.build"], "assemble", killed)
            with pytest.raises(Killed):
                prepare(songs, run, SETTINGS, workers=1)

    return stopped


def test_songs_that_changed_or_went_are_not_used(
    tmp_path: Path, extract_only: Callable[[Path, Run], None], notices: Callable[[], list[str]]
) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    extract_only(songs, run)
    write_sound(songs / "Halk" / "song 0.wav", melody(999, seconds=4.0))
    (songs / "Caz" / "song 0.wav").unlink()
    (run.clips / ".part-left.flac").touch()
    (run.clips / ".part-decoded").mkdir()
    (run.folder / ".part-dataset.csv").touch()
    prepare(songs, run, SETTINGS, workers=1)
    assert notices()[-1] == "8 of 9 songs are extracted already"
    fresh = Run(tmp_path / "fresh")
    prepare(songs, fresh, SETTINGS, workers=1)
    assert contents(run) == contents(fresh)
    assert {path.name for path in run.clips.iterdir()} == {path.name for path in fresh.clips.iterdir()}


@pytest.mark.parametrize(
    ("settings", "extracted_again"),
    [(replace(SETTINGS, seed=5), False), (replace(SETTINGS, offsets_seconds=(0.5,)), True)],
)
def test_other_settings_extract_anew_but_another_split_does_not(
    tmp_path: Path, extract_only: Callable[[Path, Run], None], settings: DatasetConfig, extracted_again: bool
) -> None:
    songs, run = write_songs(tmp_path / "songs"), Run(tmp_path / "run")
    extract_only(songs, run)
    before = done_songs(run)
    dataset, _ = prepare(songs, run, settings, workers=1)
    assert (before.keys() != done_songs(run).keys()) == extracted_again
    assert {clip.offset_seconds for clip in dataset.clips} == set(settings.offsets_seconds)
    assert len(list(run.clips.glob("*.flac"))) == len(dataset.clips)

"""A run of ``tmgc-tag`` whose processes are killed and whose disks fail must give the rows of an undisturbed one.

``python -m tests.edge_runtime.archive.chaos FOLDER --songs 1500 --seconds 180`` makes songs, tags them undisturbed and
disturbed, and compares. It can be interrupted: songs that are made are not made again. It mounts disks, as root.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import numpy as np
import psutil

from edge_runtime.archive.results import SHARDS, read_archive
from edge_runtime.models import SMALL_MODEL
from edge_runtime.system_info import usable_cores
from tests.edge_runtime.archive.disks import Disks, mounted_disks
from tests.edge_runtime.archive.tagged import TAG, rows

GENRES = ("Halk", "Rock", "Klasik", "Elektronik", "Arabesk")
BROKEN_EVERY = 100
_RATE = 44_100
_POLL_SECONDS = 0.05
_COPIED = 30
"""Songs of the disk that fails."""


Driver = subprocess.Popen[bytes]


class Trouble(NamedTuple):
    """What happens to a run on its way."""

    when: Callable[[Driver], bool]
    happens: Callable[[Driver], object]


class Start(NamedTuple):
    """One start of a run, and its end."""

    troubles: Sequence[Trouble] = ()
    """One after another."""
    code: int = 0
    told: Sequence[str] = ()
    """What its notices hold."""
    repair: Callable[[], object] = lambda: None
    """What is done afterwards."""


@dataclass
class Disturbances:
    """What was done to a run."""

    starts: int = 0
    workers_killed: int = 0
    troubles: int = 0


def disturbed(command: Sequence[str], starts: Sequence[Start], *, worker_seconds: float) -> Disturbances:
    """Start a command again and again, the last time without troubles.

    Parameters
    ----------
    command : sequence of str
    starts : sequence of Start
    worker_seconds : float > 0
        From one kill of a worker process to the next.

    Raises
    ------
    AssertionError
        A start ends otherwise than it should, or workers outlive their driver.
    """
    done, chance = Disturbances(), random.Random(0)
    for start in [*starts, Start()]:
        done.starts += 1
        troubles, killed = list(start.troubles), time.monotonic()
        with TemporaryFile() as notices, subprocess.Popen(command, stderr=notices) as driver:
            while _running(driver, _POLL_SECONDS):
                alive = workers(driver.pid)
                if troubles and troubles[0].when(driver):
                    troubles.pop(0).happens(driver)
                    done.troubles += 1
                elif alive and time.monotonic() - killed > worker_seconds:
                    killed = time.monotonic()
                    _kill(chance.choice(alive))
                    done.workers_killed += 1
            assert not psutil.wait_procs(alive, timeout=10)[1], "workers end with their driver"
            notices.seek(0)
            _check_end(start, driver.returncode, len(troubles), notices.read().decode())
        start.repair()
    return done


def _check_end(start: Start, code: int, left: int, notices: str) -> None:
    assert code == start.code, notices
    assert not left, f"it ended before its troubles: {notices}"
    assert all(text in notices for text in start.told), notices
    assert "Traceback" not in notices
    if code == 2:
        assert notices.splitlines()[-1].startswith("error: ")


def driver_killed(seconds: float) -> Start:
    """A start whose driver is killed after so many seconds."""
    begun = list[float]()

    def when(_: Driver) -> bool:
        begun.append(time.monotonic())
        return begun[-1] - begun[0] > seconds

    return Start([Trouble(when, lambda driver: driver.kill())], code=-9)


def reading(folder: Path) -> Callable[[Driver], bool]:
    """Whether a worker has a file below a folder open."""

    def when(driver: Driver) -> bool:
        for worker in workers(driver.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(Path(file.path).is_relative_to(folder) for file in worker.open_files()):
                    return True
        return False

    return when


def troubled_disks(disks: Disks) -> list[Start]:
    """Starts in which the disk of the results is full, and then those of the songs go away and fail, one by one."""
    going, failing, second = disks.going, disks.failing, disks.second

    def all_back() -> None:
        failing.exchange()
        going.mount()

    return [
        Start(
            [Trouble(reading(going.folder), lambda _: disks.results.fill())],
            code=2,
            told=["No space left on device. Make room, then run it again"],
            repair=disks.results.make_room,
        ),
        Start(
            [
                Trouble(reading(going.folder), lambda _: going.remove()),
                Trouble(reading(failing.folder), lambda _: failing.fail()),
                Trouble(reading(second.folder), lambda _: second.remove()),
            ],
            code=2,
            told=[f"{second.folder} has gone. Bring it back, then run the same again"],
        ),
        Start(code=2, told=[f"{second.folder} holds no songs, and held"], repair=second.mount),
        Start(told=[f"gone from {disks.roots[0]} since the last run", "could not be read: "], repair=all_back),
    ]


def _running(driver: Driver, seconds: float) -> bool:
    """Wait; whether it still runs."""
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def workers(driver: int) -> list[psutil.Process]:
    """The worker processes of a run."""
    return children(driver, "spawn_main")


def children(parent: int, text: str) -> list[psutil.Process]:
    """Processes that a process has started, whose command lines hold a text."""
    found = list[psutil.Process]()
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # also of one that has just ended
                if text in " ".join(child.cmdline()):
                    found.append(child)
    return found


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def check_equal(undisturbed: Path, after: Path) -> int:
    """Compare two folders of results in every column but timings; returns the number of rows.

    Raises
    ------
    AssertionError
        They differ, or something is there twice.
    """
    expected, found = rows(undisturbed), rows(after)
    assert len(expected) == len(found)
    different = [(before, now) for before, now in zip(expected, found, strict=True) if before != now]
    assert not different, different[:3]
    assert {path.name for path in (after / SHARDS).iterdir()} == {path.name for path in read_archive(after).shards}
    return len(found)


def make_songs(folder: Path, count: int, *, seconds: float) -> None:
    """Synthesised mp3 songs, a genre a folder, of which one in :data:`BROKEN_EVERY` is noise without a header."""
    paths = [folder / GENRES[number % len(GENRES)] / f"{number:05d}.mp3" for number in range(count)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(partial(_make_song, seconds=seconds), range(count), paths))


def _make_song(number: int, path: Path, *, seconds: float) -> None:
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".part")
    if number % BROKEN_EVERY == BROKEN_EVERY - 1:
        partial_path.write_bytes(np.random.default_rng(number).bytes(200_000))
    else:
        from train.demo_corpus import synthesize_song

        # a part is synthesised and repeated: encoding takes long enough
        part = synthesize_song(path.parent.name, song=number, seed=0, seconds=min(seconds, 10.0))
        sound = np.resize(part, round(seconds * _RATE)).astype("<f4").tobytes()
        raw = ("-f", "f32le", "-ar", str(_RATE), "-ac", "1", "-i", "-")
        command = ["ffmpeg", "-v", "error", *raw, "-ac", "2", "-b:a", "128k", "-f", "mp3", "-y", str(partial_path)]
        subprocess.run(command, input=sound, check=True)
    partial_path.rename(path)


def main() -> None:
    """Prove it on as many songs as there is time for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--songs", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--model", type=Path, default=SMALL_MODEL)
    parser.add_argument("--worker-kill-every", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--driver-kills-after", type=float, nargs="*", default=[30.0, 60.0], metavar="SECONDS")
    options = parser.parse_args()
    music, undisturbed = (options.folder / name for name in ("music", "undisturbed"))
    make_songs(music, options.songs, seconds=options.seconds)
    parts = sorted(path for path in music.iterdir() if path.is_dir())
    copied = sorted(parts[0].iterdir())[:_COPIED]
    with mounted_disks(options.folder / f"disks-{os.getpid()}", parts, copied) as disks:
        command = [*TAG, *map(str, disks.roots), "--model", str(options.model)]
        subprocess.run([*command, str(undisturbed), "--force"], check=True)
        begun, after = time.monotonic(), disks.results.folder / "disturbed"
        starts = [*map(driver_killed, options.driver_kills_after), *troubled_disks(disks)]
        done = disturbed([*command, str(after)], starts, worker_seconds=options.worker_kill_every)
        count = check_equal(undisturbed, after)
    sys.stdout.write(f"{count} equal rows after {done} in {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    main()

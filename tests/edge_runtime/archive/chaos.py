"""A run of ``tmgc-tag`` whose processes are killed again and again must give the rows of an undisturbed one.

``python -m tests.edge_runtime.archive.chaos FOLDER --songs 1500 --seconds 180`` makes songs, tags them undisturbed and
disturbed, and compares. It can be interrupted: songs that are made are not made again.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from edge_runtime.archive.results import SHARDS, read_archive
from edge_runtime.models import SMALL_MODEL
from edge_runtime.system_info import usable_cores
from tests.edge_runtime.archive.tagged import TAG, rows

GENRES = ("Halk", "Rock", "Klasik", "Elektronik", "Arabesk")
BROKEN_EVERY = 100
_RATE = 44_100


@dataclass
class Disturbances:
    """What was done to a run."""

    starts: int = 0
    workers_killed: int = 0
    drivers_killed: int = 0


def disturbed(command: Sequence[str], *, worker_seconds: float, driver_seconds: Sequence[float]) -> Disturbances:
    """Run a command until it ends by itself, with exit code 0, and is started again after it was killed.

    Parameters
    ----------
    command : sequence of str
    worker_seconds : float > 0
        From one kill of a worker process to the next.
    driver_seconds : sequence of float > 0
        How long each of the first starts lasts until it is killed itself.

    Raises
    ------
    AssertionError
        It fails, or workers outlive it.
    """
    done, chance = Disturbances(), random.Random(0)
    while True:
        begun = time.monotonic()
        limit = driver_seconds[done.starts] if done.starts < len(driver_seconds) else None
        done.starts += 1
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
            while _running(driver, worker_seconds):
                if limit is not None and time.monotonic() - begun > limit:
                    left = workers(driver.pid)
                    driver.kill()
                    done.drivers_killed += 1
                    assert not psutil.wait_procs(left, timeout=10)[1], "workers end with their driver"
                    break
                if alive := workers(driver.pid):
                    _kill(chance.choice(alive))
                    done.workers_killed += 1
            assert driver.stderr
            notices = driver.stderr.read()
        if driver.returncode != -9:
            assert driver.returncode == 0, notices
            return done


def _running(driver: subprocess.Popen[str], seconds: float) -> bool:
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
    music, undisturbed, after = (options.folder / name for name in ("music", "undisturbed", "disturbed"))
    make_songs(music, options.songs, seconds=options.seconds)
    command = [*TAG, str(music), "--model", str(options.model)]
    subprocess.run([*command, str(undisturbed)], check=True)
    begun = time.monotonic()
    done = disturbed(
        [*command, str(after)],
        worker_seconds=options.worker_kill_every,
        driver_seconds=options.driver_kills_after,
    )
    count = check_equal(undisturbed, after)
    sys.stdout.write(f"{count} equal rows after {done} in {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    main()

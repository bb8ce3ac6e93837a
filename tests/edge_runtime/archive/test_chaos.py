"""Whatever is killed on the way, the rows are those of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import pytest

from edge_runtime.archive.lock import LOCK
from edge_runtime.archive.results import ARCHIVE_JSON, SHARDS
from tests.conftest import until
from tests.edge_runtime.archive.chaos import check_equal, disturbed, driver_killed, troubled_disks
from tests.edge_runtime.archive.disks import mounted_disks, why_not_mounted
from tests.edge_runtime.archive.tagged import TAG, rows, write_copies, write_library

pytestmark = pytest.mark.full


def undisturbed(command: Sequence[str], folder: Path) -> float:
    """Run a command into ``folder / "undisturbed"``; how long it took, s.

    A worker that is killed before it has started and read a song gives that song no chance: a slow machine needs more
    time from one kill to the next.
    """
    begun = monotonic()
    subprocess.run([*command, str(folder / "undisturbed")], check=True)
    return monotonic() - begun


def test_killed_workers_and_drivers_change_no_row(tmp_path: Path, models: dict[str, Path]) -> None:
    music = write_copies(tmp_path / "music", 50, seconds=40.0)
    command = [*TAG, str(music), "--model", str(models["tflite"]), "--windows", "all", "--workers", "2"]
    seconds = undisturbed(command, tmp_path)
    # these songs take much longer than the first starts last
    starts = [driver_killed(2.0), driver_killed(2.0)]
    done = disturbed([*command, str(tmp_path / "out")], starts, worker_seconds=max(1.0, seconds / 15))
    assert check_equal(tmp_path / "undisturbed", tmp_path / "out") == 300
    assert done.workers_killed > 5


def test_disks_that_fill_up_go_away_and_fail_change_no_row(tmp_path: Path, models: dict[str, Path]) -> None:
    if reason := why_not_mounted(tmp_path):
        pytest.skip(reason)
    parts = [write_copies(tmp_path / "music" / name, 6, seconds=40.0) for name in ("a", "b", "c")]
    copied = sorted((parts[0] / "00").iterdir())
    with mounted_disks(tmp_path / "disks", parts, copied) as disks:
        command = [*TAG, *map(str, disks.roots), "--model", str(models["tflite"]), "--windows", "all"]
        seconds = undisturbed(command, tmp_path)
        after = disks.results.folder / "out"
        disturbed([*command, str(after)], troubled_disks(disks), worker_seconds=max(1.0, seconds / 15))
        assert check_equal(tmp_path / "undisturbed", after) == 114


def test_a_driver_that_is_killed_while_it_lists_the_songs_leaves_results_that_go_on(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    music, out = write_library(tmp_path / "music", 5), tmp_path / "out"
    slow = (
        "import time, edge_runtime.archive.tagging as tagging\n"
        "tagging.find_songs = lambda *_: time.sleep(600)\n"
        "from edge_runtime.cli.tag import main; main()"
    )
    arguments = [str(music), str(out), "--model", str(models["tflite"])]
    with subprocess.Popen([sys.executable, "-c", slow, *arguments]) as driver:
        until((out / LOCK).exists)
        driver.kill()
    assert not (out / ARCHIVE_JSON).exists()
    subprocess.run([*TAG, *arguments], check=True)
    assert len(rows(out)) == 5


def test_shares_that_run_at_the_same_time_add_up_to_the_whole(tmp_path: Path, models: dict[str, Path]) -> None:
    music = write_library(tmp_path / "music", 30, broken=[23], seconds=20.0)
    command = [*TAG, str(music), "--model", str(models["tflite"]), "--windows", "all", "--workers", "1"]
    subprocess.run([*command, str(tmp_path / "undisturbed")], check=True)
    code = "from edge_runtime.archive import shards; shards.SHARD_SONGS = 3; " + TAG[-1]
    command = [*TAG[:-1], code, *command[len(TAG) :], str(tmp_path / "out")]
    shares = [subprocess.Popen([*command, "--shard", f"{number}/3"]) for number in (1, 2, 3)]
    assert [share.wait(timeout=120) for share in shares] == [0, 0, 0]
    last = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True)
    assert "nothing has changed" in last.stderr
    assert len(list((tmp_path / "out" / SHARDS).iterdir())) >= 3
    assert check_equal(tmp_path / "undisturbed", tmp_path / "out") == 30

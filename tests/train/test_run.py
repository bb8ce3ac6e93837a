"""The folder of a run, and its lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.run import Run, newest_run

HOLDER = """
import sys, time
from pathlib import Path
from train.run import Run
with Run(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_command_at_a_time_changes_a_run_and_a_killed_one_releases_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", HOLDER, run.folder], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            with pytest.raises(TmgcError, match="another is at work"), run.lock():
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
    with run.lock():
        pass
    with run.lock():
        pass


def test_an_error_while_a_run_is_locked_is_not_taken_for_another_command(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), Run(tmp_path / "run").lock():
        raise BlockingIOError


def test_the_lock_of_a_run_removes_what_interrupted_commands_left(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    left = [run.folder / ".part-model.0123456789abcdef.keras", run.plots / ".part-confusion.0123456789abcdef.png"]
    kept = [run.model, run.plots / "confusion.png"]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with run.lock():
        assert not any(path.exists() for path in left)
        assert all(path.exists() for path in kept)


def test_the_newest_run_is_the_one_whose_file_was_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TmgcError, match=r"no \./runs/\*/model\.keras here"):
        newest_run("model.keras")
    for age, name in enumerate(["second", "first"]):
        model = tmp_path / "runs" / name / "model.keras"
        model.parent.mkdir(parents=True)
        model.touch()
        os.utime(model, (1e9 + age, 1e9 + age))
    (tmp_path / "runs" / "empty").mkdir()
    assert newest_run("model.keras") == Path("runs/first")

"""The folder of a run, and its lock."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.run import Run

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

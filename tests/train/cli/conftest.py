"""``tmgc-train`` in this process, and songs for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.factories import write_songs
from train.cli import main


def tmgc_train(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, [*map(str, arguments)])


def one_error(result: Result) -> str:
    """The only line of a refusal."""
    assert result.exit_code == 2, result.stderr
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.lower().startswith("error: ")]
    return line


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], Path]]:
    """Makes a folder one that nothing can be written to, for root too, until the end of the test."""
    closed = list[Path]()

    def close(folder: Path) -> Path:
        closed.append(folder)
        folder.chmod(0o555)
        if shutil.which("chattr"):
            subprocess.run(["chattr", "+i", folder], check=False, capture_output=True)
        try:
            (folder / "probe").touch()
        except OSError:
            return folder
        pytest.skip("this user can write to any folder here")

    yield close
    for folder in reversed(closed):
        if shutil.which("chattr"):
            subprocess.run(["chattr", "-i", folder], check=False, capture_output=True)
        folder.chmod(0o755)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    """Two genres of three songs of 2.5 s."""
    return write_songs(tmp_path / "songs", songs=3, genres=("Caz", "Halk"), seconds=2.5, suffix=".wav")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Where a run may be written."""
    return tmp_path / "run"

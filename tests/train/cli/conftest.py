"""``tmgc-train`` in this process, and songs for it."""

from __future__ import annotations

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
def songs(tmp_path: Path) -> Path:
    """Two genres of three songs of 2.5 s."""
    return write_songs(tmp_path / "songs", songs=3, genres=("Caz", "Halk"), seconds=2.5, suffix=".wav")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Where a run may be written."""
    return tmp_path / "run"

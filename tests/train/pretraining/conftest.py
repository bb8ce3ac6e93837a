"""Music without labels, and a teacher that needs no download."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import factories
from tests.factories import write_songs
from train.run import Run
from train.teachers import Teacher, open_teacher


@pytest.fixture(scope="session")
def teacher_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network that names three genres by their pitch. Do not write into it."""
    return factories.tiny_trained_run(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="session")
def teacher(teacher_run: Run) -> Teacher:
    return open_teacher(str(teacher_run.folder))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Thirty files of six seconds in three folders."""
    return write_songs(tmp_path / "music", songs=10, seconds=6.0)

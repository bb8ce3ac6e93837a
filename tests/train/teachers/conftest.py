"""The wheel of musicnn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.wheels import fetched
from train.teachers.musicnn import WHEEL, Musicnn


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The verified wheel; the test is skipped where no package index answers."""
    return fetched(WHEEL)


@pytest.fixture(scope="session")
def musicnn(wheel: Path) -> Musicnn:
    return Musicnn(wheel)

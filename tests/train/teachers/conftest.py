"""The wheel of musicnn, fetched once into the repository's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.teachers.musicnn import Musicnn, fetch

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The verified wheel; the test is skipped where no package index answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(ROOT / ".cache"))
        try:
            return fetch()
        except TmgcError as error:
            pytest.skip(f"no teacher: {error}")


@pytest.fixture(scope="session")
def musicnn(wheel: Path) -> Musicnn:
    return Musicnn(wheel)

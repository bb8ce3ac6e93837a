"""Downmix, resampling and level of sound."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.audio import level_dbfs
from tests.conftest import tone


def test_levels_are_decibels_of_the_root_mean_square() -> None:
    assert level_dbfs(np.ones(100, np.float32)) == pytest.approx(0)
    assert level_dbfs(tone(1, sample_rate=8_000, level=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level_dbfs(np.zeros(100, np.float32)) == pytest.approx(-120)

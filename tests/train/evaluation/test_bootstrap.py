"""Intervals are honest where all answers are right, and as wide as groups make them."""

from __future__ import annotations

import numpy as np
import pytest

from train.evaluation.metrics import share_interval, wilson_interval


@pytest.mark.parametrize("count", [1, 3, 30, 300])
@pytest.mark.parametrize("right", [True, False])
def test_no_certainty_follows_from_songs_that_are_all_alike(count: int, right: bool) -> None:
    low, high = share_interval(np.full(count, right), [np.array([number]) for number in range(count)])
    assert high - low > 1 / (count + 4)
    assert (high if right else low) == float(right)


@pytest.mark.parametrize(("right", "count"), [(3, 3), (0, 10), (7, 10), (30, 30), (50, 60), (81, 263)])
def test_for_songs_alone_it_is_near_wilsons(right: int, count: int) -> None:
    found = share_interval(np.arange(count) < right, [np.array([number]) for number in range(count)])
    assert found == pytest.approx(wilson_interval(right, count), abs=0.09)


def test_two_hundred_samples_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    groups = [np.arange(4 * number, 4 * number + 4) for number in range(25)]
    held = 0
    for _ in range(200):
        low, high = share_interval(np.repeat(rng.random(25) < 0.9, 4), groups)
        held += low <= 0.9 <= high
    assert held >= 184, "190 are expected"

"""A difference between two models is called real when it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from train.dataset.dataset import Clip
from train.evaluation.metrics import paired_difference


def clips_of(songs: int, *, clips: int = 1, group_size: int = 1) -> list[Clip]:
    return [
        Clip(f"{song}-{part}", str(song), "Caz", "test", 0.0, 0.0, -20.0, group=str(song // group_size))
        for song in range(songs)
        for part in range(clips)
    ]


def right(songs: int, *, of: int, clips: int = 1) -> NDArray[np.bool_]:
    """The clips of the first songs are named right, and no others."""
    return np.repeat(np.arange(of) < songs, clips)


@pytest.mark.parametrize(("one", "other", "sign"), [(90, 50, 1), (50, 90, -1), (50, 48, 0), (50, 50, 0)])
def test_only_a_large_difference_over_many_songs_is_real(one: int, other: int, sign: int) -> None:
    found = paired_difference(right(one, of=100), right(other, of=100), clips_of(100))
    assert found.value == pytest.approx((one - other) / 100)
    assert found.interval[0] < found.value < found.interval[1]
    assert (found.sign, found.songs) == (sign, 100)


def test_four_songs_of_ten_are_no_proof() -> None:
    assert paired_difference(right(9, of=10), right(5, of=10), clips_of(10)).sign == 0


def test_clips_of_one_song_count_as_one() -> None:
    many_clips = paired_difference(right(9, of=10, clips=50), right(5, of=10, clips=50), clips_of(10, clips=50))
    assert many_clips.sign == 0
    assert paired_difference(right(450, of=500), right(250, of=500), clips_of(500)).sign == 1


def test_songs_of_one_group_count_as_one() -> None:
    one, other = right(45, of=50), right(25, of=50)
    assert paired_difference(one, other, clips_of(50)).sign == 1
    grouped = paired_difference(one, other, clips_of(50, group_size=5))
    assert (grouped.sign, grouped.songs) == (0, 50)


def test_songs_that_are_hard_for_both_widen_nothing() -> None:
    """Against each model's own interval: they overlap, and the pair is nevertheless told apart."""
    one, other = right(60, of=100), right(48, of=100)
    low, high = paired_difference(one, other, clips_of(100)).interval
    assert 0.0 < low < 0.12 < high
    assert high - low < 0.17


def test_two_equal_models_are_told_apart_in_at_most_one_case_of_twenty() -> None:
    rng = np.random.default_rng(0)
    clips = clips_of(20, clips=4)
    false_alarms = 0
    for _ in range(200):
        one, other = (np.repeat(rng.random(20) < 0.6, 4) for _ in range(2))
        false_alarms += paired_difference(one, other, clips).sign != 0
    assert false_alarms <= 16, "10 are expected at most, and 16 would be chance once in forty cases"

from __future__ import annotations

from collections import Counter

import pytest

from edge_runtime.errors import TmgcError
from export.calibration import calibration_clips
from train.dataset.dataset import read_dataset
from train.run import Run


def test_calibration_clips_are_training_clips_balanced_over_genres(tiny_run: Run) -> None:
    clips = calibration_clips(read_dataset(tiny_run), 18)
    assert len({clip.name for clip in clips}) == 18
    assert {clip.split for clip in clips} == {"train"}
    assert sorted(Counter(clip.genre for clip in clips).values()) == [4, 4, 5, 5]


def test_the_same_seed_gives_the_same_clips_and_another_seed_others(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    assert calibration_clips(dataset, 8) == calibration_clips(dataset, 8)
    assert calibration_clips(dataset, 8, seed=1) != calibration_clips(dataset, 8, seed=2)


def test_all_training_clips_are_taken_where_there_are_fewer(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    assert len(calibration_clips(dataset, 5_000)) == len(dataset.of("train"))


def test_no_clips_at_all_are_refused(tiny_run: Run) -> None:
    with pytest.raises(TmgcError, match="from 1 to 5000 clips, got 0"):
        calibration_clips(read_dataset(tiny_run), 0)

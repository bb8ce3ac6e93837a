"""A student is as good as its teacher, or worse by so many points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.train.dataset.test_folds import dataset_of
from train.evaluation.comparison import TeacherComparison, compare_with_teacher

SONGS = 200


def compared(tmp_path: Path, *, student_wrong: int, teacher_wrong: int) -> TeacherComparison:
    """Of 200 songs of two clips, the first so many are misclassified by each."""
    dataset = dataset_of(tmp_path, {"Caz": SONGS // 2, "Halk": SONGS // 2})

    def probabilities(wrong: int) -> NDArray[np.float32]:
        right = np.eye(2, dtype=np.float32)[dataset.labels(dataset.clips)]
        right[: 2 * wrong] = right[: 2 * wrong, ::-1]
        return right

    return compare_with_teacher(
        dataset.clips, dataset.genres, probabilities(student_wrong), ("large", probabilities(teacher_wrong))
    )


@pytest.mark.parametrize(
    ("student_wrong", "verdict"),
    [
        (20, "as good"),
        (21, "as good"),
        (50, "worse by 15.0 points"),
        (0, "better by 10.0 points"),
    ],
)
def test_the_verdict_needs_a_difference_that_chance_does_not_explain(
    student_wrong: int, verdict: str, tmp_path: Path
) -> None:
    found = compared(tmp_path, student_wrong=student_wrong, teacher_wrong=20)
    assert found.verdict == verdict
    assert found.clip_difference == pytest.approx((20 - student_wrong) / SONGS)
    assert found.clip_difference == found.song_difference
    low, high = found.clip_difference_ci
    assert low <= found.clip_difference <= high
    assert (found.songs, found.clips, found.clip_accuracy, found.song_accuracy) == (200, 400, 0.9, 0.9)


def test_the_text_names_the_teacher_and_both_differences(tmp_path: Path) -> None:
    text = compared(tmp_path, student_wrong=50, teacher_wrong=20).as_text()
    assert text.startswith("compared with large (90.0 % of clips, 90.0 % of songs): -15.0 points (95 % CI ")
    assert text.endswith("of song accuracy: worse by 15.0 points")

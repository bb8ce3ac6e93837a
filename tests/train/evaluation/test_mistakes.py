"""The worst misclassified are the surest ones, with their files."""

from __future__ import annotations

import numpy as np

from train.dataset.dataset import Dataset
from train.evaluation.results import MAX_MISCLASSIFIED, worst_misclassified


def test_the_surest_wrong_answers_come_first_with_files_that_exist(small_dataset: Dataset) -> None:
    clips = small_dataset.of("train")
    labels = small_dataset.labels(clips)
    probabilities = np.zeros((len(clips), 10), np.float32)
    probabilities[np.arange(len(clips)), (labels + 1) % 10] = np.linspace(0.6, 0.9, len(clips))
    probabilities[np.arange(len(clips)), labels] = 0.05
    probabilities[0, labels[0]] = 0.99  # right after all
    found = worst_misclassified(small_dataset, clips, probabilities)
    assert len(found) == MAX_MISCLASSIFIED
    assert found[0].clip == clips[-1].name
    assert (found[0].genre, found[0].prediction) == (clips[-1].genre, small_dataset.genres[(labels[-1] + 1) % 10])
    assert [each.confidence for each in found] == sorted((each.confidence for each in found), reverse=True)
    assert clips[0].name not in {each.clip for each in found}
    assert all((small_dataset.run.folder / file).is_file() for each in found for file in (each.sound, each.picture))


def test_a_model_that_is_always_right_makes_none(small_dataset: Dataset) -> None:
    clips = small_dataset.of("test")
    assert worst_misclassified(small_dataset, clips, np.eye(10, dtype=np.float32)[small_dataset.labels(clips)]) == ()

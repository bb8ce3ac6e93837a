"""A student learns the genres of its labels and the teacher's outputs together."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.factories import TINY_TRAINING
from train.dataset.dataset import Dataset
from train.run import Run
from train.training import TrainingConfig, fit


@pytest.fixture
def taught(tiny_trained_run: Run) -> TrainingConfig:
    return replace(TINY_TRAINING, teacher=str(tiny_trained_run.folder), epochs=2)


def test_a_student_is_saved_as_a_classifier_whose_card_names_its_teacher(
    small_dataset: Dataset, taught: TrainingConfig
) -> None:
    card = fit(small_dataset, taught)
    assert card.network["teacher"] == {"name": "tiny", "weight": 1.0}
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    assert [layer.name for layer in network.layers][1:] == ["front_end", "backbone", "head"]
    probabilities = network.predict(small_dataset.images(small_dataset.clips[:4]), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert card.network["parameters"] == network.count_params()

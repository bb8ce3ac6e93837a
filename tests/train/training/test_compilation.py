"""The loss of genres and teacher, the accuracy beside it, and what exists before the first step."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from train.training.compilation import DistillationLoss, compile_network, genre_accuracy
from train.training.config import TrainingConfig

LABELS = np.array([[1, 0], [0, 1]], np.float32)
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
TARGETS = np.array([[1, 2, 3], [0, 0, 0]], np.float32)
SAID = np.array([[1, 2, 0], [1, 1, 1]], np.float32)


def both(labels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.concatenate([labels, targets], axis=1)


def test_the_loss_is_cross_entropy_and_the_weighted_squared_error_of_the_targets() -> None:
    loss = DistillationLoss(2, weight=0.5, label_smoothing=0.0)
    entropy = -np.log([0.9, 0.2])
    value = loss(both(LABELS, TARGETS), both(PROBABILITIES, SAID))
    assert float(value) == pytest.approx((entropy + 0.5 * np.array([3.0, 1.0])).mean(), rel=1e-5)


def test_labels_without_targets_give_the_cross_entropy_alone() -> None:
    loss = DistillationLoss(2, weight=0.5, label_smoothing=0.1)
    alone = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)(LABELS, PROBABILITIES)
    assert float(loss(LABELS, both(PROBABILITIES, SAID))) == pytest.approx(float(alone))


def test_the_accuracy_is_that_of_the_genres() -> None:
    metric = genre_accuracy(2)
    metric.update_state(both(LABELS, TARGETS), both(PROBABILITIES, SAID))
    assert (metric.name, float(metric.result())) == ("accuracy", 0.5)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="other backends trace differently")
@pytest.mark.parametrize("teachers", [(), ("musicnn",)], ids=["genres", "genres and a teacher"])
def test_a_step_is_traced_once(teachers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[keras.Model] = []
    train_step = keras.Model.train_step

    def counted(self: keras.Model, data: object) -> object:
        traced.append(self)
        return train_step(self, data)

    monkeypatch.setattr(keras.Model, "train_step", counted)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, activation="softmax")])
    compile_network(network, TrainingConfig(weights="none", teachers=teachers), 1e-3, n_genres=2)
    targets = np.eye(5, dtype=np.float32)
    for _ in range(2):
        network.fit(np.zeros((5, 4), np.float32), targets, sample_weight=np.ones(5), verbose=0)
    assert traced == [network]

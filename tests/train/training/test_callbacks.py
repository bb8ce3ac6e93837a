"""Which weights an epoch leaves behind, and when a training is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import pytest

from edge_runtime import TmgcError
from train.run import Run
from train.training.callbacks import CheckpointAndEarlyStopping, is_over
from train.training.checkpoint import Checkpoint, TrainingState
from train.training.config import TrainingConfig

CONFIG = TrainingConfig(epochs=10, patience=2)


def callback(folder: Path, config: TrainingConfig = CONFIG) -> CheckpointAndEarlyStopping:
    state = TrainingState(learning_rate=1.0, history=[{"seconds": 30.0}])
    tested = CheckpointAndEarlyStopping(Checkpoint(Run(folder)), state, config, dataset_sha256="clips")
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.compile("adam", "mse")
    network.optimizer.build(network.trainable_variables)
    tested.set_model(network)
    return tested


def epochs(tested: CheckpointAndEarlyStopping, losses: list[float], accuracies: list[float] | None = None) -> int:
    """Number of epochs until it stops."""
    tested.model.stop_training = False
    for number, loss in enumerate(losses):
        accuracy = accuracies[number] if accuracies else 0.5
        tested.on_epoch_end(number, {"loss": 1.0, "val_loss": loss, "val_accuracy": accuracy})
        if tested.model.stop_training:
            return number + 1
    return len(losses)


def test_a_loss_that_is_not_a_number_ends_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="lower --learning-rate"):
        epochs(callback(tmp_path), [float("nan")])


def test_it_stops_when_the_validation_loss_no_longer_falls(tmp_path: Path) -> None:
    assert epochs(callback(tmp_path), [3.0, 2.0, 2.5, 1.9, 2.0, 2.1, 1.0]) == 6


@pytest.mark.parametrize(("monitor", "best"), [("val_loss", -1.0), ("val_accuracy", 0.9)])
def test_the_best_epoch_is_that_of_the_lowest_loss_or_of_the_highest_accuracy(
    monitor: str, best: float, tmp_path: Path
) -> None:
    tested = callback(tmp_path, replace(CONFIG, monitor=monitor, patience=9))
    epochs(tested, [3.0, 2.0, 1.0, 2.0], [0.1, 0.9, 0.5, 0.2])
    assert Checkpoint(Run(tmp_path)).read("clips")[1].best_score == best


def test_the_last_epoch_is_the_best_where_nothing_is_monitored_and_none_ends_the_training(tmp_path: Path) -> None:
    tested = callback(tmp_path, replace(CONFIG, monitor="last"))
    for number in range(5):
        tested.on_epoch_end(number, {"loss": 1.0 + number})
        assert not getattr(tested.model, "stop_training", False)
    assert Checkpoint(Run(tmp_path)).read("clips")[1].best_epoch == 5


@pytest.mark.parametrize(
    ("state", "over"),
    [
        (TrainingState(epochs=9), False),
        (TrainingState(epochs=10), True),
        (TrainingState(epochs=1, epochs_without_improvement=2), True),
        (TrainingState(epochs=1, seconds=61.0), True),
        (TrainingState(epochs=1, seconds=59.0), False),
        (TrainingState(epochs=0, seconds=61.0), False),
    ],
)
def test_a_training_is_over_with_its_epochs_its_patience_or_its_time(state: TrainingState, over: bool) -> None:
    assert is_over(state, replace(CONFIG, minutes=1.0)) is over

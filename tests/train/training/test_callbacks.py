"""What is kept after an epoch, and when a training is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import pytest

from edge_runtime import TmgcError
from train.run import Run
from train.training.callbacks import CheckpointAndEarlyStopping, is_over
from train.training.checkpoint import Checkpoint, Progress
from train.training.config import TrainingConfig

SETTINGS = TrainingConfig(epochs=10, patience=2)


def keeper(folder: Path, settings: TrainingConfig = SETTINGS) -> CheckpointAndEarlyStopping:
    progress = Progress(learning_rate=1.0, history=[{"seconds": 30.0}])
    made = CheckpointAndEarlyStopping(Checkpoint(Run(folder)), progress, settings, dataset_sha256="clips")
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.compile("adam", "mse")
    network.optimizer.build(network.trainable_variables)
    made.set_model(network)
    return made


def epochs(made: CheckpointAndEarlyStopping, losses: list[float], accuracies: list[float] | None = None) -> int:
    """Epochs that are run before it stops."""
    made.model.stop_training = False
    for number, loss in enumerate(losses):
        accuracy = accuracies[number] if accuracies else 0.5
        made.on_epoch_end(number, {"loss": 1.0, "val_loss": loss, "val_accuracy": accuracy})
        if made.model.stop_training:
            return number + 1
    return len(losses)


def test_a_loss_that_is_no_number_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="lower --learning-rate"):
        epochs(keeper(tmp_path), [float("nan")])


def test_it_stops_when_the_validation_loss_no_longer_falls(tmp_path: Path) -> None:
    assert epochs(keeper(tmp_path), [3.0, 2.0, 2.5, 1.9, 2.0, 2.1, 1.0]) == 6


@pytest.mark.parametrize(("keep", "best"), [("val_loss", -1.0), ("val_accuracy", 0.9)])
def test_the_best_epoch_is_that_of_the_lowest_loss_or_of_the_highest_accuracy(
    keep: str, best: float, tmp_path: Path
) -> None:
    made = keeper(tmp_path, replace(SETTINGS, keep=keep, patience=9))
    epochs(made, [3.0, 2.0, 1.0, 2.0], [0.1, 0.9, 0.5, 0.2])
    assert Checkpoint(Run(tmp_path)).read("clips")[1].best == best


@pytest.mark.parametrize(
    ("progress", "over"),
    [
        (Progress(epochs=9), False),
        (Progress(epochs=10), True),
        (Progress(epochs=1, waited=2), True),
        (Progress(epochs=1, seconds=61.0), True),
        (Progress(epochs=1, seconds=59.0), False),
        (Progress(epochs=0, seconds=61.0), False),
    ],
)
def test_a_training_is_over_with_its_epochs_its_patience_or_its_time(progress: Progress, over: bool) -> None:
    assert is_over(progress, replace(SETTINGS, minutes=1.0)) is over

"""Keras callbacks: progress, the history, and checkpoints with early stopping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import keras

from edge_runtime.errors import TmgcError
from train.progress import Reporter
from train.training.checkpoint import Checkpoint, Config, TrainingState

Logs = Mapping[str, Any]


class BatchProgress(keras.callbacks.Callback):
    """Reports every batch."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._reporter.step(logs or {})

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._reporter.step({})


class EpochHistory(keras.callbacks.Callback):
    """Adds every epoch to the history in the training state, and reports it."""

    def __init__(self, phase: str, state: TrainingState, reporter: Reporter) -> None:
        super().__init__()
        self._phase, self._state, self._reporter = phase, state, reporter

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._start = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        seconds = perf_counter() - self._start
        learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self._state.seconds += seconds
        self._state.history.append(
            {"phase": self._phase, "epoch": epoch + 1, **values, "learning_rate": learning_rate, "seconds": seconds}
        )
        self._reporter.epoch(epoch + 1, values)


class CheckpointAndEarlyStopping(keras.callbacks.Callback):
    """Saves the best weights and the state to resume from after every epoch, and ends the training when it is over.

    Parameters
    ----------
    checkpoint : Checkpoint
    state : TrainingState
    config : Config
    dataset_sha256 : str
        See :meth:`train.training.checkpoint.Checkpoint.save`.
    saved : Config, optional
        The settings that a resumed training begins with, if not ``config``.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        state: TrainingState,
        config: Config,
        *,
        dataset_sha256: str,
        saved: Config | None = None,
    ) -> None:
        super().__init__()
        self._checkpoint, self._state, self._config = checkpoint, state, config
        self._dataset_sha256, self._saved = dataset_sha256, saved or config

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        state, values = self._state, {name: float(value) for name, value in (logs or {}).items()}
        if not all(map(math.isfinite, values.values())):
            raise TmgcError(
                f"the loss of epoch {epoch + 1} is not a number: the learning rate, {state.learning_rate:.1e} at most, "
                "is too high. Train again with a lower --learning-rate and --no-resume"
            )
        state.epochs = epoch + 1
        is_best = self._config.monitor == "last" or self._is_best(values)
        if is_best:
            state.best_epoch = state.epochs
        self.save(self.model, is_best=is_best)
        if is_over(state, self._config):
            self.model.stop_training = True

    def _is_best(self, values: Logs) -> bool:
        state = self._state
        state.epochs_without_improvement += 1
        if state.lowest_val_loss is None or values["val_loss"] < state.lowest_val_loss:
            state.lowest_val_loss, state.epochs_without_improvement = values["val_loss"], 0
        score = values["val_accuracy"] if self._config.monitor == "val_accuracy" else -values["val_loss"]
        if state.best_score is not None and score <= state.best_score:
            return False
        state.best_score = score
        return True

    def save(self, network: keras.Model, *, is_best: bool) -> None:
        """Write the state to resume from."""
        self._checkpoint.save(
            network, self._state, config=self._saved, dataset_sha256=self._dataset_sha256, is_best=is_best
        )


def is_over(state: TrainingState, config: Config) -> bool:
    """Whether all epochs, the time or the patience are used up; one epoch is always trained."""
    out_of_time = config.minutes is not None and state.seconds >= 60 * config.minutes
    out_of_patience = state.epochs_without_improvement >= config.patience
    return state.epochs >= 1 and (state.epochs >= config.epochs or out_of_patience or out_of_time)

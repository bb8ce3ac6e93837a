"""What happens after each step and each epoch of a training."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import keras

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from train.progress import Reporter
from train.run import Run
from train.training.checkpoint import Checkpoint, Progress
from train.training.config import TrainingConfig


class Steps(keras.callbacks.Callback):
    """Tells the reporter of every batch."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self._reporter.step(logs or {})

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._reporter.step({})


class History(keras.callbacks.Callback):
    """Adds every epoch to the progress and to ``history.csv``, and tells the reporter."""

    def __init__(self, phase: str, progress: Progress, run: Run, reporter: Reporter) -> None:
        super().__init__()
        self._phase, self._progress, self._run, self._reporter = phase, progress, run, reporter

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._begun = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        seconds = perf_counter() - self._begun
        self._progress.seconds += seconds
        self._progress.history.append(
            {
                "phase": self._phase,
                "epoch": epoch + 1,
                **values,
                "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
                "seconds": seconds,
            }
        )
        _write_history(self._run, self._progress.history)
        self._reporter.epoch(epoch + 1, values)


class CheckpointAndEarlyStopping(keras.callbacks.Callback):
    """Keeps the best weights and the state to resume from, and ends a training that no longer gets better."""

    def __init__(
        self, checkpoint: Checkpoint, progress: Progress, settings: TrainingConfig, *, dataset_sha256: str
    ) -> None:
        super().__init__()
        self._checkpoint, self._progress, self._settings = checkpoint, progress, settings
        self._corpus_sha256 = dataset_sha256

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        progress, values = self._progress, {name: float(value) for name, value in (logs or {}).items()}
        if not all(map(math.isfinite, values.values())):
            raise TmgcError(
                f"the loss of epoch {epoch + 1} is not a number: the learning rate, {progress.learning_rate:.1e} at "
                "most, is too high. Start anew with a lower --learning-rate and --no-resume"
            )
        progress.epochs = epoch + 1
        progress.waited += 1
        if progress.lowest_loss is None or values["val_loss"] < progress.lowest_loss:
            progress.lowest_loss, progress.waited = values["val_loss"], 0
        score = values["val_accuracy"] if self._settings.keep == "val_accuracy" else -values["val_loss"]
        is_best = progress.best is None or score > progress.best
        if is_best:
            progress.best = score
        self.save(self.model, is_best=is_best)
        if is_over(progress, self._settings):
            self.model.stop_training = True

    def save(self, network: keras.Model, *, is_best: bool) -> None:
        """Write the state to resume from."""
        self._checkpoint.save(
            network, self._progress, settings=self._settings, dataset_sha256=self._corpus_sha256, is_best=is_best
        )


def is_over(progress: Progress, settings: TrainingConfig) -> bool:
    """Whether a training is done: all its epochs, its time, or its patience; one epoch is trained whatever happens."""
    out_of_time = settings.minutes is not None and progress.seconds >= 60 * settings.minutes
    out_of_patience = progress.waited >= settings.patience
    return progress.epochs >= 1 and (progress.epochs >= settings.epochs or out_of_patience or out_of_time)


def _write_history(run: Run, history: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in history for name in row))
    with atomic_write(run.history_csv) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)

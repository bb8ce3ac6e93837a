"""The learning-rate finder: a range test of learning rates.

Smith 2017, "Cyclical learning rates for training neural networks", WACV: train for a few steps while the rate rises
from far too low to far too high, and see where the loss is lowest before it diverges.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from train.progress import Reporter
from train.run import Run

STEPS = 80
LOWEST_RATE, HIGHEST_RATE = 1e-6, 1.0

_SMOOTHING = 0.9
"""Decay of the moving average over the losses, which differ from batch to batch."""

_DIVERGED = 4.0
"""The test ends at this multiple of the lowest loss: higher rates are not worth trying."""

_SAFETY = 10.0
"""At the rate of the lowest loss training is about to diverge; a rate lower by this factor is safe throughout."""


@dataclass(frozen=True)
class LRFinderCurve:
    """Learning rates and the losses that they lead to."""

    rates: list[float]
    """Of each step, rising."""
    losses: list[float]
    """After each step, moving average."""

    @property
    def suggestion(self) -> float:
        """A tenth of the rate at which the loss was lowest."""
        return self.rates[int(np.argmin(self.losses))] / _SAFETY


def lr_finder(
    network: keras.Model,
    batches: keras.utils.PyDataset,
    compile_with: Callable[[Any], None],
    reporter: Reporter,
    *,
    steps: int = STEPS,
) -> LRFinderCurve:
    """Train with rising learning rates, and restore the weights afterwards.

    Parameters
    ----------
    network : keras.Model
    batches : keras.utils.PyDataset
        To train on; repeated from the start where there are fewer than steps.
    compile_with : callable
        Compiles the network with a learning rate or a schedule.
    reporter : Reporter
    steps : int > 1

    Returns
    -------
    curve : LRFinderCurve

    Raises
    ------
    TmgcError
        The loss was not a number from the first step on.
    """
    before = network.get_weights()
    compile_with(keras.optimizers.schedules.ExponentialDecay(LOWEST_RATE, steps - 1, HIGHEST_RATE / LOWEST_RATE))
    reporter.phase("finding the learning rate", steps)
    losses = _SmoothedLosses(reporter)
    network.fit(_Repeated(batches, steps), epochs=1, callbacks=[losses], verbose=0)
    network.set_weights(before)
    if not losses.smoothed:
        raise TmgcError("no learning rate was found: the loss is not a number from the first step on. Set one")
    rates = LOWEST_RATE * (HIGHEST_RATE / LOWEST_RATE) ** (np.arange(len(losses.smoothed)) / (steps - 1))
    return LRFinderCurve(rates.tolist(), losses.smoothed)


def write_lr_finder(run: Run, curve: LRFinderCurve) -> None:
    """Write the curve into ``plots/`` of a run, as ``lr_finder.csv`` and ``lr_finder.png``."""
    from matplotlib.figure import Figure

    run.plots.mkdir(exist_ok=True)
    with atomic_write(run.lr_finder("csv")) as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("learning_rate", "smoothed_loss"), *zip(curve.rates, curve.losses, strict=True)])
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(curve.rates, curve.losses)
    axes.axvline(curve.suggestion, linestyle="--", color="tab:red", label=f"chosen: {curve.suggestion:.1e}")
    axes.set(xlabel="learning rate", ylabel="training loss (moving average)", title="Learning-rate range test")
    axes.legend()
    with atomic_write(run.lr_finder("png")) as path:
        figure.savefig(path, format="png", dpi=150)


class _Repeated(keras.utils.PyDataset):
    def __init__(self, batches: keras.utils.PyDataset, steps: int) -> None:
        super().__init__()
        self._batches, self._steps = batches, steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, number: int) -> Any:
        return self._batches[number % len(self._batches)]


class _SmoothedLosses(keras.callbacks.Callback):
    """The loss of each step, which Keras logs as a mean over the steps so far."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self.smoothed: list[float] = []
        self._reporter = reporter
        self._mean = self._average = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        mean = float((logs or {})["loss"])
        loss = mean * (batch + 1) - self._mean * batch
        self._mean = mean
        self._average = _SMOOTHING * self._average + (1 - _SMOOTHING) * loss
        smoothed = self._average / (1 - _SMOOTHING ** (batch + 1))
        if not np.isfinite(smoothed) or smoothed > _DIVERGED * min(self.smoothed, default=np.inf):
            self.model.stop_training = True
            return
        self.smoothed.append(smoothed)
        self._reporter.step({"loss": loss})

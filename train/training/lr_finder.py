"""A learning rate found by trying: the learning-rate range test.

Smith 2017, "Cyclical learning rates for training neural networks", WACV: train for a few steps while the rate rises
from far too low to far too high, and look where the loss falls and where it breaks out.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
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
"""Of the moving average that takes out what differs from batch to batch."""

_BROKEN_OUT = 4.0
"""The test ends where the loss is so many times its lowest: higher rates are not worth trying."""

_BELOW_LOWEST = 10.0
"""The rate of the lowest loss is already on the edge; one so many times smaller is safe for a whole training."""


@dataclass(frozen=True)
class LRFinder:
    """The curve of a range test."""

    rates: list[float]
    """Of each step, rising."""
    losses: list[float]
    """After each step, smoothed."""

    @property
    def chosen(self) -> float:
        """A tenth of the rate at which the loss was lowest."""
        return self.rates[int(np.argmin(self.losses))] / _BELOW_LOWEST


def lr_finder(
    network: keras.Model,
    batches: keras.utils.PyDataset,
    compile_with: Callable[[Any], None],
    reporter: Reporter,
    *,
    steps: int = STEPS,
) -> LRFinder:
    """Try learning rates on a network, which afterwards is as it was before.

    Parameters
    ----------
    network : keras.Model
    batches : keras.utils.PyDataset
        To train on; they are used again from the start where there are fewer than steps.
    compile_with : callable
        Compiles the network with a learning rate or a schedule.
    reporter : Reporter
    steps : int > 1

    Raises
    ------
    TmgcError
        The loss was never a number.
    """
    before = network.get_weights()
    compile_with(keras.optimizers.schedules.ExponentialDecay(LOWEST_RATE, steps - 1, HIGHEST_RATE / LOWEST_RATE))
    reporter.phase("trying learning rates", steps)
    curve = _Curve(reporter)
    network.fit(_Repeated(batches, steps), epochs=1, callbacks=[curve], verbose=0)
    network.set_weights(before)
    if not curve.smoothed:
        raise TmgcError("no learning rate could be found: the loss was not a number from the first step. Give one")
    rates = LOWEST_RATE * (HIGHEST_RATE / LOWEST_RATE) ** (np.arange(len(curve.smoothed)) / (steps - 1))
    return LRFinder(rates.tolist(), curve.smoothed)


def write_lr_finder(run: Run, found: LRFinder) -> None:
    """Write the curve as ``learning_rate.csv`` and as a plot."""
    from matplotlib.figure import Figure

    run.plots.mkdir(exist_ok=True)
    with atomic_write(run.lr_finder("csv")) as path, path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("learning_rate", "smoothed_loss"), *zip(found.rates, found.losses, strict=True)])
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(found.rates, found.losses)
    axes.axvline(found.chosen, linestyle="--", color="tab:red", label=f"chosen: {found.chosen:.1e}")
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


class _Curve(keras.callbacks.Callback):
    """The loss of each step, which Keras reports as a mean over the steps so far."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self.smoothed: list[float] = []
        self._reporter = reporter
        self._mean = self._average = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        mean = float((logs or {})["loss"])
        loss = mean * (batch + 1) - self._mean * batch
        self._mean = mean
        self._average = _SMOOTHING * self._average + (1 - _SMOOTHING) * loss
        smoothed = self._average / (1 - _SMOOTHING ** (batch + 1))
        if not np.isfinite(smoothed) or smoothed > _BROKEN_OUT * min(self.smoothed, default=np.inf):
            self.model.stop_training = True
            return
        self.smoothed.append(smoothed)
        self._reporter.step({"loss": loss})

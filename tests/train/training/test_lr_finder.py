"""The range test finds where the loss is lowest before it diverges, and restores the weights."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import keras
import numpy as np

from train.progress import Reporter
from train.run import Run
from train.training.lr_finder import LRFinderCurve, lr_finder, write_lr_finder


class Batches(keras.utils.PyDataset):
    """A linear problem that can be learned, in 5 batches."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        self._inputs = random.standard_normal((5, 16, 8)).astype(np.float32)
        self._targets = self._inputs @ random.standard_normal((8, 1)).astype(np.float32)

    def __len__(self) -> int:
        return 5

    def __getitem__(self, number: int) -> Any:
        return self._inputs[number], self._targets[number]


def test_the_rate_is_below_the_one_that_diverges_and_the_weights_are_restored() -> None:
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
    before = network.get_weights()
    # Gradient descent on a quadratic diverges above 2 over its curvature, which is about 2 here.
    curve = lr_finder(
        network, Batches(), lambda rate: network.compile(keras.optimizers.SGD(rate), "mse"), Reporter(), steps=60
    )
    assert 1e-3 <= curve.suggestion < 0.2
    assert min(curve.losses) < 0.7 * curve.losses[0]
    for expected, restored in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, restored)


def test_the_curve_is_written_as_csv_and_as_a_plot(tmp_path: Path) -> None:
    curve = LRFinderCurve([1e-3, 1e-2, 1e-1], [2.0, 1.0, 3.0])
    assert curve.suggestion == 1e-3
    write_lr_finder(Run(tmp_path), curve)
    with (tmp_path / "plots" / "lr_finder.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["smoothed_loss"]) for row in rows] == [2, 1, 3]
    assert (tmp_path / "plots" / "lr_finder.png").read_bytes().startswith(b"\x89PNG")

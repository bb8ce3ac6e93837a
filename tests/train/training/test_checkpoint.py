"""A checkpoint is complete or not found at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from edge_runtime import TmgcError
from train.run import Run
from train.training.checkpoint import Checkpoint, TrainingState
from train.training.config import TrainingConfig


@pytest.fixture
def network() -> keras.Model:
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.compile(keras.optimizers.Adam(0.1), "mse")
    network.optimizer.build(network.trainable_variables)
    return network


def save(checkpoint: Checkpoint, network: keras.Model, epochs: int, *, is_best: bool, level: float) -> None:
    network.layers[0].kernel.assign([[level], [level]])
    state = TrainingState(epochs=epochs, learning_rate=0.1, history=[{"phase": "fine-tuning", "epoch": epochs}])
    checkpoint.save(network, state, config=TrainingConfig(), dataset_sha256="clips", is_best=is_best)


def kernel(network: keras.Model) -> float:
    return float(np.asarray(network.layers[0].kernel)[0, 0])


def test_the_last_and_the_best_epoch_are_both_kept_and_nothing_else(tmp_path: Path, network: keras.Model) -> None:
    checkpoint = Checkpoint(Run(tmp_path))
    assert not checkpoint.exists()
    for epochs, is_best in enumerate([True, True, False, False]):
        save(checkpoint, network, epochs, is_best=is_best, level=float(epochs))
    config, state = checkpoint.read("clips")
    assert (config, state.epochs) == (TrainingConfig(), 3)
    checkpoint.load_last(network)
    assert kernel(network) == 3
    checkpoint.load_best(network)
    assert kernel(network) == 1
    assert [path.name for path in (tmp_path / ".training").iterdir()] == ["epoch-000003"]


def test_the_optimizer_resumes_where_it_was(tmp_path: Path, network: keras.Model) -> None:
    network.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=1, verbose=0)
    checkpoint = Checkpoint(Run(tmp_path))
    save(checkpoint, network, 1, is_best=True, level=0.5)
    again = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    again.compile(keras.optimizers.Adam(0.1), "mse")
    again.optimizer.build(again.trainable_variables)
    checkpoint.load_last(again)
    for kept, same in zip(network.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(kept), np.asarray(same))
    assert int(again.optimizer.iterations) == 8


def test_a_half_written_checkpoint_is_ignored(tmp_path: Path, network: keras.Model) -> None:
    checkpoint = Checkpoint(Run(tmp_path))
    save(checkpoint, network, 1, is_best=True, level=1.0)
    writing = tmp_path / ".training" / "writing"
    writing.mkdir()
    (writing / "last.weights.h5").write_bytes(b"half")
    assert checkpoint.read("clips")[1].epochs == 1
    save(checkpoint, network, 2, is_best=False, level=2.0)
    assert checkpoint.read("clips")[1].epochs == 2


def test_a_removal_that_was_interrupted_is_completed_by_the_next(tmp_path: Path, network: keras.Model) -> None:
    checkpoint = Checkpoint(Run(tmp_path))
    save(checkpoint, network, 1, is_best=True, level=1.0)
    (tmp_path / ".training").rename(tmp_path / ".training-removed")
    save(checkpoint, network, 1, is_best=True, level=1.0)
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


def test_a_training_on_another_dataset_is_not_resumed(tmp_path: Path, network: keras.Model) -> None:
    checkpoint = Checkpoint(Run(tmp_path))
    save(checkpoint, network, 1, is_best=True, level=1.0)
    with pytest.raises(TmgcError, match="has changed since"):
        checkpoint.read("others")


def test_a_damaged_checkpoint_is_refused_in_one_line(tmp_path: Path, network: keras.Model) -> None:
    checkpoint = Checkpoint(Run(tmp_path))
    save(checkpoint, network, 1, is_best=True, level=1.0)
    epoch = tmp_path / ".training" / "epoch-000001"
    (epoch / "last.weights.h5").unlink()
    (epoch / "last.weights.h5").write_bytes(b"damaged")
    with pytest.raises(TmgcError, match="--no-resume"):
        checkpoint.load_last(network)
    (epoch / "state.json").write_text("{")
    with pytest.raises(TmgcError, match="--no-resume"):
        checkpoint.read("clips")


def test_a_full_disk_is_refused_and_the_epoch_before_is_kept(
    tmp_path: Path, network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(Run(tmp_path))
    save(checkpoint, network, 1, is_best=True, level=1.0)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(TmgcError, match="has 1 MB left: make room"):
        save(checkpoint, network, 2, is_best=True, level=2.0)
    assert checkpoint.read("clips")[1].epochs == 1
    assert [path.name for path in (tmp_path / ".training").iterdir()] == ["epoch-000001"]

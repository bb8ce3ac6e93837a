"""What Keras keeps for the whole process, set for the time of a training: seed, precision and devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from edge_runtime.errors import TmgcError, pip_install
from train.training.config import TrainingConfig


@contextmanager
def environment(config: TrainingConfig, *, epochs_done: int = 0) -> Iterator[None]:
    """Set Keras' seed, precision and distribution, and restore the last two.

    A training that is resumed after some epochs draws other dropout than it began with.

    Parameters
    ----------
    config : TrainingConfig
    epochs_done : int >= 0

    Raises
    ------
    TmgcError
        The devices do not fit ``data_parallel``.
    """
    if config.data_parallel:
        _check_devices(config.batch_size)
    precision, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    keras.utils.set_random_seed((config.seed + epochs_done) % 2**32)
    keras.config.set_dtype_policy(config.precision)
    try:
        if config.data_parallel:
            keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        yield
    finally:
        keras.config.set_dtype_policy(precision)
        keras.distribution.set_distribution(distribution)


@contextmanager
def float32() -> Iterator[None]:
    """Build layers in float32, whatever the precision of the training."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


@contextmanager
def on_one_device() -> Iterator[None]:
    """Do not share batches among devices: a batch must be a multiple of their number to be shared."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def _check_devices(batch_size: int) -> None:
    if keras.config.backend() != "jax":
        raise TmgcError(
            f"--data-parallel needs the JAX backend, got {keras.config.backend()}: {pip_install('jax[cuda12]')}, then "
            "run the command again with KERAS_BACKEND=jax before it"
        )
    devices = len(keras.distribution.list_devices())
    if batch_size % devices:
        raise TmgcError(
            f"--data-parallel splits each batch among {devices} devices, got --batch-size {batch_size}: choose a "
            f"multiple of {devices}"
        )

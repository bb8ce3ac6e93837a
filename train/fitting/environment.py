"""What Keras keeps for a whole process: the seed, the precision and the devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from edge_runtime.errors import TmgcError
from train.fitting.settings import FitSettings


@contextmanager
def environment(settings: FitSettings, *, epochs_done: int = 0) -> Iterator[None]:
    """Set them for a training, and put them back.

    Parameters
    ----------
    settings : FitSettings
    epochs_done : int >= 0
        A training that goes on draws other dropout than it began with.

    Raises
    ------
    TmgcError
        The devices cannot share a batch.
    """
    if settings.data_parallel:
        _check_devices(settings.batch_size)
    precision, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    keras.utils.set_random_seed((settings.seed + epochs_done) % 2**32)
    keras.config.set_dtype_policy(settings.precision)
    try:
        if settings.data_parallel:
            keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        yield
    finally:
        keras.config.set_dtype_policy(precision)
        keras.distribution.set_distribution(distribution)


@contextmanager
def on_one_device() -> Iterator[None]:
    """Compute without sharing batches among devices: what does not divide by their number cannot be shared."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def sharing_devices() -> int:
    """Devices that each batch is shared among; 1 where none is."""
    return len(keras.distribution.list_devices()) if keras.distribution.distribution() else 1


def _check_devices(batch_size: int) -> None:
    if keras.config.backend() != "jax":
        raise TmgcError(
            f"--data-parallel needs the JAX backend, got {keras.config.backend()}: pip install 'jax[cuda12]', then run "
            "the command again with KERAS_BACKEND=jax before it"
        )
    devices = len(keras.distribution.list_devices())
    if batch_size % devices:
        raise TmgcError(
            f"--data-parallel shares each batch among {devices} devices, got --batch-size {batch_size}: take a "
            f"multiple of {devices}"
        )

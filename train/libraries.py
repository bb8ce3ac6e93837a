"""Import of heavy libraries when they are needed, without the messages that they print."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from platform import python_version
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line, pip_install_extra
from edge_runtime.memory_limit import is_lack_of_memory, require_memory
from edge_runtime.native_stderr import silence_native_stderr

TENSORFLOW_MB = 1900
"""Address space that the import of TensorFlow takes, MB; with less it aborts the process (``ulimit -v``)."""

_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GLOG_minloglevel": "3",
    "TQDM_DISABLE": "1",
    # tf2onnx would copy the whole graph before each of its passes, to go on where one fails: 11 GB instead of 5.
    "TF2ONNX_CATCH_ERRORS": "FALSE",
}

_NOWHERE = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
"""Never closed: a log handler that a library creates while it is silenced goes on writing there."""


def library(name: str, *, extra: str) -> Any:
    """Import an optional library.

    Parameters
    ----------
    name : str
    extra : str
        The extra of this distribution that installs it.

    Returns
    -------
    module : module

    Raises
    ------
    TmgcError
        It is not installed, or a limit leaves it too little memory.
    """
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    if name in ("tensorflow", "keras") and has_tensorflow() and "tensorflow" not in sys.modules:
        require_memory(TENSORFLOW_MB)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if is_lack_of_memory(error):
            raise
        raise TmgcError(
            f"{name.partition('.')[0]} is needed and cannot be imported ({error}): {pip_install_extra(extra)}"
        ) from error


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed: with another backend, Keras trains without it."""
    return find_spec("tensorflow") is not None


def load_keras_model(path: Path) -> Any:
    """Load a Keras model for inference.

    Parameters
    ----------
    path : Path

    Returns
    -------
    model : keras.Model
        Not compiled.

    Raises
    ------
    TmgcError
        Keras cannot read it.
    """
    keras = library("keras", extra="train")
    try:
        return keras.models.load_model(path, compile=False)
    except (ValueError, OSError, TypeError, KeyError, BadZipFile) as error:
        raise TmgcError(f"{path} cannot be read as a Keras model ({first_line(error)}). Run: tmgc-train fit") from error


def predict_in_batches(network: Any, inputs: NDArray[Any], *, batch_size: int = 32) -> NDArray[np.float32]:
    """Outputs of a Keras model, batch by batch.

    JAX compiles a network anew for every size of a batch: there the last batch is padded.

    Parameters
    ----------
    network : keras.Model
    inputs : np.ndarray [shape=(n, ...)], n > 0
    batch_size : int > 0

    Returns
    -------
    outputs : np.ndarray [shape=(n, ...)], float32
    """
    keras = library("keras", extra="train")
    if keras.config.backend() == "jax":
        count = -(-len(inputs) // batch_size) * batch_size
        padded = np.concatenate([inputs, np.repeat(inputs[-1:], count - len(inputs), axis=0)])
    else:
        padded = inputs
    outputs = [
        np.asarray(network.predict_on_batch(padded[first : first + batch_size]), np.float32)
        for first in range(0, len(padded), batch_size)
    ]
    return np.concatenate(outputs)[: len(inputs)]


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of the distributions, by name; those that are not installed are left out."""
    found = {"python": python_version()}
    for distribution in distributions:
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def silence() -> Iterator[None]:
    """Discard what libraries print, log and warn about, native code included; their errors are raised as ever."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(_NOWHERE),
            redirect_stderr(_NOWHERE),
            silence_native_stderr(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)

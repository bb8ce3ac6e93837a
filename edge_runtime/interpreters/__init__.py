"""Exported model files behind one protocol, whichever library runs them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, UntrustedModelError, first_line, pip_install, shortened
from edge_runtime.model_card import ModelCard
from edge_runtime.system_info import usable_cores

SUFFIXES = (".tflite", ".onnx")
"""File name endings of the formats that can be opened."""


class Engine(NamedTuple):
    """A library that runs model files."""

    module: str
    """What is imported."""
    distribution: str
    """What is installed."""
    suffix: str
    """File name ending of the format that it runs."""
    last_resort: bool = False
    """Whether it is taken only where there is no other: it needs half a gigabyte."""

    @property
    def installed(self) -> bool:
        """Whether its package can be found; nothing is imported."""
        return find_spec(self.module.partition(".")[0]) is not None

    @property
    def version(self) -> str | None:
        """Of what is installed; None where nothing is, or under another name: TensorFlow has several."""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return None


ENGINES = {
    "litert": Engine("ai_edge_litert.interpreter", "ai-edge-litert", ".tflite"),
    "tflite-runtime": Engine("tflite_runtime.interpreter", "tflite-runtime", ".tflite"),
    "tensorflow": Engine("tensorflow.lite.python.interpreter", "tensorflow", ".tflite", last_resort=True),
    "onnxruntime": Engine("onnxruntime", "onnxruntime", ".onnx"),
    "openvino": Engine("openvino", "openvino", ".onnx"),
}
"""By name, in order of preference."""

AUTO = "auto"
"""In place of a name: the fastest that is right here, as :mod:`edge_runtime.engine_choice` finds out."""

ModelInput = NDArray[np.uint8] | NDArray[np.float32]
"""An image ``[shape=(image_height, image_width, channels)], uint8``, or a waveform
``[shape=(window_samples,)], float32``."""

MAX_THREADS = 64
"""More than any board has; with thousands, the libraries abort the process."""


class TensorInfo(NamedTuple):
    """An input or output tensor of a model."""

    name: str
    type: str
    """``uint8``, ``float32`` ..."""
    shape: tuple[int | str, ...]
    """A name instead of a number is a dynamic dimension."""


class Interpreter(Protocol):
    """A loaded model file; not thread-safe."""

    path: Path
    card: ModelCard
    input: TensorInfo
    output: TensorInfo
    runtime: str
    """Name and version of the library, e.g. ``ai-edge-litert 2.3.0``."""
    threads: int

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        """Run the model on one window.

        Parameters
        ----------
        model_input : np.ndarray
            ``[shape=card.input_shape]``: by ``card.input_kind`` an image, uint8, or a waveform, float32 in [-1, 1].

        Returns
        -------
        probabilities : np.ndarray [shape=(n_genres,)], float32 in [0, 1]
        """


def open_interpreter(path: str | Path, *, threads: int | None = None, engine: str | None = None) -> Interpreter:
    """Load an exported model file.

    Parameters
    ----------
    path : str or Path
        A ``.tflite`` or ``.onnx`` file of ``tmgc-export``.
    threads : int > 0, optional
        :func:`default_threads` if None.
    engine : str, optional
        One of :func:`installed_engines`; the first if None.

    Returns
    -------
    interpreter : Interpreter

    Raises
    ------
    TmgcError
        The file is missing, truncated, changed since its export or without a model card, or no installed library can
        run it.
    """
    path, threads = Path(path), default_threads() if threads is None else threads
    check_file(path)
    check_threads(threads)
    if engine is not None and engine not in installed_engines(path):
        installed = ", ".join(installed_engines(path)) or "none"
        raise TmgcError(
            f"an engine that runs {path.suffix} files is one of those installed ({installed}), got {engine}"
        )
    if path.suffix == ".tflite":
        from edge_runtime.interpreters.litert import LiteRTInterpreter

        return LiteRTInterpreter(path, threads=threads, engine=engine)
    if (engine or first_engine(path)) == "openvino":
        from edge_runtime.interpreters.openvino import OpenVinoInterpreter

        return OpenVinoInterpreter(path, threads=threads)
    from edge_runtime.interpreters.onnx import OnnxInterpreter

    return OnnxInterpreter(path, threads=threads)


def check_file(path: Path) -> None:
    """Check what can be known before a file is read.

    Raises
    ------
    TmgcError
        There is no such file, or it has another format.
    """
    if path.suffix not in SUFFIXES:
        raise TmgcError(f"a model file ends in {' or '.join(SUFFIXES)}: got {path}. Make one with tmgc-export")
    if not path.is_file():
        raise TmgcError(f"a model file must exist: there is no file {path}. Make one with tmgc-export")


def check_threads(threads: int) -> None:
    """Check a number of threads.

    Raises
    ------
    TmgcError
        It is below 1 or above :data:`MAX_THREADS`.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise TmgcError(f"threads must be at least 1 and at most {MAX_THREADS}, got {threads}")


def check_engine(name: str) -> None:
    """Check the name of an engine that a user has given.

    Raises
    ------
    TmgcError
        It is neither :data:`AUTO` nor one of :data:`ENGINES`, those of last resort left out.
    """
    names = [AUTO, *(each for each, engine in ENGINES.items() if not engine.last_resort)]
    if name not in names:
        raise TmgcError(f"an engine must be one of {', '.join(names)}: got {name}")


def refused_engine(name: str, files: Iterable[Path]) -> TmgcError:
    """The error of an engine that is not installed, or does not run any of some files."""
    library, files = ENGINES[name], list(files)
    runs = any(file.suffix == library.suffix for file in files)
    advice = f"Install it: {pip_install(library.distribution)}" if runs else f"Take a {library.suffix} file"
    reason = f"an engine must be installed, and run the file: {name} does not run {files[0]}"
    return TmgcError(f"{reason}. {advice}; or leave --engine out")


def installed_engines(path: Path) -> list[str]:
    """Names of the installed libraries of :data:`ENGINES` that run a file of this kind, in order of preference.

    One of last resort is none of them.
    """
    return [
        name
        for name, engine in ENGINES.items()
        if engine.suffix == path.suffix and not engine.last_resort and engine.installed
    ]


def first_engine(path: Path) -> str | None:
    """The first of :func:`installed_engines`; None where there is none."""
    return next(iter(installed_engines(path)), None)


def engine_of(interpreter: Interpreter) -> str | None:
    """The name in :data:`ENGINES` of what runs a model; None for what is not in it."""
    distribution, _, _ = interpreter.runtime.partition(" ")
    return next((name for name, engine in ENGINES.items() if engine.distribution == distribution), None)


def default_threads() -> int:
    """All usable cores but one, which is left to the audio; between 1 and 4."""
    return min(4, max(1, usable_cores() - 1))


def check_signature(
    path: Path, card: ModelCard, inputs: Iterable[TensorInfo], outputs: Iterable[TensorInfo]
) -> tuple[TensorInfo, TensorInfo]:
    """Compare a model's input and output with its card.

    Parameters
    ----------
    path : Path
        The model file, for the message.
    card : ModelCard
    inputs, outputs : iterable of TensorInfo
        Of the model.

    Returns
    -------
    model_input, model_output : TensorInfo

    Raises
    ------
    TmgcError
        The card describes another image or waveform, or another number of genres; or the model takes several windows
        at once.
    """
    expected_input = ("uint8" if card.input_kind == "image" else "float32", card.input_shape)
    expected_output = ("float32", (len(card.genres),))
    found = *inputs, *outputs
    if [_of_one_window(tensor) for tensor in found] != [expected_input, expected_output]:
        raise UntrustedModelError(
            f"a model must match its card: {path} has {shortened([_of_one_window(tensor) for tensor in found])}, its "
            f"card describes the input {expected_input} and the output {expected_output}. Export it again with "
            "tmgc-export"
        )
    return found[0], found[1]


def _of_one_window(tensor: TensorInfo) -> tuple[str, tuple[int | str, ...]]:
    """Type and shape of a tensor without its first dimension, if that can be one window."""
    of_one = tensor.shape[:1] == (1,) or not all(isinstance(size, int) for size in tensor.shape[:1])
    return tensor.type, tensor.shape[1:] if of_one else tensor.shape


def utf8_path(path: Path) -> str:
    """A path for a library that is written in C++ and takes UTF-8, whatever the locale."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def failed_load(path: Path, runtime: str, error: Exception) -> UntrustedModelError:
    """The error of an ``.onnx`` file with a card that a library does not load."""
    library, _, _ = runtime.partition(" ")
    return UntrustedModelError(
        f"{path} cannot be run by {runtime} ({first_line(error)}): it may be truncated, or made for a newer runtime. "
        f"Copy it again, or update with: {pip_install('--upgrade', library)}"
    )


def failed_run(path: Path, runtime: str, error: Exception) -> UntrustedModelError:
    """The error of a model that was loaded and cannot be run."""
    reason = f"{path} cannot be run by {runtime} ({first_line(error)})"
    return UntrustedModelError(f"{reason}: it is damaged. Copy or export it again")

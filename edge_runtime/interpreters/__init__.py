"""Exported model files behind one protocol, so that nothing above knows which interpreter runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard

SUFFIXES = (".tflite", ".onnx")
"""Names of the model files that can be opened."""

ModelInput = NDArray[np.uint8] | NDArray[np.float32]
"""A picture or a waveform."""

MOST_THREADS = 64
"""More than any board has; thousands end the process instead of an error."""


class TensorInfo(NamedTuple):
    """What a model takes or gives."""

    name: str
    type: str
    """``uint8``, ``float32`` ..."""
    shape: tuple[int | str, ...]
    """A name stands for any size."""


class Interpreter(Protocol):
    """A loaded model file. One thread at a time may call it."""

    card: ModelCard
    input: TensorInfo
    output: TensorInfo
    runtime: str
    """Name and version of the library that runs it, e.g. ``ai-edge-litert 2.3.0``."""
    threads: int

    def invoke(self, taken: ModelInput) -> NDArray[np.float32]:
        """Probabilities of one window.

        Parameters
        ----------
        taken : np.ndarray
            What the card says that the file takes: a picture ``[shape=(image_height, image_width, 3)], uint8``, or a
            waveform ``[shape=(window_samples,)], float32 in [-1, 1]``.

        Returns
        -------
        probabilities : np.ndarray [shape=(n_genres,)], float32 in [0, 1]
        """


def open_interpreter(path: str | Path, *, threads: int | None = None) -> Interpreter:
    """Load an exported model file.

    Parameters
    ----------
    path : str or Path
        A ``.tflite`` or ``.onnx`` file that ``tmgc-export`` made.
    threads : int > 0, optional
        All cores but one by default, and at most four: the last one is left to the audio.

    Raises
    ------
    TmgcError
        The file is missing, truncated, without a card, or no installed interpreter can run it.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise TmgcError(f"a model file ends in {' or '.join(SUFFIXES)}: got {path}. Make one with tmgc-export")
    if not path.is_file():
        raise TmgcError(f"a model file must exist: there is no file {path}. Make one with tmgc-export")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise TmgcError(f"threads must be at least 1 and at most {MOST_THREADS}, got {threads}")
    threads = threads or default_threads()
    if path.suffix == ".tflite":
        from edge_runtime.interpreters.litert import LiteRTInterpreter

        return LiteRTInterpreter(path, threads=threads)
    from edge_runtime.interpreters.onnx import OnnxInterpreter

    return OnnxInterpreter(path, threads=threads)


def default_threads() -> int:
    """All the cores that this process may use but one, at least one and at most four."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return min(4, max(1, cores - 1))


def check_signature(path: Path, card: ModelCard, taken: TensorInfo, given: TensorInfo) -> None:
    """Hold a model's input and output against its card.

    Raises
    ------
    TmgcError
        The card promises another picture or waveform, or another number of genres.
    """
    settings = card.spectrogram
    expected_type, expected = {
        "image": ("uint8", (settings.image_height, settings.image_width, 3)),
        "waveform": ("float32", (settings.window_samples,)),
    }[card.input_kind]
    if (taken.type, taken.shape[1:], given.shape[-1]) != (expected_type, expected, len(card.genres)):
        raise TmgcError(
            f"{path}: its card promises a {card.input_kind}, {expected_type} of {expected}, and {len(card.genres)} "
            f"genres, the model takes {taken.type} of {taken.shape[1:]} and gives {given.shape[-1]}: export it again "
            "with tmgc-export"
        )

"""Exported model files behind one protocol, so that nothing above knows which interpreter runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError

SUFFIXES = (".tflite", ".onnx")
"""Names of the model files that can be opened."""


MOST_THREADS = 64
"""More than any board has; thousands end the process instead of an error."""


class Interpreter(Protocol):
    """A loaded model file. One thread at a time may call it."""

    card: ModelCard
    runtime: str
    """Name and version of the library that runs it, e.g. ``ai-edge-litert 2.3.0``."""
    threads: int

    def invoke(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of one picture.

        Parameters
        ----------
        picture : np.ndarray [shape=(image_height, image_width, 3)], uint8

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


def check_signature(path: Path, card: ModelCard, *, taken: tuple[int, ...], taken_type: str, given: int) -> None:
    """Hold a model's input and output against its card.

    Parameters
    ----------
    path : Path
    card : ModelCard
    taken, taken_type : shape without the batch axis, and name of the type, of the model's input
    given : int
        Number of the model's outputs.
    """
    settings = card.spectrogram
    expected = (settings.image_height, settings.image_width, 3)
    if taken != expected or taken_type != "uint8" or given != len(card.genres):
        raise TmgcError(
            f"{path}: its card promises uint8 pictures of {expected} and {len(card.genres)} genres, the model takes "
            f"{taken_type} of {taken} and gives {given}: export it again with tmgc-export"
        )

"""Two seconds of sound to the probabilities of the genres, by an exported model file."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.interpreters import Interpreter, open_interpreter
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram


class Classification(NamedTuple):
    """What a classifier says of one window, and how long it took to say it."""

    probabilities: NDArray[np.float32]
    """``[shape=(n_genres,)], float32 in [0, 1]``, after the card's temperature; they add up to 1."""
    spectrogram_ms: float
    """About 0 where the file takes the sound itself: the spectrogram is then part of the model."""
    model_ms: float


class GenreClassifier:
    """An exported model that names the genre of two seconds of sound.

    Parameters
    ----------
    interpreter : Interpreter

    Examples
    --------
    >>> classifier = GenreClassifier.open("demo.int8.tflite")          # doctest: +SKIP
    >>> classifier.classify(samples).probabilities                     # doctest: +SKIP
    """

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self.card: ModelCard = interpreter.card
        self.runtime = interpreter.runtime
        self.threads = interpreter.threads
        self.spectrogram = Spectrogram(self.card.spectrogram, self.card.colormap_array)

    @classmethod
    def open(cls, path: str | Path, *, threads: int | None = None) -> GenreClassifier:
        """Load a ``.tflite`` or ``.onnx`` file.

        Parameters
        ----------
        path : str or Path
        threads : int > 0, optional
            All cores but one by default, and at most four.

        Raises
        ------
        TmgcError
            The file is missing, truncated, without a card, or no installed interpreter can run it.
        """
        return cls(open_interpreter(path, threads=threads))

    def classify(self, samples: Samples, *, inner_power: NDArray[np.float32] | None = None) -> Classification:
        """Probabilities of one window of sound.

        Parameters
        ----------
        samples : np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
            Mono, at ``card.spectrogram.sample_rate``.
        inner_power : np.ndarray [shape=(inner_frames, n_mels)], float32 >= 0, optional
            Of a window of a stream, whose inner frames are known already.
        """
        begun = perf_counter()
        taken = samples if self.card.input_kind == "waveform" else self.spectrogram.image(samples, inner_power)
        pictured = perf_counter()
        probabilities = with_temperature(self._interpreter.invoke(taken), self.card.temperature)
        done = perf_counter()
        return Classification(probabilities, (pictured - begun) * 1e3, (done - pictured) * 1e3)

    def classify_image(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities of one picture.

        Parameters
        ----------
        picture : np.ndarray [shape=(image_height, image_width, 3)], uint8

        Returns
        -------
        probabilities : np.ndarray [shape=(n_genres,)], float32 in [0, 1]

        Raises
        ------
        ValueError
            The file takes the sound itself and draws its own picture.
        """
        if self.card.input_kind != "image":
            raise ValueError(
                f"expected a file that takes a picture, got one that takes a {self.card.input_kind}: classify"
            )
        return with_temperature(self._interpreter.invoke(picture), self.card.temperature)


def with_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities as they would be had their logits been divided by the temperature (Guo et al. 2017).

    Parameters
    ----------
    probabilities : np.ndarray [shape=(..., n_genres)], float32 in [0, 1]
    temperature : float > 0
    """
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.maximum(probabilities, np.float32(1e-30))) / np.float32(temperature)
    scaled = np.exp(logits - logits.max(axis=-1, keepdims=True))
    tempered: NDArray[np.float32] = scaled / scaled.sum(axis=-1, keepdims=True)
    return tempered

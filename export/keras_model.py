"""The trained network: what every export is made of and compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError
from export.front_end import picture_of
from export.libraries import library
from train.libraries import load_keras_model

OUTPUT_NAME = "probabilities"
"""The file's output: float32 ``[shape=(batch, n_genres)]``."""

_BATCH = 32


class KerasModel:
    """A network, traced once for its answers and for its export.

    Parameters
    ----------
    path : Path
        A ``model.keras``.
    network : keras.Model, optional
        What has been made of the file, where it is more than to load it.

    Raises
    ------
    TmgcError
        There is no such file, Keras cannot read it, or it does not take pixels.
    """

    def __init__(self, path: Path, network: Any = None) -> None:
        if not path.is_file():
            raise TmgcError(f"a trained run holds {path.name}: there is none in {path.parent}. Run: tmgc-train fit")
        tensorflow, keras = library("tensorflow"), library("keras")
        model = network or load_keras_model(path)
        self.path = path
        shape = tuple(model.input_shape[1:])
        taken = keras.backend.standardize_dtype(model.inputs[0].dtype)
        if taken != "uint8" or len(shape) != 3 or None in shape:
            raise TmgcError(f"{path} must take uint8 pictures of one size, it takes {taken} of {shape}: train it again")
        self._model = model
        signature = tensorflow.TensorSpec((None, *shape), tensorflow.uint8, name="picture")
        self._serve = tensorflow.function(
            lambda picture: {OUTPUT_NAME: model(picture, training=False)}, input_signature=[signature], autograph=False
        )

    def probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Keras' answers.

        Parameters
        ----------
        pictures : np.ndarray [shape=(n, image_height, image_width, 3)], uint8

        Returns
        -------
        probabilities : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
        """
        batches = [pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH)]
        return np.concatenate([self._serve(batch)[OUTPUT_NAME].numpy() for batch in batches])

    def check_fits(self, card: ModelCard) -> None:
        """Hold the network's input and output against a card.

        Raises
        ------
        TmgcError
            It takes pictures of another size, or gives another number of genres.
        """
        wanted = (card.spectrogram.image_height, card.spectrogram.image_width, 3)
        taken, given = tuple(self._model.input_shape[1:]), self._model.output_shape
        if taken != wanted or given != (None, len(card.genres)):
            raise TmgcError(
                f"a network must fit its spectrogram settings and its genres, {wanted} and {len(card.genres)}: "
                f"{self.path} takes {taken} and gives {given[1:]}. Correct them, or train it again"
            )

    def save(self, folder: Path, card: ModelCard) -> None:
        """Write the network as a SavedModel with one signature, which takes what the card says.

        ``keras.Model.export`` writes the same in four times the time, since it traces and tracks every layer.
        """
        tensorflow = library("tensorflow")
        serve = self._serve_waveform(card) if card.takes == "waveform" else self._serve
        module: Any = tensorflow.Module()
        module.variables_to_save = [variable.value for variable in self._model.variables]
        module.serve = serve
        tensorflow.saved_model.save(module, str(folder), signatures={"serving_default": serve})

    def _serve_waveform(self, card: ModelCard) -> Any:
        """The network behind its spectrogram, one window at a time."""
        tensorflow, settings = library("tensorflow"), card.spectrogram
        signature = tensorflow.TensorSpec((1, settings.window_samples), tensorflow.float32, name="waveform")

        def serve(waveform: Any) -> dict[str, Any]:
            return {OUTPUT_NAME: self._model(picture_of(waveform, settings, card.palette_array), training=False)}

        return tensorflow.function(serve, input_signature=[signature], autograph=False)

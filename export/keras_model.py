"""The trained network: what every export is made of and compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from export.libraries import library
from train.libraries import load_keras_model

INPUT_NAME = "picture"
"""The file's input: uint8 ``[shape=(batch, image_height, image_width, 3)]``."""

OUTPUT_NAME = "probabilities"
"""The file's output: float32 ``[shape=(batch, n_genres)]``."""

_BATCH = 32


class KerasModel:
    """A ``model.keras``, traced once for its answers and for its export.

    Parameters
    ----------
    path : Path

    Raises
    ------
    TmgcError
        There is no such file, Keras cannot read it, or it does not take pixels.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise TmgcError(f"a trained run holds {path.name}: there is none in {path.parent}. Run: tmgc-train fit")
        tensorflow, keras = library("tensorflow"), library("keras")
        model = load_keras_model(path)
        shape = tuple(model.input_shape[1:])
        taken = keras.backend.standardize_dtype(model.inputs[0].dtype)
        if taken != "uint8" or len(shape) != 3 or None in shape:
            raise TmgcError(f"{path} must take uint8 pictures of one size, it takes {taken} of {shape}: train it again")
        self.variables = [variable.value for variable in model.variables]
        signature = tensorflow.TensorSpec((None, *shape), tensorflow.uint8, name=INPUT_NAME)
        self.serve = tensorflow.function(
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
        return np.concatenate([self.serve(batch)[OUTPUT_NAME].numpy() for batch in batches])

    def save(self, folder: Path) -> None:
        """Write the network as a SavedModel with one signature.

        ``keras.Model.export`` writes the same in four times the time, since it traces and tracks every layer.
        """
        tensorflow = library("tensorflow")
        module: Any = tensorflow.Module()
        module.variables_to_save = self.variables
        module.serve = self.serve
        tensorflow.saved_model.save(module, str(folder), signatures={"serving_default": self.serve})

"""The graphs of one call, without cards: the float32 files are made once, and every recipe is made from them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export import onnx_file, tflite
from export.progress import Steps
from export.recipes import FLOAT32, Target


class Workshop:
    """A temporary folder in which files are made before they are known to be good.

    Parameters
    ----------
    folder : Path
        Empty.
    saved_model : Path
        The network as TensorFlow saves it.
    calibration : np.ndarray [shape=(n, image_height, image_width, 3)], uint8
        Pictures that the static recipes take their ranges from; may be empty where there is no such recipe.
    steps : Steps
    """

    def __init__(self, folder: Path, saved_model: Path, calibration: NDArray[np.uint8], steps: Steps) -> None:
        self.folder = folder
        self._saved_model = saved_model
        self._calibration = calibration
        self._steps = steps

    @cached_property
    def _float_tflite(self) -> Path:
        path = self.folder / "float32.tflite"
        with self._steps.step("Converting the network to TFLite"):
            tflite.convert(self._saved_model, path)
        return path

    @cached_property
    def _float_onnx(self) -> Path:
        source, path = self._float_tflite, self.folder / "float32.onnx"
        with self._steps.step("Converting the TFLite network to ONNX"):
            onnx_file.convert(source, path)
        return path

    def graph(self, target: Target) -> Path:
        """The file of a target as the converter or the quantiser leaves it."""
        converter = tflite if target.format.name == "tflite" else onnx_file
        float_file = self._float_tflite if target.format.name == "tflite" else self._float_onnx
        if target.recipe == FLOAT32:
            return float_file
        path = self.folder / f"{target.recipe.name}{target.format.suffix}"
        pictures = f" with {len(self._calibration)} calibration pictures" if target.recipe.calibrated else ""
        if not path.exists():
            with self._steps.step(f"Quantising {target}{pictures}"):
                converter.quantize(float_file, target.recipe, self._calibration, path)
        return path

"""The graphs of one call, without cards: the float32 files are made once, and every recipe is made from them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from edge_runtime.interpreters import ModelInput
from export import onnx_file, tflite
from export.options import GraphOptions
from export.progress import Steps
from export.recipes import FLOAT32, Target

_TO_TFLITE = "Converting the network to TFLite"
_TO_ONNX = "Converting the TFLite network to ONNX"


class Workshop:
    """A temporary folder in which files are made before they are known to be good.

    Parameters
    ----------
    folder : Path
        Empty.
    saved_model : Path
        The network as TensorFlow saves it.
    calibration : np.ndarray [shape=(n, ...)]
        Pictures or waveforms that the static recipes take their ranges from.
    steps : Steps
    options : GraphOptions
    """

    def __init__(
        self,
        folder: Path,
        saved_model: Path,
        calibration: ModelInput,
        steps: Steps,
        options: GraphOptions = GraphOptions(),
    ) -> None:
        self.folder, self._options = folder, options
        self._saved_model = saved_model
        self._calibration = calibration
        self._steps = steps

    @cached_property
    def float_tflite(self) -> Path:
        """The float32 TFLite file, which all others are made from."""
        path = self.folder / "float32.tflite"
        with self._steps.step(_TO_TFLITE):
            tflite.convert(self._saved_model, path)
        return path

    @cached_property
    def _float_onnx(self) -> Path:
        source, path = self.float_tflite, self.folder / "float32.onnx"
        with self._steps.step(_TO_ONNX):
            onnx_file.convert(source, path, self._options)
        return path

    def graph(self, target: Target) -> Path:
        """The file of a target as the converter or the quantiser leaves it."""
        converter = tflite if target.format.name == "tflite" else onnx_file
        float_file = self.float_tflite if target.format.name == "tflite" else self._float_onnx
        if target.recipe == FLOAT32:
            return float_file
        path = self.folder / f"{target.recipe.name}{target.format.suffix}"
        if not path.exists():
            with self._steps.step(self._quantising(target)):
                converter.quantize(float_file, target.recipe, self._calibration, path, self._options)
        return path

    def seconds(self, target: Target) -> float:
        """How long all the steps took that the file of a target needs, those that it shares with others included."""
        needed = [_TO_TFLITE, self._quantising(target)] + ([_TO_ONNX] if target.format.name == "onnx" else [])
        return sum(self._steps.seconds.get(step, 0.0) for step in needed)

    def _quantising(self, target: Target) -> str:
        clips = f" with {len(self._calibration)} calibration clips" if target.recipe.calibrated else ""
        return f"Quantising {target}{clips}"

"""ONNX files: from the float32 TFLite file to float32, and from there to each of the recipes.

The TFLite converter has by then folded batch normalisation and scaling into the convolutions, so tf2onnx has a third of
the graph to deal with, and needs half of its passes.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.canonical import canonical
from export.keras_model import INPUT_NAME, OUTPUT_NAME
from export.libraries import library
from export.recipes import DYNAMIC, ONNX_OPSET, Recipe

_PASSES = (
    "TransposeOptimizer",
    "ConstFoldOptimizer",
    "MergeDuplicatedNodesOptimizer",
    "GlobalPoolOptimizer",
    "IdentityOptimizer",
    "BackToBackOptimizer",
)
"""The passes of tf2onnx that change such a graph; ONNX Runtime does the rest when it loads the file."""


def convert(float_tflite: Path, destination: Path) -> None:
    """Convert a float32 TFLite file to a float32 ONNX file with any batch size.

    Parameters
    ----------
    float_tflite : Path
    destination : Path
    """
    onnx = library("onnx")
    tfonnx, optimizer = library("tf2onnx.tfonnx"), library("tf2onnx.optimizer")
    graph = tfonnx.process_tf_graph(
        None, tflite_path=str(float_tflite), opset=ONNX_OPSET, tensors_to_rename=_names(float_tflite)
    )
    passes = OrderedDict((name, getattr(optimizer, name)) for name in _PASSES)
    graph = optimizer.optimize_graph(graph, catch_errors=False, optimizers=passes)
    model = canonical(graph.make_model("tmgc"))
    # The graph refers to itself and keeps a copy of the weights from each pass: 4 GB that are wanted back now.
    del graph
    gc.collect()
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model)
    destination.write_bytes(model.SerializeToString(deterministic=True))


def _names(float_tflite: Path) -> dict[str, str]:
    interpreter = library("ai_edge_litert.interpreter").Interpreter(model_path=str(float_tflite))
    taken, given = interpreter.get_input_details()[0]["name"], interpreter.get_output_details()[0]["name"]
    return {taken: INPUT_NAME, given: OUTPUT_NAME}


def quantize(float_file: Path, recipe: Recipe, calibration: NDArray[np.uint8], destination: Path) -> None:
    """Quantise a float32 ONNX file. Its input stays uint8, its output float32.

    The softmax and the first convolution stay in float, for the reasons that :func:`export.tflite.quantize` has. Here
    the mean error fell to a third in dynamic and to two thirds in static int8.

    Parameters
    ----------
    float_file : Path
    recipe : Recipe
        Not float32.
    calibration : np.ndarray [shape=(n, image_height, image_width, 3)], uint8
        Used by static int8 only.
    destination : Path
    """
    quantization = library("onnxruntime.quantization")
    prepared = destination.with_suffix(".prepared.onnx")
    library("onnxruntime.quantization.shape_inference").quant_pre_process(
        str(float_file), str(prepared), skip_symbolic_shape=True
    )
    if recipe == DYNAMIC:
        # ONNX Runtime's dynamic convolution is twice as fast with unsigned weights as with signed ones, and nearer.
        quantization.quantize_dynamic(
            prepared,
            destination,
            per_channel=True,
            weight_type=quantization.QuantType.QUInt8,
            nodes_to_exclude=_kept_float(prepared),
        )
    else:
        _quantize_static(prepared, calibration, destination)
    prepared.unlink()
    library("onnx").checker.check_model(str(destination))


def _quantize_static(prepared: Path, calibration: NDArray[np.uint8], destination: Path) -> None:
    quantization = library("onnxruntime.quantization")
    quantization.quantize_static(
        prepared,
        destination,
        _reader(calibration),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=_kept_float(prepared),
    )


def _kept_float(file: Path) -> list[str]:
    nodes = library("onnx").load(str(file)).graph.node
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    return [node.name for node in nodes if node.op_type == "Softmax"] + convolutions[:1]


def _reader(pictures: NDArray[np.uint8]) -> Any:
    class Reader(library("onnxruntime.quantization").CalibrationDataReader):  # type: ignore[misc]  # not typed
        def __init__(self) -> None:
            self._pictures: Iterator[NDArray[np.uint8]] = iter(pictures)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            picture = next(self._pictures, None)
            return None if picture is None else {INPUT_NAME: picture[np.newaxis]}

    return Reader()

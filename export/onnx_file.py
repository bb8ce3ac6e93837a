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

from edge_runtime.interpreters import ModelInput
from export.canonical import canonical
from export.front_end import SCOPE
from export.keras_model import OUTPUT_NAME
from export.libraries import library
from export.options import GraphOptions, kept_float
from export.recipes import DYNAMIC, Recipe

_PASSES = (
    "TransposeOptimizer",
    "ConstFoldOptimizer",
    "MergeDuplicatedNodesOptimizer",
    "GlobalPoolOptimizer",
    "IdentityOptimizer",
    "BackToBackOptimizer",
)
"""The passes of tf2onnx that change such a graph; ONNX Runtime does the rest when it loads the file."""


def convert(float_tflite: Path, destination: Path, options: GraphOptions = GraphOptions()) -> None:
    """Convert a float32 TFLite file to a float32 ONNX file.

    Parameters
    ----------
    float_tflite : Path
    destination : Path
    options : GraphOptions
    """
    onnx = library("onnx")
    tfonnx, optimizer = library("tf2onnx.tfonnx"), library("tf2onnx.optimizer")
    graph = tfonnx.process_tf_graph(
        None, tflite_path=str(float_tflite), opset=options.opset, tensors_to_rename=_names(float_tflite, options.takes)
    )
    passes = OrderedDict((name, getattr(optimizer, name)) for name in _PASSES)
    graph = optimizer.optimize_graph(graph, catch_errors=False, optimizers=passes)
    model = canonical(graph.make_model("tmgc"))
    # The graph refers to itself and keeps a copy of the weights from each pass: 4 GB that are wanted back now.
    del graph
    gc.collect()
    for value in (model.graph.input[0], model.graph.output[0]):
        batch = value.type.tensor_type.shape.dim[0]
        if options.batch == "dynamic":
            batch.dim_param = "batch"
        else:
            batch.dim_value = 1
    onnx.checker.check_model(model)
    destination.write_bytes(model.SerializeToString(deterministic=True))


def _names(float_tflite: Path, input_name: str) -> dict[str, str]:
    interpreter = library("ai_edge_litert.interpreter").Interpreter(model_path=str(float_tflite))
    taken, given = interpreter.get_input_details()[0]["name"], interpreter.get_output_details()[0]["name"]
    return {taken: input_name, given: OUTPUT_NAME}


def quantize(
    float_file: Path,
    recipe: Recipe,
    calibration: ModelInput,
    destination: Path,
    options: GraphOptions = GraphOptions(),
) -> None:
    """Quantise a float32 ONNX file. Its input and its output stay as they are, and so does its spectrogram.

    The softmax and the first convolution stay in float, for the reasons that :func:`export.tflite.quantize` has. Here
    the mean error fell to a third in dynamic and to two thirds in static int8.

    Parameters
    ----------
    float_file : Path
    recipe : Recipe
        Not float32.
    calibration : np.ndarray [shape=(n, ...)]
        Of what the file takes; used by static int8 only.
    destination : Path
    options : GraphOptions

    Raises
    ------
    TmgcError
        A pattern of ``keep_float`` fits no operator.
    """
    quantization = library("onnxruntime.quantization")
    prepared = destination.with_suffix(".prepared.onnx")
    library("onnxruntime.quantization.shape_inference").quant_pre_process(
        str(float_file), str(prepared), skip_symbolic_shape=True
    )
    excluded = _kept_float(prepared, options)
    if recipe == DYNAMIC:
        # ONNX Runtime's dynamic convolution is twice as fast with unsigned weights as with signed ones, and nearer.
        quantization.quantize_dynamic(
            prepared,
            destination,
            per_channel=True,
            weight_type=quantization.QuantType.QUInt8,
            nodes_to_exclude=excluded,
        )
    else:
        _quantize_static(prepared, _reader(calibration, options.takes), destination, excluded)
    prepared.unlink()
    library("onnx").checker.check_model(str(destination))


def _quantize_static(prepared: Path, reader: Any, destination: Path, excluded: list[str]) -> None:
    quantization = library("onnxruntime.quantization")
    quantization.quantize_static(
        prepared,
        destination,
        reader,
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=excluded,
    )


def _kept_float(file: Path, options: GraphOptions) -> list[str]:
    nodes = library("onnx").load(str(file)).graph.node
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    softmax = [node.name for node in nodes if node.op_type == "Softmax"]
    front_end = [node.name for node in nodes if node.name.startswith(f"{SCOPE}/")]
    kept = softmax + convolutions[:1] + front_end + kept_float(options.keep_float, [node.name for node in nodes])
    # The dynamic quantiser first splits each Gemm in two, under names of its own.
    return kept + [f"{name}_MatMul" for name in kept]


def _reader(calibration: ModelInput, input_name: str) -> Any:
    class Reader(library("onnxruntime.quantization").CalibrationDataReader):  # type: ignore[misc]  # not typed
        def __init__(self) -> None:
            self._taken: Iterator[ModelInput] = iter(calibration)

        def get_next(self) -> dict[str, ModelInput] | None:
            taken = next(self._taken, None)
            return None if taken is None else {input_name: taken[np.newaxis]}

    return Reader()

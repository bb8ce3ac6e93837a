"""ONNX files: from the float32 TFLite file to float32, and from there to each of the recipes.

The TFLite converter has by then folded batch normalisation and scaling into the convolutions, so tf2onnx has a third of
the graph to deal with, and needs half of its passes.
"""

from __future__ import annotations

import gc
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.interpreters import ModelInput
from export.frontend import OUTPUT_NAME, SCOPE
from export.recipes import DYNAMIC, GraphOptions, Recipe, kept_float
from train.libraries import library


def normalise_graph(model: Any) -> Any:
    """An equal model whose nodes stand in the order in which the output needs them, and are numbered by it.

    Parameters
    ----------
    model : onnx.ModelProto
        With one output, and without subgraphs.
    """
    nodes = _in_order(model.graph)
    constants = {item.name: item for item in model.graph.initializer}
    used = dict.fromkeys(name for node in nodes for name in node.input if name in constants)
    names = {item.name: item.name for item in (*model.graph.input, *model.graph.output)}
    for number, name in enumerate(used):
        names[name] = f"constant/{number}"
    for number, node in enumerate(nodes):
        node.name = f"{_bare(node.name)}/{number}"
        for place, output in enumerate(node.output):
            names.setdefault(output, f"{node.name}:{place}")
    return _renamed(model, nodes, [constants[name] for name in used], names)


def _renamed(model: Any, nodes: list[Any], constants: list[Any], names: dict[str, str]) -> Any:
    renamed = library("onnx", extra="export").ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = renamed.graph
    graph.name = model.graph.name
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    for constant in constants:
        graph.initializer.add().CopyFrom(constant)
        graph.initializer[-1].name = names[constant.name]
    for node in nodes:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [names.get(name, name) for name in node.input]
        copy.output[:] = [names[name] for name in node.output]
    return renamed


def _in_order(graph: Any) -> list[Any]:
    """Nodes by depth-first search from the output, each after those that it needs."""
    made_by = {output: node for node in graph.node for output in node.output}
    ordered: list[Any] = []
    placed: set[str] = set()
    waiting = [graph.output[0].name]
    while waiting:
        node = made_by.get(waiting[-1])
        needed = [] if node is None else [name for name in node.input if name in made_by and name not in placed]
        if needed:
            waiting.append(needed[0])
            continue
        waiting.pop()
        if node is not None and node.output[0] not in placed:
            ordered.append(node)
            placed.update(node.output)
    return ordered


def _bare(name: str) -> str:
    """A node's name without the numbers that tf2onnx has appended."""
    return re.sub(r"__\d+", "", name)


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
    onnx = library("onnx", extra="export")
    tfonnx, optimizer = library("tf2onnx.tfonnx", extra="export"), library("tf2onnx.optimizer", extra="export")
    graph = tfonnx.process_tf_graph(
        None,
        tflite_path=str(float_tflite),
        opset=options.opset,
        tensors_to_rename=_names(float_tflite, options.input_kind),
    )
    passes = OrderedDict((name, getattr(optimizer, name)) for name in _PASSES)
    graph = optimizer.optimize_graph(graph, catch_errors=False, optimizers=passes)
    model = normalise_graph(graph.make_model("tmgc"))
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
    interpreter = library("ai_edge_litert.interpreter", extra="export").Interpreter(model_path=str(float_tflite))
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
    quantization = library("onnxruntime.quantization", extra="export")
    prepared = destination.with_suffix(".prepared.onnx")
    library("onnxruntime.quantization.shape_inference", extra="export").quant_pre_process(
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
        _quantize_static(prepared, _reader(calibration, options.input_kind), destination, excluded)
    prepared.unlink()
    library("onnx", extra="export").checker.check_model(str(destination))


def _quantize_static(prepared: Path, reader: Any, destination: Path, excluded: list[str]) -> None:
    quantization = library("onnxruntime.quantization", extra="export")
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
    nodes = library("onnx", extra="export").load(str(file)).graph.node
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    softmax = [node.name for node in nodes if node.op_type == "Softmax"]
    front_end = [node.name for node in nodes if node.name.startswith(f"{SCOPE}/")]
    kept = softmax + convolutions[:1] + front_end + kept_float(options.keep_float, [node.name for node in nodes])
    # The dynamic quantiser first splits each Gemm in two, under names of its own.
    return kept + [f"{name}_MatMul" for name in kept]


def _reader(calibration: ModelInput, input_name: str) -> Any:
    class Reader(library("onnxruntime.quantization", extra="export").CalibrationDataReader):  # type: ignore[misc]  # not typed
        def __init__(self) -> None:
            self._taken: Iterator[ModelInput] = iter(calibration)

        def get_next(self) -> dict[str, ModelInput] | None:
            taken = next(self._taken, None)
            return None if taken is None else {input_name: taken[np.newaxis]}

    return Reader()

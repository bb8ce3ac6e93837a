"""ONNX files: from the float32 TFLite file to float32, and from float32 to each recipe.

The TFLite converter has already folded batch normalisation and scaling into the convolutions, so that tf2onnx receives
a third of the graph and needs half of its passes.
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
from export.recipes import DYNAMIC, GraphOptions, Recipe, match_operators
from train.libraries import library


def normalise_graph(model: Any) -> Any:
    """An equivalent model whose nodes are in topological order from the output and named by their position.

    tf2onnx names and orders nodes by hash values; after this, the same network gives the same bytes.

    Parameters
    ----------
    model : onnx.ModelProto
        With one output, and without subgraphs.
    """
    nodes = _topological_order(model.graph)
    constants = {item.name: item for item in model.graph.initializer}
    used = dict.fromkeys(name for node in nodes for name in node.input if name in constants)
    names = {item.name: item.name for item in (*model.graph.input, *model.graph.output)}
    names |= {name: f"constant/{number}" for number, name in enumerate(used)}
    for number, node in enumerate(nodes):
        # tf2onnx appends a counter to names
        node.name = f"{re.sub(r'__[0-9]+', '', node.name)}/{number}"
        for index, output in enumerate(node.output):
            names.setdefault(output, f"{node.name}:{index}")
    return _rename(model, nodes, [constants[name] for name in used], names)


def _rename(model: Any, nodes: list[Any], constants: list[Any], names: dict[str, str]) -> Any:
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


def _topological_order(graph: Any) -> list[Any]:
    """Nodes by depth-first search from the output, each after those whose outputs it uses."""
    producers = {output: node for node in graph.node for output in node.output}
    ordered: list[Any] = []
    placed: set[str] = set()
    stack = [graph.output[0].name]
    while stack:
        node = producers.get(stack[-1])
        missing = [] if node is None else [name for name in node.input if name in producers and name not in placed]
        if missing:
            stack.append(missing[0])
            continue
        stack.pop()
        if node is not None and node.output[0] not in placed:
            ordered.append(node)
            placed.update(node.output)
    return ordered


_PASSES = (
    "TransposeOptimizer",
    "ConstFoldOptimizer",
    "MergeDuplicatedNodesOptimizer",
    "GlobalPoolOptimizer",
    "IdentityOptimizer",
    "BackToBackOptimizer",
)
"""The passes of tf2onnx that change such a graph; ONNX Runtime does the others when it loads the file."""


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
        tensors_to_rename=_tensor_names(float_tflite, options.input_kind),
    )
    passes = OrderedDict((name, getattr(optimizer, name)) for name in _PASSES)
    graph = optimizer.optimize_graph(graph, catch_errors=False, optimizers=passes)
    model = normalise_graph(graph.make_model("tmgc"))
    # The graph has reference cycles and keeps a copy of the weights from each pass: 4 GB to free now.
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


def _tensor_names(float_tflite: Path, input_name: str) -> dict[str, str]:
    interpreter = library("ai_edge_litert.interpreter", extra="export").Interpreter(model_path=str(float_tflite))
    input_, output = interpreter.get_input_details()[0]["name"], interpreter.get_output_details()[0]["name"]
    return {input_: input_name, output: OUTPUT_NAME}


def quantize(
    float_file: Path,
    recipe: Recipe,
    calibration: ModelInput,
    destination: Path,
    options: GraphOptions = GraphOptions(),
) -> None:
    """Quantise a float32 ONNX file. Its input, its output and its spectrogram stay as they are.

    The softmax and the first convolution stay in float, for the reasons given in :func:`export.tflite.quantize`. Here
    that took the mean error to a third in dynamic and to two thirds in static int8.

    See Also
    --------
    export.tflite.quantize : the same parameters and errors
    """
    quantization = library("onnxruntime.quantization", extra="export")
    prepared = destination.with_suffix(".prepared.onnx")
    library("onnxruntime.quantization.shape_inference", extra="export").quant_pre_process(
        str(float_file), str(prepared), skip_symbolic_shape=True
    )
    excluded = _float_nodes(prepared, options)
    if recipe == DYNAMIC:
        # ONNX Runtime's dynamic convolution is twice as fast, and more exact, with unsigned weights than with signed.
        quantization.quantize_dynamic(
            prepared,
            destination,
            per_channel=True,
            weight_type=quantization.QuantType.QUInt8,
            nodes_to_exclude=excluded,
        )
    else:
        reader = _calibration_reader(calibration, options.input_kind)
        _quantize_static(prepared, reader, destination, excluded)
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


def _float_nodes(file: Path, options: GraphOptions) -> list[str]:
    """Names of the nodes that are not quantised."""
    nodes = library("onnx", extra="export").load(str(file)).graph.node
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    softmax = [node.name for node in nodes if node.op_type == "Softmax"]
    front_end = [node.name for node in nodes if node.name.startswith(f"{SCOPE}/")]
    kept = softmax + convolutions[:1] + front_end + match_operators(options.keep_float, [node.name for node in nodes])
    # The dynamic quantiser first splits each Gemm into a MatMul and an Add, with names of its own.
    return kept + [f"{name}_MatMul" for name in kept]


def _calibration_reader(calibration: ModelInput, input_name: str) -> Any:
    class Reader(library("onnxruntime.quantization", extra="export").CalibrationDataReader):  # type: ignore[misc]  # not typed
        def __init__(self) -> None:
            self._inputs: Iterator[ModelInput] = iter(calibration)

        def get_next(self) -> dict[str, ModelInput] | None:
            window = next(self._inputs, None)
            return None if window is None else {input_name: window[np.newaxis]}

    return Reader()

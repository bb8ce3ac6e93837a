"""Metadata of a model file: its model card, operators, weights and multiplications."""

from __future__ import annotations

import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from shutil import copyfile
from typing import Any

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.model_card import METADATA_KEY, ModelCard
from edge_runtime.model_file import CARD_ENTRY, CARD_SHA256_KEY, card_sha256, graph_sha256
from train.libraries import library

LABELS_ENTRY = "labels.txt"
"""Name of the zip entry that other TFLite tools read: one genre a line, in the order of the outputs."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Date of every zip entry, so that the same export gives the same bytes."""


def write_with_card(graph: Path, card: ModelCard, destination: Path) -> None:
    """Copy a model file and put a card inside, with the digest of the graph; graph and weights stay as they are.

    A TFLite file is followed by a zip archive, the container that TFLite's own metadata tools use: an interpreter reads
    the flatbuffer, whose offsets count from the start of the file, and does not look behind it. An ONNX file keeps its
    card in ``metadata_props``.

    Parameters
    ----------
    graph : Path
        A ``.tflite`` or ``.onnx`` file without a card.
    card : ModelCard
    destination : Path
        Is overwritten.
    """
    if graph.suffix == ".tflite":
        copyfile(graph, destination)
        card = _with_digest(card, destination)
        with zipfile.ZipFile(destination, "a") as archive:
            for name, text in ((LABELS_ENTRY, "\n".join(card.genres) + "\n"), (CARD_ENTRY, card.to_json())):
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode())
    else:
        model = _load_onnx(graph)
        del model.metadata_props[:]
        destination.write_bytes(model.SerializeToString(deterministic=True))
        card = _with_digest(card, destination)
        text = card.to_json()
        model.metadata_props.add(key=METADATA_KEY, value=text)
        model.metadata_props.add(key=CARD_SHA256_KEY, value=card_sha256(text.encode()))
        destination.write_bytes(model.SerializeToString(deterministic=True))


def _with_digest(card: ModelCard, graph: Path) -> ModelCard:
    return card.replace(export={**card.export, "graph_sha256": graph_sha256(graph)})


def _load_onnx(file: Path) -> Any:
    onnx = library("onnx", extra="export")
    decode_error = library("google.protobuf.message", extra="export").DecodeError
    try:
        return onnx.load(str(file))
    except decode_error as error:
        raise TmgcError(f"{file} cannot be read as an ONNX model ({error}): copy it again") from error


@dataclass(frozen=True)
class GraphFacts:
    """Counts of a graph."""

    operators: Mapping[str, int]
    """Number of operators by type, the most frequent first."""
    weights: Mapping[str, int]
    """Number of constants by data type, e.g. ``int8``, the most frequent first."""
    macs: int | None
    """Multiply-accumulate operations for one window, in convolutions and matrix products; ``None`` for ONNX, whose
    files do not contain the shapes of activations."""
    arithmetic: Mapping[str, int]
    """Number of convolutions and dense layers by type and by the data types of activations and weights, e.g.
    ``CONV_2D int8 x int8``, the most frequent first; empty for ONNX."""

    def to_json(self) -> dict[str, Any]:
        """The facts as in reports."""
        return asdict(self)


def graph_facts(file: Path) -> GraphFacts:
    """Count the operators, weights and multiplications of a ``.tflite`` or ``.onnx`` file.

    Raises
    ------
    TmgcError
        The library that reads the file is not installed, or the graph is damaged.
    """
    try:
        return _tflite_facts(file) if file.suffix == ".tflite" else _onnx_facts(file)
    except (LookupError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise TmgcError(f"the graph of {file} is damaged ({first_line(error)}): copy or export it again") from error


def tflite_operators(model: Any) -> list[tuple[str, Any]]:
    """The operators of a TFLite model's graph, each with the name of its type, e.g. ``CONV_2D``.

    Old files have the type in ``deprecatedBuiltinCode`` alone, a byte, and types from 127 are in ``builtinCode`` alone;
    the larger of both is the type, as the TFLite schema defines.

    Parameters
    ----------
    model : ai_edge_litert.schema_py_generated.ModelT
    """
    schema = library("ai_edge_litert.schema_py_generated", extra="export")
    names = _names(schema.BuiltinOperator)
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    return [(codes[operator.opcodeIndex], operator) for operator in model.subgraphs[0].operators]


def _tflite_facts(file: Path) -> GraphFacts:
    schema = library("ai_edge_litert.schema_py_generated", extra="export")
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes())
    tensors, types = model.subgraphs[0].tensors, _names(schema.TensorType)
    operators: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    arithmetic: Counter[str] = Counter()
    dequantized: dict[int, int] = {}  # weights in float16, by the tensor that they become
    macs = 0
    for name, operator in tflite_operators(model):
        operators[name] += 1
        if name == "DEQUANTIZE":
            dequantized[operator.outputs[0]] = operator.inputs[0]
        if name in _WEIGHTS_PER_OUTPUT:
            weight, output = tensors[operator.inputs[1]], tensors[operator.outputs[0]]
            macs += prod(map(int, output.shape)) * _WEIGHTS_PER_OUTPUT[name](*map(int, weight.shape))
            stored = tensors[dequantized.get(operator.inputs[1], operator.inputs[1])]
            activations = {types[tensors[index].type].lower() for index in (operator.inputs[0], operator.outputs[0])}
            arithmetic[f"{name} {'/'.join(sorted(activations))} x {types[stored.type].lower()}"] += 1
    for tensor in tensors:
        buffer = model.buffers[tensor.buffer]
        if buffer.size or (buffer.data is not None and len(buffer.data)):
            weights[types[tensor.type].lower()] += prod(map(int, tensor.shape))
    return GraphFacts(dict(operators.most_common()), dict(weights.most_common()), macs, dict(arithmetic.most_common()))


_WEIGHTS_PER_OUTPUT: dict[str, Callable[..., int]] = {
    "CONV_2D": lambda outputs, height, width, inputs: height * width * inputs,
    "DEPTHWISE_CONV_2D": lambda one, height, width, outputs: height * width,
    "FULLY_CONNECTED": lambda outputs, inputs: inputs,
}
"""Multiplications for each number of the output, from the shape of an operator's weights."""


def _names(codes: Any) -> dict[int, str]:
    return {code: name for name, code in vars(codes).items() if isinstance(code, int)}


def _onnx_facts(file: Path) -> GraphFacts:
    onnx, graph = library("onnx", extra="export"), _load_onnx(file).graph
    weights: Counter[str] = Counter()
    for constant in graph.initializer:
        weights[onnx.helper.tensor_dtype_to_np_dtype(constant.data_type).name] += prod(constant.dims)
    operators = Counter(node.op_type for node in graph.node)
    return GraphFacts(dict(operators.most_common()), dict(weights.most_common()), None, {})

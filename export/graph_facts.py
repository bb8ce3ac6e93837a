"""What stands in a model file: its operators, its weights by type, and the multiplications that one answer takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from export.libraries import library


@dataclass(frozen=True)
class GraphFacts:
    """What can be counted in a graph."""

    operators: Mapping[str, int]
    """How many there are of each, the most frequent first."""
    weights: Mapping[str, int]
    """How many constant numbers there are of each type, e.g. ``int8``, the most frequent first."""
    macs: int | None
    """Multiplications with a weight for one window, in convolutions and matrix products; ``None`` for ONNX, whose files
    do not say how large what flows through them is."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in reports."""
        return asdict(self)


def graph_facts(file: Path) -> GraphFacts:
    """Count what stands in a ``.tflite`` or ``.onnx`` file.

    Raises
    ------
    TmgcError
        The library that reads such files is not installed.
    """
    return _tflite_facts(file) if file.suffix == ".tflite" else _onnx_facts(file)


def _tflite_facts(file: Path) -> GraphFacts:
    schema = library("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes())
    graph = model.subgraphs[0]
    names, types = _names(schema.BuiltinOperator), _names(schema.TensorType)
    operators: Counter[str] = Counter()
    weights: Counter[str] = Counter()
    macs = 0
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        operators[name] += 1
        if name in _WEIGHTS_PER_OUTPUT:
            weight, output = graph.tensors[operator.inputs[1]], graph.tensors[operator.outputs[0]]
            macs += prod(map(int, output.shape)) * _WEIGHTS_PER_OUTPUT[name](*map(int, weight.shape))
    for tensor in graph.tensors:
        content = model.buffers[tensor.buffer].data
        if content is not None and len(content):
            weights[types[tensor.type].lower()] += prod(map(int, tensor.shape))
    return GraphFacts(dict(operators.most_common()), dict(weights.most_common()), macs)


_WEIGHTS_PER_OUTPUT: dict[str, Callable[..., int]] = {
    "CONV_2D": lambda outputs, height, width, inputs: height * width * inputs,
    "DEPTHWISE_CONV_2D": lambda one, height, width, outputs: height * width,
    "FULLY_CONNECTED": lambda outputs, inputs: inputs,
}
"""Weights that each number of the output is a sum over, from the shape of an operator's weights."""


def _names(codes: Any) -> dict[int, str]:
    return {code: name for name, code in vars(codes).items() if isinstance(code, int)}


def _onnx_facts(file: Path) -> GraphFacts:
    onnx = library("onnx")
    graph = onnx.load(str(file)).graph
    weights: Counter[str] = Counter()
    for constant in graph.initializer:
        weights[onnx.helper.tensor_dtype_to_np_dtype(constant.data_type).name] += prod(constant.dims)
    operators = Counter(node.op_type for node in graph.node)
    return GraphFacts(dict(operators.most_common()), dict(weights.most_common()), None)

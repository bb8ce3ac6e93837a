"""What stands in an exported file, for who has nothing but the file: nothing heavy is imported."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of
from edge_runtime.interpreters import TensorInfo, open_interpreter
from train.libraries import library


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
    schema = library("ai_edge_litert.schema_py_generated", extra="export")
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
    onnx = library("onnx", extra="export")
    graph = onnx.load(str(file)).graph
    weights: Counter[str] = Counter()
    for constant in graph.initializer:
        weights[onnx.helper.tensor_dtype_to_np_dtype(constant.data_type).name] += prod(constant.dims)
    operators = Counter(node.op_type for node in graph.node)
    return GraphFacts(dict(operators.most_common()), dict(weights.most_common()), None)


SCHEMA = 1
"""Version of the document."""


def inspected(file: Path) -> dict[str, Any]:
    """Everything that can be told of an exported file.

    Parameters
    ----------
    file : Path
        A ``.tflite`` or ``.onnx`` file.

    Returns
    -------
    document : dict
        ``graph`` is ``None`` where the library that reads it is missing, and ``graph_missing`` says which.

    Raises
    ------
    TmgcError
        The file is damaged, carries no card, or no installed interpreter can run it.
    """
    interpreter = open_interpreter(file, threads=1)
    graph, missing = None, None
    try:
        graph = graph_facts(file).to_json()
    except TmgcError as error:
        missing = str(error)
    return {
        "schema": SCHEMA,
        "file": str(file),
        "size_bytes": file.stat().st_size,
        "sha256": sha256_of(file),
        "runtime": interpreter.runtime,
        "input": _tensor(interpreter.input),
        "output": _tensor(interpreter.output),
        "graph": graph,
        "graph_missing": missing,
        "warning": interpreter.card.warning,
        "card": json.loads(interpreter.card.to_json()),
    }


def lines_of(document: Mapping[str, Any]) -> list[str]:
    """The same for a person."""
    card, taken, given = document["card"], document["input"], document["output"]
    rows = {
        "file": f"{document['file']}, {document['size_bytes'] / 1e6:.1f} MB, run by {document['runtime']}",
        "sha256": document["sha256"],
        "model": _model(card),
        "input_kind": f"{card['takes']}, {taken['type']} {_shape(taken)}",
        "gives": f"probabilities, {given['type']} {_shape(given)}",
        "genres": ", ".join(card["genres"]),
        "spectrogram": ", ".join(f"{name} {value}" for name, value in card["spectrogram"].items()),
        "decides by": f"temperature {card['temperature']:.3g}, threshold {card['threshold']:.3g}",
        **_graph_rows(document),
        "parity": _parity(card["export"].get("parity") or {}),
        "made by": ", ".join(f"{name} {version}" for name, version in card["versions"].items()),
    }
    if document["warning"]:
        rows["warning"] = document["warning"]
    return [f"{name:12} {value}" for name, value in rows.items()]


def _model(card: Mapping[str, Any]) -> str:
    export = card["export"]
    described = [card["name"], card["network"].get("architecture"), export.get("format"), export.get("recipe")]
    if "opset" in export:
        described.append(f"opset {export['opset']}")
    kept = export.get("keep_float") or []
    return ", ".join(map(str, filter(None, described))) + (f", kept in float: {' '.join(kept)}" if kept else "")


def _graph_rows(document: Mapping[str, Any]) -> dict[str, str]:
    graph = document["graph"]
    if graph is None:
        return {"operators": f"cannot be read: {document['graph_missing']}"}
    rows = {
        "operators": ", ".join(f"{count} {name}" for name, count in graph["operators"].items()),
        "weights": ", ".join(f"{count:,} {name}" for name, count in graph["weights"].items()),
    }
    return rows if graph["macs"] is None else rows | {"MACs": f"{graph['macs'] / 1e6:,.1f} million a window"}


def _parity(parity: Mapping[str, Any]) -> str:
    if not parity:
        return "never compared with Keras"
    verdict = "held" if parity["held"] else f"MISSED ({'; '.join(parity['misses'])})"
    return f"{verdict}: {parity['top1_agreement']:.1%} of {parity['windows']} windows agree with Keras"


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return {"name": info.name, "type": info.type, "shape": list(info.shape)}


def _shape(tensor: Mapping[str, Any]) -> str:
    return f"[{', '.join(map(str, tensor['shape']))}]"

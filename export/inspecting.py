"""What stands in an exported file, for who has nothing but the file: nothing heavy is imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of
from edge_runtime.interpreters import TensorInfo, open_interpreter
from export.graph_facts import graph_facts

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
        "input": _tensor(interpreter.taken),
        "output": _tensor(interpreter.given),
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
        "takes": f"{card['takes']}, {taken['type']} {_shape(taken)}",
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

"""ONNX graphs in one order and under one set of names, so that the same network always gives the same bytes.

tf2onnx numbers what it makes from a counter that runs on from one conversion to the next, and walks through sets whose
order changes from one process to the next.
"""

from __future__ import annotations

import re
from typing import Any

from export.libraries import library


def canonical(model: Any) -> Any:
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
    renamed = library("onnx").ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
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

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.onnx import normalise_graph


def _model(order: list[int], suffix: int) -> Any:
    """``(picture * 2 + 1) * (picture + 1)``, with names and an order that depend on chance, as those of tf2onnx do."""
    name = "{}__{}".format
    nodes = [
        helper.make_node("Mul", ["image", name("two", suffix)], [name("a", suffix)], name("times", suffix)),
        helper.make_node("Add", [name("a", suffix), name("one", suffix)], [name("b", suffix)], name("plus", suffix)),
        helper.make_node("Add", ["image", name("one", suffix)], [name("c", suffix)], name("plus", suffix + 1)),
        helper.make_node("Mul", [name("b", suffix), name("c", suffix)], ["probabilities"], name("times", suffix + 1)),
    ]
    values = {"one": 1.0, "two": 2.0, "unused": 9.0}
    constants = [
        numpy_helper.from_array(np.array([value], np.float32), name(key, suffix)) for key, value in values.items()
    ]
    ends = [helper.make_tensor_value_info(key, TensorProto.FLOAT, ["n"]) for key in ("image", "probabilities")]
    graph = helper.make_graph(
        [nodes[index] for index in order], "graph", ends[:1], ends[1:], constants[:: 1 if suffix % 2 else -1]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_names_and_order_that_happen_to_differ_give_the_same_bytes() -> None:
    first, second = normalise_graph(_model([0, 1, 2, 3], 7)), normalise_graph(_model([2, 0, 1, 3], 4812))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


@pytest.mark.parametrize("value", [0.0, -3.0, 0.5])
def test_the_model_computes_what_it_did(value: float) -> None:
    import onnxruntime

    model = normalise_graph(_model([2, 0, 1, 3], 3))
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(None, {"image": np.array([value], np.float32)})[0] == (value * 2 + 1) * (value + 1)


def test_what_the_output_does_not_need_is_left_out() -> None:
    graph = normalise_graph(_model([0, 1, 2, 3], 7)).graph
    assert [item.name for item in graph.initializer] == ["constant/0", "constant/1"]
    assert [node.name for node in graph.node] == ["times/0", "plus/1", "plus/2", "times/3"]

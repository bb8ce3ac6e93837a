from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from export.recipes import DYNAMIC, FLOAT32, FORMATS, INT8, ONNX_OPSET, Recipe, Target

ONNX = FORMATS["onnx"]


@pytest.mark.parametrize("recipe", ONNX.recipes, ids=lambda recipe: recipe.name)
def test_every_recipe_takes_pixels_in_any_number_and_gives_float_probabilities(recipe: Recipe, bench: Any) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(bench.conversion_cache.graph(Target(ONNX, recipe))))
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape[1:]) == ("image", "tensor(uint8)", [32, 32, 3])
    assert (given.name, given.type, given.shape[1:]) == ("probabilities", "tensor(float)", [4])
    several = session.run(None, {"image": bench.shown.pictures[:5]})[0]
    one_by_one = [session.run(None, {"image": picture[np.newaxis]})[0][0] for picture in bench.shown.pictures[:5]]
    np.testing.assert_allclose(several, one_by_one, atol=0.02 if recipe == DYNAMIC else 1e-6)


def test_the_opset_is_the_one_that_is_stated(bench: Any) -> None:
    import onnx

    model = onnx.load(str(bench.conversion_cache.graph(Target(ONNX, FLOAT32))))
    assert [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")] == [ONNX_OPSET]


def test_transposes_are_optimised_away(bench: Any) -> None:
    assert _operators(bench, FLOAT32).count("Transpose") <= 2


def test_int8_is_quantised_per_channel_with_unsigned_activations_and_signed_weights(bench: Any) -> None:
    import onnx

    model = onnx.load(str(bench.conversion_cache.graph(Target(ONNX, INT8))))
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    activations = {constants[node.input[2]].dtype for node in model.graph.node if node.op_type == "QuantizeLinear"}
    weights = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    signed = [node for node in weights if constants[node.input[0]].dtype == np.int8]
    assert activations == {np.dtype(np.uint8)}
    assert len(signed) >= 3
    assert any(constants[node.input[1]].size > 1 for node in signed)


def test_softmax_and_first_convolution_stay_float(bench: Any) -> None:
    import onnx

    graph = onnx.load(str(bench.conversion_cache.graph(Target(ONNX, INT8)))).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    floats = [node for node in graph.node if node.op_type == "Conv" and made_by.get(node.input[1]) is None]
    (softmax,) = [node for node in graph.node if node.op_type == "Softmax"]
    assert [node.name for node in floats] == [_first_convolution(graph)]
    assert softmax.output[0] == graph.output[0].name
    dynamic = _operators(bench, DYNAMIC)
    assert dynamic.count("Conv") == 1
    assert dynamic.index("Conv") < dynamic.index("ConvInteger")


def _first_convolution(graph: Any) -> str:
    """Name of the convolution that is reached first from the input."""
    reached = {graph.input[0].name}
    for node in graph.node:
        if reached & set(node.input):
            if node.op_type == "Conv":
                return str(node.name)
            reached |= set(node.output)
    raise AssertionError("the graph has no convolution")


def _operators(bench: Any, recipe: Recipe) -> list[str]:
    import onnx

    return [node.op_type for node in onnx.load(str(bench.conversion_cache.graph(Target(ONNX, recipe)))).graph.node]

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters.onnx import import_onnxruntime
from export.metadata import graph_facts
from export.onnx import convert, normalise_graph, quantize
from export.recipes import DYNAMIC, FLOAT32, FORMATS, INT8, ONNX_OPSET, ONNX_OPSETS, GraphOptions, Recipe, Target
from tests.export.conftest import ParityKit
from train.libraries import silence

ONNX = FORMATS["onnx"]


def _model(order: list[int], suffix: int) -> Any:
    """``(image * 2 + 1) * (image + 1)``, with names and an order that depend on chance, as those of tf2onnx do."""
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
    onnxruntime = import_onnxruntime()
    model = normalise_graph(_model([2, 0, 1, 3], 3))
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(None, {"image": np.array([value], np.float32)})[0] == (value * 2 + 1) * (value + 1)


def test_what_the_output_does_not_need_is_left_out() -> None:
    graph = normalise_graph(_model([0, 1, 2, 3], 7)).graph
    assert [item.name for item in graph.initializer] == ["constant/0", "constant/1"]
    assert [node.name for node in graph.node] == ["times/0", "plus/1", "plus/2", "times/3"]


@pytest.mark.parametrize("recipe", ONNX.recipes, ids=lambda recipe: recipe.name)
def test_every_recipe_maps_any_number_of_uint8_images_to_float_probabilities(
    recipe: Recipe, image_kit: ParityKit
) -> None:
    onnxruntime = import_onnxruntime()
    session = onnxruntime.InferenceSession(str(image_kit.cache.graph(Target(ONNX, recipe))))
    (input_,), (output,) = session.get_inputs(), session.get_outputs()
    assert (input_.name, input_.type, input_.shape[1:]) == ("image", "tensor(uint8)", [32, 32, 3])
    assert (output.name, output.type, output.shape[1:]) == ("probabilities", "tensor(float)", [4])
    several = session.run(None, {"image": image_kit.inputs.images[:5]})[0]
    one_by_one = [session.run(None, {"image": image[np.newaxis]})[0][0] for image in image_kit.inputs.images[:5]]
    np.testing.assert_allclose(several, one_by_one, atol=0.02 if recipe == DYNAMIC else 1e-6)


def test_the_opset_is_the_one_that_is_stated(image_kit: ParityKit) -> None:
    model = onnx.load(str(image_kit.cache.graph(Target(ONNX, FLOAT32))))
    assert [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")] == [ONNX_OPSET]


def test_transposes_are_optimised_away(image_kit: ParityKit) -> None:
    assert _operators(image_kit, FLOAT32).count("Transpose") <= 2


def test_int8_is_quantised_per_channel_with_unsigned_activations_and_signed_weights(image_kit: ParityKit) -> None:
    model = onnx.load(str(image_kit.cache.graph(Target(ONNX, INT8))))
    constants = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    activations = {constants[node.input[2]].dtype for node in model.graph.node if node.op_type == "QuantizeLinear"}
    weights = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    signed = [node for node in weights if constants[node.input[0]].dtype == np.int8]
    assert activations == {np.dtype(np.uint8)}
    assert len(signed) >= 3
    assert any(constants[node.input[1]].size > 1 for node in signed)


def test_softmax_and_first_convolution_stay_float(image_kit: ParityKit) -> None:
    graph = onnx.load(str(image_kit.cache.graph(Target(ONNX, INT8)))).graph
    producers = {output: node.op_type for node in graph.node for output in node.output}
    floats = [node for node in graph.node if node.op_type == "Conv" and producers.get(node.input[1]) is None]
    (softmax,) = [node for node in graph.node if node.op_type == "Softmax"]
    assert [node.name for node in floats] == [_first_convolution(graph)]
    assert softmax.output[0] == graph.output[0].name
    dynamic = _operators(image_kit, DYNAMIC)
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


def _operators(image_kit: ParityKit, recipe: Recipe) -> list[str]:
    return [node.op_type for node in onnx.load(str(image_kit.cache.graph(Target(ONNX, recipe)))).graph.node]


@pytest.mark.parametrize("opset", ONNX_OPSETS)
def test_every_supported_opset_can_be_converted_to_and_run(opset: int, image_kit: ParityKit, tmp_path: Path) -> None:
    onnxruntime = import_onnxruntime()
    options, file = GraphOptions(opset=opset, batch="1"), tmp_path / "float.onnx"
    with silence():
        convert(image_kit.cache.float_tflite, file, options)
        quantize(file, INT8, image_kit.calibration[:8], tmp_path / "int8.onnx", options)
    for path in (file, tmp_path / "int8.onnx"):
        assert [entry.version for entry in onnx.load(str(path)).opset_import if not entry.domain] == [opset]
        session = onnxruntime.InferenceSession(str(path))
        assert session.get_inputs()[0].shape == [1, 32, 32, 3]
        found = session.run(None, {"image": image_kit.inputs.images[:1]})[0]
        np.testing.assert_allclose(found, image_kit.keras[:1], atol=1e-4 if path == file else 0.2)


@pytest.mark.parametrize("opset", [ONNX_OPSETS[0], ONNX_OPSETS[-1]])
def test_a_spectrogram_can_be_converted_to_the_oldest_and_the_newest_opset(
    opset: int, waveform_kit: ParityKit, tmp_path: Path
) -> None:
    onnxruntime = import_onnxruntime()
    file, options = tmp_path / "float.onnx", GraphOptions(input_kind="waveform", opset=opset, batch="1")
    with silence():
        convert(waveform_kit.cache.float_tflite, file, options)
    session = onnxruntime.InferenceSession(str(file))
    found = session.run(None, {"waveform": waveform_kit.inputs.waveforms[:1]})[0]
    np.testing.assert_allclose(found, waveform_kit.keras[:1], atol=1e-4)


@pytest.mark.parametrize("recipe", [DYNAMIC, INT8], ids=lambda recipe: recipe.name)
def test_operators_of_keep_float_stay_float(recipe: Recipe, image_kit: ParityKit, tmp_path: Path) -> None:
    options, file = GraphOptions(keep_float=("dense",)), tmp_path / "kept.onnx"
    with silence():
        quantize(image_kit.cache.graph(Target(ONNX, FLOAT32)), recipe, image_kit.calibration, file, options)
    usual = graph_facts(image_kit.cache.graph(Target(ONNX, recipe)))
    assert graph_facts(file).weights["float32"] >= usual.weights["float32"] + 32 * 32 + 32 * 4


def test_a_keep_float_that_matches_nothing_is_refused(image_kit: ParityKit, tmp_path: Path) -> None:
    graph, options = image_kit.cache.graph(Target(ONNX, FLOAT32)), GraphOptions(keep_float=("dens1e",))
    with silence(), pytest.raises(TmgcError, match=r"--keep-float dens1e matches no operator .*dense"):
        quantize(graph, INT8, image_kit.calibration, tmp_path / "kept.onnx", options)

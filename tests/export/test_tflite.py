from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import open_interpreter
from edge_runtime.interpreters.litert import LiteRTInterpreter
from edge_runtime.model_card import ModelCard
from edge_runtime.models import SMALL_MODEL
from export import tflite
from export.metadata import graph_facts, tflite_operators, write_with_card
from export.recipes import DYNAMIC, FLOAT16, FLOAT32, FORMATS, INT8, RECIPES, GraphOptions, Recipe, Target
from tests.export.conftest import ParityKit
from train.libraries import silence

TFLITE = FORMATS["tflite"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_maps_one_uint8_image_to_float_probabilities(recipe: Recipe, image_kit: ParityKit) -> None:
    interpreter = _interpreter(image_kit.cache.graph(Target(TFLITE, recipe)))
    (signature,) = interpreter.get_signature_list().values()
    assert signature == {"inputs": ["image"], "outputs": ["probabilities"]}
    input_, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (input_["dtype"], tuple(input_["shape"])) == (np.uint8, (1, 32, 32, 3))
    assert (output["dtype"], tuple(output["shape"])) == (np.float32, (1, 4))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_softmax_and_first_convolution_stay_float(recipe: Recipe, image_kit: ParityKit) -> None:
    interpreter = _interpreter(image_kit.cache.graph(Target(TFLITE, recipe)))
    operators = interpreter._get_ops_details()
    first = next(operator for operator in operators if operator["op_name"] == "CONV_2D")
    softmax = next(operator for operator in operators if operator["op_name"] == "SOFTMAX")
    for operator in (first, softmax):
        tensors = [interpreter._get_tensor_details(index, 0) for index in (*operator["inputs"], *operator["outputs"])]
        assert {tensor["dtype"] for tensor in tensors} == {np.float32}


@pytest.mark.parametrize(
    ("recipe", "kept", "share"), [("float16", "float16", 0.7), ("dynamic", "int8", 0.5), ("int8", "int8", 0.5)]
)
def test_other_weights_are_kept_as_the_recipe_says(recipe: str, kept: str, share: float, image_kit: ParityKit) -> None:
    (chosen,) = [item for item in RECIPES if item.name == recipe]
    file = image_kit.cache.graph(Target(TFLITE, chosen))
    interpreter = _interpreter(file)
    second = [operator for operator in interpreter._get_ops_details() if operator["op_name"] == "CONV_2D"][1]
    inputs = {interpreter._get_tensor_details(index, 0)["dtype"].__name__ for index in second["inputs"][1:2]}
    dequantized = {
        interpreter._get_tensor_details(operator["inputs"][0], 0)["dtype"].__name__
        for operator in interpreter._get_ops_details()
        if operator["op_name"] == "DEQUANTIZE"
    }
    assert kept in inputs | dequantized
    assert file.stat().st_size < share * image_kit.cache.graph(Target(TFLITE, FLOAT32)).stat().st_size


def test_an_operator_that_is_not_builtin_is_refused_by_name(tmp_path: Path, card: ModelCard) -> None:
    with silence():
        import keras

        from export.frontend import KerasModel

        pixels = keras.Input((8, 8, 3), dtype="uint8")
        hidden = keras.ops.erfinv(keras.layers.Rescaling(1 / 256)(pixels))
        outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(hidden))
        keras.Model(pixels, outputs).save(tmp_path / "model.keras")
        KerasModel(tmp_path / "model.keras").save(tmp_path / "saved", card)
        with pytest.raises(TmgcError, match=r"builtin operators only, this network needs .*Erfinv"):
            tflite.convert(tmp_path / "saved", tmp_path / "model.tflite")
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("error: 'tf.Erfinv' op is neither a custom op nor a flex op", ["tf.Erfinv"]),
        ("error: tf.Erfinv op is neither a custom op nor a flex op", ["tf.Erfinv"]),
        ("Some ops are not supported.\nFlex ops: FlexErfinv, FlexCumprod\nDetails:", ["FlexCumprod", "FlexErfinv"]),
        ("Custom ops: , Own\n", ["Own"]),
    ],
)
def test_foreign_operators_are_named_as_the_converter_names_them(message: str, names: list[str]) -> None:
    assert tflite.foreign_operators(message) == names
    assert ", ".join(names) in tflite.conversion_failure(ValueError(message))


@pytest.mark.parametrize("message", ["error: failed to legalize operation", "Flex ops: ,\nmore"])
def test_a_foreign_operator_without_a_name_gives_the_converters_own_message(message: str) -> None:
    line = tflite.conversion_failure(ValueError(message))
    assert message.splitlines()[0] in line
    assert "\n" not in line
    assert "needs :" not in line


@pytest.mark.parametrize("recipe", [FLOAT16, DYNAMIC, INT8], ids=lambda recipe: recipe.name)
def test_operators_of_keep_float_stay_float(recipe: Recipe, image_kit: ParityKit, tmp_path: Path) -> None:
    options, file = GraphOptions(keep_float=("dense",)), tmp_path / "kept.tflite"
    with silence():
        tflite.quantize(image_kit.cache.float_tflite, recipe, image_kit.calibration, file, options)
    usual = graph_facts(image_kit.cache.graph(Target(TFLITE, recipe)))
    assert graph_facts(file).weights["float32"] >= usual.weights["float32"] + 32 * 32 + 32 * 4


def test_a_keep_float_that_matches_nothing_is_refused(image_kit: ParityKit, tmp_path: Path) -> None:
    options = GraphOptions(keep_float=("dens1e",))
    with silence(), pytest.raises(TmgcError, match=r"--keep-float dens1e matches no operator .*dense"):
        tflite.quantize(image_kit.cache.float_tflite, INT8, image_kit.calibration, tmp_path / "kept.tflite", options)


NOT_DELEGATED = {"CAST": 1}
"""XNNPACK cannot convert uint8 to float32, the first step of an image; it runs everything behind it."""


def flaws(graph: Path, card: ModelCard) -> list[str]:
    """What makes a file slow on a board, or wrong on some: operators outside the delegate, uint8 convolutions."""
    file = graph.with_suffix(".with_card.tflite")
    write_with_card(graph, card, file)
    interpreter = open_interpreter(file, threads=1)
    assert isinstance(interpreter, LiteRTInterpreter)
    assert interpreter.delegation
    others = interpreter.delegation.others
    assert interpreter.delegation.delegated == interpreter.delegation.operators - sum(others.values())
    return [*sorted(others.keys() - NOT_DELEGATED.keys()), *filter(_UINT8.search, graph_facts(graph).arithmetic)]


_UINT8 = re.compile(r"\buint8\b")


@pytest.fixture(scope="module")
def all_layers(image_kit: ParityKit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float32 file with every kind of layer of the project's networks."""
    folder = tmp_path_factory.mktemp("layers")
    with silence():
        import keras

        from export.frontend import KerasModel

        layers = keras.layers
        pixels = keras.Input((32, 32, 3), dtype="uint8", name="image")
        hidden = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Rescaling(1 / 127.5, -1)(pixels))
        deep = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(hidden)))
        deep = layers.Add()([hidden, layers.Conv2D(8, 1)(deep)])
        pools = [pool(3, strides=1, padding="same")(hidden) for pool in (layers.AveragePooling2D, layers.MaxPooling2D)]
        hidden = layers.GlobalAveragePooling2D()(layers.Concatenate()([deep, *pools]))
        outputs = layers.Dense(len(image_kit.card.genres), activation="softmax", name="probabilities")(hidden)
        keras.Model(pixels, outputs).save(folder / "model.keras")
        KerasModel(folder / "model.keras").save(folder / "saved", image_kit.card)
        tflite.convert(folder / "saved", folder / "float32.tflite")
    return folder / "float32.tflite"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_delegate_takes_every_operator_and_no_convolution_is_quantised_unsigned(
    recipe: Recipe, all_layers: Path, image_kit: ParityKit, tmp_path: Path
) -> None:
    graph = tmp_path / "graph.tflite"
    if recipe == FLOAT32:
        graph.write_bytes(all_layers.read_bytes())
    else:
        with silence():
            tflite.quantize(all_layers, recipe, image_kit.calibration, graph)
    arithmetic = graph_facts(graph).arithmetic
    stored = {"float32": "float32", "float16": "float16", "dynamic": "int8", "int8": "int8"}[recipe.name]
    assert {name.split()[0] for name in arithmetic} == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
    assert f"FULLY_CONNECTED {'int8' if recipe == INT8 else 'float32'} x {stored}" in arithmetic
    assert flaws(graph, image_kit.card) == []
    assert flaws(image_kit.cache.graph(Target(TFLITE, recipe)), image_kit.card) == []


def test_the_packaged_model_is_taken_by_the_delegate_but_for_its_image_and_has_no_unsigned_convolution() -> None:
    interpreter = open_interpreter(SMALL_MODEL, threads=1)
    assert isinstance(interpreter, LiteRTInterpreter)
    assert interpreter.delegation
    assert interpreter.delegation.others == NOT_DELEGATED
    assert not any(map(_UINT8.search, graph_facts(SMALL_MODEL).arithmetic))


def test_operators_that_the_delegate_does_not_take_are_found(
    all_layers: Path, image_kit: ParityKit, tmp_path: Path
) -> None:
    from litert_quantizer.qtyping import TFLOperationName
    from litert_quantizer.quantizer import Quantizer
    from litert_quantizer.recipe_manager import RecipeManager

    manager, graph = RecipeManager(), tmp_path / "graph.tflite"
    manager.add_dynamic_config(".*", TFLOperationName.ALL_SUPPORTED, 8)
    quantizer = Quantizer(str(all_layers), manager.get_quantization_recipe())
    with silence():
        result = quantizer.quantize(enable_progress_bar=False, enable_progress_report=False)
    graph.write_bytes(result.quantized_model)
    assert flaws(graph, image_kit.card) == ["DEPTHWISE_CONV_2D"]


def test_an_unsigned_convolution_is_found(image_kit: ParityKit, tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    int8 = image_kit.cache.graph(Target(TFLITE, INT8))
    model = schema.ModelT.InitFromPackedBuf(int8.read_bytes())
    operators = [operator for name, operator in tflite_operators(model) if name == "CONV_2D"]
    for index in (operators[-1].inputs[0], operators[-1].inputs[1]):
        model.subgraphs[0].tensors[index].type = schema.TensorType.UINT8
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "unsigned.tflite").write_bytes(builder.Output())
    assert not any(map(_UINT8.search, graph_facts(int8).arithmetic))
    assert any(map(_UINT8.search, graph_facts(tmp_path / "unsigned.tflite").arithmetic))


def _interpreter(file: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    return interpreter

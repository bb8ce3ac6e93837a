from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from export import tflite
from export.metadata import graph_facts
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


def _interpreter(file: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    return interpreter

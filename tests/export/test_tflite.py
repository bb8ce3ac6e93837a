from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from export import tflite
from export.recipes import FLOAT32, FORMATS, RECIPES, Recipe, Target
from train.libraries import silence

TFLITE = FORMATS["tflite"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_takes_pixels_one_at_a_time_and_gives_float_probabilities(recipe: Recipe, bench: Any) -> None:
    interpreter = _interpreter(bench.conversion_cache.graph(Target(TFLITE, recipe)))
    (signature,) = interpreter.get_signature_list().values()
    assert signature == {"inputs": ["image"], "outputs": ["probabilities"]}
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (taken["dtype"], tuple(taken["shape"])) == (np.uint8, (1, 32, 32, 3))
    assert (given["dtype"], tuple(given["shape"])) == (np.float32, (1, 4))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_softmax_and_first_convolution_stay_float(recipe: Recipe, bench: Any) -> None:
    interpreter = _interpreter(bench.conversion_cache.graph(Target(TFLITE, recipe)))
    operators = interpreter._get_ops_details()
    first = next(operator for operator in operators if operator["op_name"] == "CONV_2D")
    softmax = next(operator for operator in operators if operator["op_name"] == "SOFTMAX")
    for operator in (first, softmax):
        tensors = [interpreter._get_tensor_details(index, 0) for index in (*operator["inputs"], *operator["outputs"])]
        assert {tensor["dtype"] for tensor in tensors} == {np.float32}


@pytest.mark.parametrize(
    ("recipe", "kept", "share"), [("float16", "float16", 0.7), ("dynamic", "int8", 0.5), ("int8", "int8", 0.5)]
)
def test_other_weights_are_kept_as_the_recipe_says(recipe: str, kept: str, share: float, bench: Any) -> None:
    (chosen,) = [item for item in RECIPES if item.name == recipe]
    file = bench.conversion_cache.graph(Target(TFLITE, chosen))
    interpreter = _interpreter(file)
    second = [operator for operator in interpreter._get_ops_details() if operator["op_name"] == "CONV_2D"][1]
    inputs = {interpreter._get_tensor_details(index, 0)["dtype"].__name__ for index in second["inputs"][1:2]}
    dequantized = {
        interpreter._get_tensor_details(operator["inputs"][0], 0)["dtype"].__name__
        for operator in interpreter._get_ops_details()
        if operator["op_name"] == "DEQUANTIZE"
    }
    assert kept in inputs | dequantized
    assert file.stat().st_size < share * bench.conversion_cache.graph(Target(TFLITE, FLOAT32)).stat().st_size


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


def _interpreter(file: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    return interpreter

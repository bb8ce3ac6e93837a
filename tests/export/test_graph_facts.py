from __future__ import annotations

from typing import Any

import pytest

from export.inspection import graph_facts
from export.recipes import DYNAMIC, FLOAT16, FLOAT32, FORMATS, INT8, Target

TFLITE, ONNX = FORMATS["tflite"], FORMATS["onnx"]

# Of the network in conftest.py: 3 x 3 and 1 x 1 convolutions at 32 x 32 and at 8 x 8 pixels, and two dense layers.
CONVOLUTIONS = 32 * 32 * (9 * 3 * 16 + 16 * 16) + 8 * 8 * (9 * 32 * 32 + 32 * 32)
DENSE = 64 * 32 + 32 * 4
WEIGHTS = 9 * 3 * 16 + 16 * 16 + 9 * 32 * 32 + 32 * 32 + DENSE


@pytest.mark.parametrize("recipe", TFLITE.recipes, ids=lambda recipe: recipe.name)
def test_multiplications_are_those_of_convolutions_and_matrix_products(recipe: Any, bench: Any) -> None:
    facts = graph_facts(bench.conversion_cache.graph(Target(TFLITE, recipe)))
    assert facts.macs == CONVOLUTIONS + DENSE
    assert facts.operators["CONV_2D"] == 4
    assert facts.operators["FULLY_CONNECTED"] == 2


def test_depthwise_convolutions_are_counted_as_well(tmp_path: Any) -> None:
    from train.libraries import silence

    with silence():
        import tensorflow

        kernel = tensorflow.ones((5, 5, 8, 1))
        convolved = tensorflow.function(
            lambda picture: tensorflow.nn.depthwise_conv2d(picture, kernel, (1, 2, 2, 1), "SAME"),
            input_signature=[tensorflow.TensorSpec((1, 16, 16, 8), tensorflow.float32)],
        )
        converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([convolved.get_concrete_function()])
        (tmp_path / "model.tflite").write_bytes(converter.convert())
    assert graph_facts(tmp_path / "model.tflite").macs == 8 * 8 * 8 * 25


@pytest.mark.parametrize(
    ("format_", "recipe", "type_"),
    [
        (TFLITE, FLOAT32, "float32"),
        (TFLITE, FLOAT16, "float16"),
        (TFLITE, DYNAMIC, "int8"),
        (TFLITE, INT8, "int8"),
        (ONNX, FLOAT32, "float32"),
        (ONNX, DYNAMIC, "uint8"),
        (ONNX, INT8, "int8"),
    ],
)
def test_most_weights_are_of_the_type_that_the_recipe_says(format_: Any, recipe: Any, type_: str, bench: Any) -> None:
    weights = graph_facts(bench.conversion_cache.graph(Target(format_, recipe))).weights
    assert next(iter(weights)) == type_
    assert 0.8 * WEIGHTS < weights[type_] < 1.2 * WEIGHTS


def test_onnx_operators_are_counted(bench: Any) -> None:
    facts = graph_facts(bench.conversion_cache.graph(Target(ONNX, INT8)))
    assert facts.operators["Conv"] == 4
    assert facts.operators["Softmax"] == 1
    assert facts.macs is None

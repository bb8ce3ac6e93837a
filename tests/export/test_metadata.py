from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import open_interpreter
from edge_runtime.model_card import ModelCard
from edge_runtime.model_file import graph_sha256, read_card
from export import tflite
from export.metadata import graph_facts, write_with_card
from export.recipes import DYNAMIC, FLOAT16, FLOAT32, FORMATS, INT8, Format, Recipe, Target
from tests.export.conftest import ParityKit
from train.libraries import silence

TFLITE, ONNX = FORMATS["tflite"], FORMATS["onnx"]


@pytest.mark.parametrize("format_", [TFLITE, ONNX])
@pytest.mark.parametrize("recipe", [FLOAT32, DYNAMIC, INT8])
def test_a_card_changes_no_prediction(format_: Format, recipe: Recipe, image_kit: ParityKit, tmp_path: Path) -> None:
    graph = image_kit.cache.graph(Target(format_, recipe))
    paths = [tmp_path / f"first{format_.suffix}", tmp_path / f"second{format_.suffix}"]
    write_with_card(graph, image_kit.card, paths[0])
    write_with_card(graph, image_kit.card.replace(threshold=0.5, training={"notes": ["ş" * 999] * 10}), paths[1])
    first, second = (open_interpreter(path, threads=1) for path in paths)
    assert second.card.threshold == 0.5
    for image in image_kit.inputs.images[:20]:
        np.testing.assert_array_equal(first.invoke(image), second.invoke(image))


def test_a_tflite_file_has_its_card_and_labels_in_a_zip_archive_and_nowhere_else(
    image_kit: ParityKit, tmp_path: Path
) -> None:
    graph, path = image_kit.cache.graph(Target(TFLITE, FLOAT32)), tmp_path / "model.tflite"
    write_with_card(graph, image_kit.card, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt", "card.json"]
        assert archive.read("labels.txt").decode().split() == list(image_kit.card.genres)
        card = archive.read("card.json")
    assert json.loads(card) == json.loads(_with_digest(image_kit.card, graph).to_json())
    content = path.read_bytes()
    assert content.startswith(graph.read_bytes())
    assert content.count(card) == 1


def _with_digest(card: ModelCard, graph: Path) -> ModelCard:
    return card.replace(export={**card.export, "graph_sha256": graph_sha256(graph)})


def test_buffers_behind_the_flatbuffer_of_a_large_file_stay_where_they_are(
    large_graph: Path, image_kit: ParityKit, tmp_path: Path
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "model.tflite"
    write_with_card(large_graph, image_kit.card, path)
    assert path.read_bytes().startswith(large_graph.read_bytes())
    offsets = [offset for offset, _ in _external_buffers(path)]
    assert offsets
    assert all(offset % 16 == 0 for offset in offsets), "the alignment that the TFLite schema asks of buffers"
    plain, carded = Interpreter(model_path=str(large_graph)), open_interpreter(path, threads=1)
    plain.allocate_tensors()
    for image in image_kit.inputs.images[:5]:
        plain.set_tensor(plain.get_input_details()[0]["index"], image[np.newaxis])
        plain.invoke()
        np.testing.assert_array_equal(carded.invoke(image), plain.get_tensor(plain.get_output_details()[0]["index"])[0])


@pytest.mark.parametrize("format_", [TFLITE, ONNX])
def test_the_same_card_gives_the_same_bytes(format_: Format, image_kit: ParityKit, tmp_path: Path) -> None:
    graph = image_kit.cache.graph(Target(format_, FLOAT32))
    paths = [tmp_path / f"{number}{format_.suffix}" for number in range(2)]
    for path in paths:
        write_with_card(graph, image_kit.card, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("format_", [TFLITE, ONNX])
def test_the_card_of_a_file_is_read_without_an_interpreter(
    format_: Format, image_kit: ParityKit, tmp_path: Path
) -> None:
    graph, path = image_kit.cache.graph(Target(format_, FLOAT32)), tmp_path / f"model{format_.suffix}"
    write_with_card(graph, image_kit.card, path)
    assert read_card(path) == _with_digest(image_kit.card, path)
    with pytest.raises(TmgcError, match="must carry its model card"):
        read_card(graph)
    path.write_bytes(b"no model")
    with pytest.raises(TmgcError, match=r"must be TFLite|cannot be read as an ONNX model"):
        read_card(path)


def _external_buffers(path: Path) -> list[tuple[int, int]]:
    """Offset and size of the buffers behind the flatbuffer."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    return [(buffer.offset, buffer.size) for buffer in model.buffers if buffer.offset > 1]


def test_an_operator_type_is_read_from_whichever_field_it_stands_in(image_kit: ParityKit, tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    graph = image_kit.cache.graph(Target(TFLITE, FLOAT32))
    model = schema.ModelT.InitFromPackedBuf(graph.read_bytes())
    for code in model.operatorCodes:
        code.builtinCode = 0  # as files from before 2021 have it
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    old = tmp_path / "old.tflite"
    old.write_bytes(builder.Output())
    assert graph_facts(old).operators == graph_facts(graph).operators
    assert tflite.operator_scopes(old) == tflite.operator_scopes(graph)
    assert "CONV_2D" in dict(map(reversed, tflite.operator_scopes(old)))  # type: ignore[arg-type]


# Of the network in conftest.py: 3 x 3 and 1 x 1 convolutions at 32 x 32 and at 8 x 8 pixels, and two dense layers.
CONVOLUTIONS = 32 * 32 * (9 * 3 * 16 + 16 * 16) + 8 * 8 * (9 * 32 * 32 + 32 * 32)
DENSE = 64 * 32 + 32 * 4
WEIGHTS = 9 * 3 * 16 + 16 * 16 + 9 * 32 * 32 + 32 * 32 + DENSE


@pytest.mark.parametrize("recipe", TFLITE.recipes, ids=lambda recipe: recipe.name)
def test_multiplications_are_those_of_convolutions_and_matrix_products(recipe: Any, image_kit: ParityKit) -> None:
    facts = graph_facts(image_kit.cache.graph(Target(TFLITE, recipe)))
    assert facts.macs == CONVOLUTIONS + DENSE
    assert facts.operators["CONV_2D"] == 4
    assert facts.operators["FULLY_CONNECTED"] == 2


def test_depthwise_convolutions_are_counted_as_well(tmp_path: Path) -> None:
    with silence():
        import tensorflow

        kernel = tensorflow.ones((5, 5, 8, 1))
        convolved = tensorflow.function(
            lambda image: tensorflow.nn.depthwise_conv2d(image, kernel, (1, 2, 2, 1), "SAME"),
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
def test_most_weights_are_of_the_type_that_the_recipe_says(
    format_: Any, recipe: Any, type_: str, image_kit: ParityKit
) -> None:
    weights = graph_facts(image_kit.cache.graph(Target(format_, recipe))).weights
    assert next(iter(weights)) == type_
    assert 0.8 * WEIGHTS < weights[type_] < 1.2 * WEIGHTS


def test_onnx_operators_are_counted(image_kit: ParityKit) -> None:
    facts = graph_facts(image_kit.cache.graph(Target(ONNX, INT8)))
    assert facts.operators["Conv"] == 4
    assert facts.operators["Softmax"] == 1
    assert facts.macs is None

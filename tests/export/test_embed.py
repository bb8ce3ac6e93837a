from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.interpreters import open_interpreter
from edge_runtime.model_card import METADATA_KEY
from export.metadata import write_with_card
from export.recipes import DYNAMIC, FLOAT32, FORMATS, INT8, Format, Recipe, Target

TFLITE, ONNX = FORMATS["tflite"], FORMATS["onnx"]


@pytest.mark.parametrize("format_", [TFLITE, ONNX])
@pytest.mark.parametrize("recipe", [FLOAT32, DYNAMIC, INT8])
def test_a_card_does_not_change_an_answer(format_: Format, recipe: Recipe, bench: Any, tmp_path: Path) -> None:
    graph = bench.conversion_cache.graph(Target(format_, recipe))
    paths = [tmp_path / f"first{format_.suffix}", tmp_path / f"second{format_.suffix}"]
    write_with_card(graph, bench.card, paths[0])
    write_with_card(graph, bench.card.replace(threshold=0.5, training={"note": "ş" * 9999}), paths[1])
    first, second = (open_interpreter(path, threads=1) for path in paths)
    assert second.card.threshold == 0.5
    for picture in bench.shown.pictures[:20]:
        np.testing.assert_array_equal(first.invoke(picture), second.invoke(picture))


def test_a_tflite_file_carries_its_card_as_buffer_and_as_zip_entries(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    write_with_card(bench.conversion_cache.graph(Target(TFLITE, FLOAT32)), bench.card, path)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt", "card.json"]
        assert archive.read("labels.txt").decode().split() == list(bench.card.genres)
        assert archive.read("card.json").decode() == bench.card.to_json()
    assert _buffer(path) == bench.card.to_json()


def test_buffers_of_a_tflite_file_are_aligned_to_16_bytes(bench: Any, tmp_path: Path) -> None:
    from ai_edge_litert import schema_py_generated as schema

    path = tmp_path / "model.tflite"
    write_with_card(bench.conversion_cache.graph(Target(TFLITE, INT8)), bench.card, path)
    content = path.read_bytes()
    model = schema.Model.GetRootAsModel(content, 0)
    begins = [content.find(model.Buffers(i).DataAsNumpy().tobytes()) for i in _large(model)]
    assert begins
    assert all(begin % 16 == 0 for begin in begins)


def test_the_same_card_gives_the_same_bytes(bench: Any, tmp_path: Path) -> None:
    for format_ in (TFLITE, ONNX):
        graph = bench.conversion_cache.graph(Target(format_, FLOAT32))
        paths = [tmp_path / f"{number}{format_.suffix}" for number in range(2)]
        for path in paths:
            write_with_card(graph, bench.card, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def _buffer(path: Path) -> str:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    (entry,) = [entry for entry in model.metadata if entry.name == METADATA_KEY.encode()]
    return bytes(model.buffers[entry.buffer].data).decode()


def _large(model: Any) -> list[int]:
    return [index for index in range(model.BuffersLength()) if model.Buffers(index).DataLength() > 500]

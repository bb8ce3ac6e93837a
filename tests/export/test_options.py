from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from export import onnx, tflite
from export.inspection import graph_facts
from export.recipes import (
    DYNAMIC,
    FLOAT16,
    FLOAT32,
    FORMATS,
    INT8,
    ONNX_OPSET,
    ONNX_OPSETS,
    GraphOptions,
    Recipe,
    Target,
    formats_of,
    graph_options,
    kept_float,
)
from train.libraries import silence

TFLITE, ONNX = FORMATS["tflite"], FORMATS["onnx"]
NAMES = ["net/backbone/conv2d/convolution", "net/dense_1/MatMul;net/dense_1/Add", "net/softmax"]


def _options(choice: str = "all", **changes: Any) -> GraphOptions:
    given = {"input_kind": "image", "keep_float": (), "batch": None, "opset": None} | changes
    return graph_options(formats_of(choice), **given)


def test_what_is_not_given_is_filled_in() -> None:
    assert _options() == GraphOptions()
    assert _options("tflite").opset == ONNX_OPSET
    assert _options(input_kind="waveform").batch == "1"


@pytest.mark.parametrize(
    ("choice", "changes", "said"),
    [
        ("tflite", {"opset": 17}, "--opset 17 is for onnx files"),
        ("tflite", {"batch": "1"}, "--batch 1 is for onnx files: tflite files take one window"),
        ("onnx", {"opset": 12}, "must lie in 13 to 18, got 12"),
        ("onnx", {"opset": 0}, "must lie in 13 to 18, got 0"),
        ("onnx", {"opset": 19}, "must lie in 13 to 18, got 19"),
        ("onnx", {"batch": "dynamic", "input_kind": "waveform"}, "--batch dynamic is for pictures"),
        ("all", {"keep_float": ("dense(",)}, r"takes a regular expression, got dense\("),
    ],
)
def test_what_cannot_be_honoured_is_refused(choice: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(TmgcError, match=said):
        _options(choice, **changes)


def test_a_pattern_fits_anywhere_in_a_name() -> None:
    assert kept_float(["dense", "^net/soft"], NAMES) == NAMES[1:]
    assert kept_float([], NAMES) == []


def test_a_pattern_that_fits_nothing_is_refused_with_the_names_near_it() -> None:
    with pytest.raises(TmgcError, match=r"--keep-float dense_3 fits no operator .* dense_1"):
        kept_float(["dense", "dense_3"], NAMES)


@pytest.mark.parametrize("recipe", [FLOAT16, DYNAMIC, INT8], ids=lambda recipe: recipe.name)
def test_tflite_keeps_in_float_what_it_was_told_to(recipe: Recipe, bench: Any, tmp_path: Path) -> None:
    kept = _quantized(tflite, bench, recipe, tmp_path / "kept.tflite", GraphOptions(keep_float=("dense",)))
    usual = graph_facts(bench.conversion_cache.graph(Target(TFLITE, recipe)))
    dense = 32 * 32 + 32 * 4
    assert graph_facts(kept).weights["float32"] >= usual.weights["float32"] + dense


@pytest.mark.parametrize("recipe", [DYNAMIC, INT8], ids=lambda recipe: recipe.name)
def test_onnx_keeps_in_float_what_it_was_told_to(recipe: Recipe, bench: Any, tmp_path: Path) -> None:
    kept = _quantized(onnx, bench, recipe, tmp_path / "kept.onnx", GraphOptions(keep_float=("dense",)))
    usual = graph_facts(bench.conversion_cache.graph(Target(ONNX, recipe)))
    dense = 32 * 32 + 32 * 4
    assert graph_facts(kept).weights["float32"] >= usual.weights["float32"] + dense


@pytest.mark.parametrize("converter", [tflite, onnx], ids=["tflite", "onnx"])
def test_both_formats_refuse_a_pattern_that_fits_nothing(converter: Any, bench: Any, tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match=r"--keep-float dens1e fits no operator .*dense"):
        _quantized(converter, bench, INT8, tmp_path / "kept", GraphOptions(keep_float=("dens1e",)))


@pytest.mark.parametrize("opset", ONNX_OPSETS)
def test_every_opset_that_is_allowed_can_be_converted_to_and_run(opset: int, bench: Any, tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    options, file = GraphOptions(opset=opset, batch="1"), tmp_path / "float.onnx"
    with silence():
        onnx.convert(bench.conversion_cache.float_tflite, file, options)
        onnx.quantize(file, INT8, bench.calibration[:8], tmp_path / "int8.onnx", options)
    for path in (file, tmp_path / "int8.onnx"):
        assert [entry.version for entry in onnx.load(str(path)).opset_import if not entry.domain] == [opset]
        session = onnxruntime.InferenceSession(str(path))
        assert session.get_inputs()[0].shape == [1, 32, 32, 3]
        said = session.run(None, {"image": bench.shown.pictures[:1]})[0]
        np.testing.assert_allclose(said, bench.keras[:1], atol=1e-4 if path == file else 0.2)


@pytest.mark.parametrize("opset", [ONNX_OPSETS[0], ONNX_OPSETS[-1]])
def test_a_spectrogram_can_be_converted_to_the_oldest_and_the_newest_opset(
    opset: int, waveform_bench: Any, tmp_path: Path
) -> None:
    import onnxruntime

    file, options = tmp_path / "float.onnx", GraphOptions(input_kind="waveform", opset=opset, batch="1")
    with silence():
        onnx.convert(waveform_bench.conversion_cache.float_tflite, file, options)
    session = onnxruntime.InferenceSession(str(file))
    said = session.run(None, {"waveform": waveform_bench.shown.sounds[:1]})[0]
    np.testing.assert_allclose(said, waveform_bench.keras[:1], atol=1e-4)


def _quantized(converter: Any, bench: Any, recipe: Recipe, file: Path, options: GraphOptions) -> Path:
    format_ = TFLITE if converter is tflite else ONNX
    with silence():
        converter.quantize(
            bench.conversion_cache.graph(Target(format_, FLOAT32)), recipe, bench.calibration, file, options
        )
    return file

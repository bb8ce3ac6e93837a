from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import TmgcError
from export.recipes import (
    DEFAULT_PREFERENCE,
    DYNAMIC,
    FLOAT16,
    FLOAT32,
    FORMATS,
    INT8,
    ONNX_OPSET,
    GraphOptions,
    Target,
    find_preference,
    graph_options,
    match_operators,
    parse_formats,
    parse_quantize,
    preferred_targets,
    select_targets,
)


def test_recipes_may_be_repeated_and_separated_by_commas() -> None:
    assert parse_quantize(["int8,dynamic", "none", "int8"]) == ["int8", "dynamic", "none"]


def test_a_misspelt_recipe_gets_the_nearest_one() -> None:
    with pytest.raises(TmgcError, match=r"got 'int88'\. Did you mean int8"):
        parse_quantize(["int88"])


def test_a_word_like_no_other_gets_the_list() -> None:
    with pytest.raises(TmgcError, match=r"none, float16, dynamic, int8, all: got 'zzz'\.$"):
        parse_quantize(["zzz"])


def test_onnx_refuses_float16_and_says_what_it_can() -> None:
    with pytest.raises(TmgcError, match="onnx files can be quantised as none, dynamic, int8: got float16"):
        select_targets(parse_formats("all"), ["float16"])


def test_all_is_whatever_each_format_can() -> None:
    targets = select_targets(parse_formats("all"), ["all"])
    assert [str(target) for target in targets if target.format.name == "onnx"] == [
        "onnx float32",
        "onnx dynamic",
        "onnx int8",
    ]
    assert len(targets) == 7


def test_preferences_begin_with_int8_and_end_with_float32() -> None:
    recipes = [target.recipe for target in preferred_targets(FORMATS["onnx"], DEFAULT_PREFERENCE)]
    assert recipes == [INT8, DYNAMIC, FLOAT32]


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [("mobilenet_v3_small", "hard-swish"), ("mobilenet_v3_large", "hard-swish"), ("musicnn", "spectrogram")],
)
def test_networks_that_lose_too_much_in_8_bits_stay_float_for_a_reason(architecture: str, reason: str) -> None:
    preference = find_preference(architecture)
    assert reason in (preference.reason or "")
    assert [target.recipe for target in preferred_targets(FORMATS["tflite"], preference)] == [FLOAT16, FLOAT32]
    assert [target.recipe for target in preferred_targets(FORMATS["onnx"], preference)] == [FLOAT32]


@pytest.mark.parametrize("architecture", ["inception_resnet_v2", "mobilenet_v2", ""])
def test_other_networks_have_the_usual_order(architecture: str) -> None:
    assert find_preference(architecture) == DEFAULT_PREFERENCE


def test_files_with_waveform_input_have_it_in_their_name() -> None:
    (target,) = select_targets([FORMATS["onnx"]], ["int8"], input_kind="waveform")
    assert target.file(Path("out"), "demo") == Path("out/demo.waveform.int8.onnx")
    assert target.failed_file(Path("out"), "demo") == Path("out/demo.waveform.int8.FAILED.onnx")


def test_file_names_tell_run_recipe_and_format() -> None:
    target = Target(FORMATS["tflite"], FLOAT32)
    assert target.file(Path("out"), "demo") == Path("out/demo.float32.tflite")
    assert target.failed_file(Path("out"), "demo") == Path("out/demo.float32.FAILED.tflite")


NAMES = ["net/backbone/conv2d/convolution", "net/dense_1/MatMul;net/dense_1/Add", "net/softmax"]


def _options(choice: str = "all", **changes: Any) -> GraphOptions:
    options = {"input_kind": "image", "keep_float": (), "batch": None, "opset": None} | changes
    return graph_options(parse_formats(choice), **options)


def test_what_is_not_given_is_filled_in() -> None:
    assert _options() == GraphOptions()
    assert _options("tflite").opset == ONNX_OPSET
    assert _options(input_kind="waveform").batch == "1"


@pytest.mark.parametrize(
    ("choice", "changes", "message"),
    [
        ("tflite", {"opset": 17}, "--opset 17 is for onnx files"),
        ("tflite", {"batch": "1"}, "--batch 1 is for onnx files: tflite files take one window"),
        ("onnx", {"opset": 12}, "must lie in 13 to 18, got 12"),
        ("onnx", {"opset": 0}, "must lie in 13 to 18, got 0"),
        ("onnx", {"opset": 19}, "must lie in 13 to 18, got 19"),
        ("onnx", {"batch": "dynamic", "input_kind": "waveform"}, "--batch dynamic is for images"),
        ("all", {"keep_float": ("dense(",)}, r"takes a regular expression, got dense\("),
    ],
)
def test_what_cannot_be_honoured_is_refused(choice: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TmgcError, match=message):
        _options(choice, **changes)


def test_a_pattern_matches_anywhere_in_a_name() -> None:
    assert match_operators(["dense", "^net/soft"], NAMES) == NAMES[1:]
    assert match_operators([], NAMES) == []


def test_a_pattern_that_matches_nothing_is_refused_with_similar_names() -> None:
    with pytest.raises(TmgcError, match=r"--keep-float dense_3 matches no operator .* dense_1"):
        match_operators(["dense", "dense_3"], NAMES)


@pytest.mark.parametrize(
    "names",
    [
        ["net/scaling/mul;", "net/backbone/conv/Relu6;net/bn/add_1;", "Add1", "net/head/dense_1/MatMul;", "Call:0;"],
        [
            "net/scaling/mul/0",
            "Relu6/5",
            "net/backbone/conv/Relu6;net/bn/add_1/3",
            "net/head/dense_1/MatMul/9",
            "Add/1",
        ],
    ],
    ids=["tflite", "onnx"],
)
def test_a_pattern_like_no_name_is_refused_with_names_from_all_parts_of_the_network(names: list[str]) -> None:
    examples = "net/scaling/mul, net/backbone/conv/Relu6, net/head/dense_1/MatMul"
    with pytest.raises(TmgcError, match=rf"no operator of the network\. .*for example: {examples}$"):
        match_operators(["no_such_layer"], names)

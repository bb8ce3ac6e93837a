from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.errors import TmgcError
from export.recipes import (
    DYNAMIC,
    FLOAT16,
    FLOAT32,
    FORMATS,
    INT8,
    USUAL,
    Target,
    formats_of,
    preference_of,
    preferred_targets,
    targets_of,
    words_of,
)


def test_words_may_be_repeated_and_separated_by_commas() -> None:
    assert words_of(["int8,dynamic", "none", "int8"]) == ["int8", "dynamic", "none"]


def test_a_misspelt_word_gets_the_nearest_one() -> None:
    with pytest.raises(TmgcError, match=r"got 'int88'\. Did you mean int8"):
        words_of(["int88"])


def test_a_word_like_no_other_gets_the_list() -> None:
    with pytest.raises(TmgcError, match=r"none, float16, dynamic, int8, all: got 'zzz'\.$"):
        words_of(["zzz"])


def test_onnx_refuses_float16_and_says_what_it_can() -> None:
    with pytest.raises(TmgcError, match="onnx files can be quantised as none, dynamic, int8: got float16"):
        targets_of(formats_of("all"), ["float16"])


def test_all_is_whatever_each_format_can() -> None:
    targets = targets_of(formats_of("all"), ["all"])
    assert [str(target) for target in targets if target.format.name == "onnx"] == [
        "onnx float32",
        "onnx dynamic",
        "onnx int8",
    ]
    assert len(targets) == 7


def test_preferences_begin_with_int8_and_end_with_float32() -> None:
    recipes = [target.recipe for target in preferred_targets(FORMATS["onnx"], USUAL)]
    assert recipes == [INT8, DYNAMIC, FLOAT32]


@pytest.mark.parametrize("architecture", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_hard_swish_networks_stay_float_for_a_reason(architecture: str) -> None:
    preference = preference_of(architecture)
    assert "hard-swish" in (preference.reason or "")
    assert [target.recipe for target in preferred_targets(FORMATS["tflite"], preference)] == [FLOAT16, FLOAT32]
    assert [target.recipe for target in preferred_targets(FORMATS["onnx"], preference)] == [FLOAT32]


@pytest.mark.parametrize("architecture", ["inception_resnet_v2", "mobilenet_v2", ""])
def test_other_networks_have_the_usual_order(architecture: str) -> None:
    assert preference_of(architecture) == USUAL


def test_the_names_of_files_that_take_the_sound_say_so() -> None:
    (target,) = targets_of([FORMATS["onnx"]], ["int8"], input_kind="waveform")
    assert target.file(Path("out"), "demo") == Path("out/demo.waveform.int8.onnx")
    assert target.failed_file(Path("out"), "demo") == Path("out/demo.waveform.int8.FAILED.onnx")


def test_file_names_tell_run_recipe_and_format() -> None:
    target = Target(FORMATS["tflite"], FLOAT32)
    assert target.file(Path("out"), "demo") == Path("out/demo.float32.tflite")
    assert target.failed_file(Path("out"), "demo") == Path("out/demo.float32.FAILED.tflite")

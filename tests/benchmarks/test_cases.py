from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cases as cases_module
from benchmarks.cases import Case, find_cases, select_cases
from benchmarks.documents import from_document, to_document
from edge_runtime import interpreters
from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL
from edge_runtime.interpreters import ENGINES
from edge_runtime.model_card import ModelCard
from edge_runtime.model_file import read_card
from train.run import Run

from .conftest import write_onnx, write_tflite

FLATBUFFER = b"\x1c\0\0\0TFL3"
"""How a TFLite file begins."""


@pytest.fixture
def run(tmp_path: Path, tiny_card: ModelCard) -> Run:
    """A run with exports whose names tell nothing: what they are stands in their cards."""
    run = Run(tmp_path / "my.run")
    run.exports.mkdir(parents=True)
    for number, recipe in enumerate(("int8", "dynamic", "float16")):
        write_tflite(run.exports / f"{number}.tflite", FLATBUFFER, tiny_card, recipe)
    for number, recipe in enumerate(("int8", "float32")):
        write_onnx(run.exports / f"{number}.onnx", tiny_card, recipe)
    (run.exports / "my.run.int8.FAILED.tflite").touch()
    return run


@pytest.fixture
def one_engine_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with LiteRT and ONNX Runtime, whatever this one has."""
    monkeypatch.setattr(interpreters, "find_spec", lambda name: name in ("ai_edge_litert", "onnxruntime") or None)


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


@pytest.mark.usefixtures("one_engine_each")
def test_the_reference_comes_first_then_keras_then_every_export_by_format_and_recipe(run: Run) -> None:
    cases, left_out = find_cases(run)
    exports = ["tflite-float16", "tflite-dynamic", "tflite-int8", "onnx-float32", "onnx-int8"]
    assert names(cases) == ["reference", "keras-predict", "keras-compiled", *exports, "small-tflite-int8"]
    assert "my.run.int8.FAILED.tflite failed its parity check" in left_out[0]


@pytest.mark.usefixtures("one_engine_each")
def test_format_recipe_and_input_kind_come_from_the_card_and_not_from_the_name(run: Run, tiny_card: ModelCard) -> None:
    waveform = replace(tiny_card, input_kind="waveform")
    write_tflite(run.exports / "my.run.float32.tflite", FLATBUFFER, waveform, "int8")
    write_onnx(run.exports / "my.run.int8.onnx", waveform, "float32")
    cases = {case.model.name: case for case in find_cases(run)[0] if case.input_kind == "waveform"}
    tflite, onnx = cases["my.run.float32.tflite"], cases["my.run.int8.onnx"]
    assert (tflite.name, tflite.format, tflite.recipe) == ("tflite-waveform-int8", "tflite", "int8")
    assert (onnx.name, onnx.format, onnx.recipe) == ("onnx-waveform-float32", "onnx", "float32")
    exports = [name for name in names(find_cases(run)[0]) if name.startswith(("tflite", "onnx"))]
    assert exports[-3:] == ["onnx-float32", "onnx-int8", "onnx-waveform-float32"]


@pytest.mark.parametrize(
    ("name", "content"), [("bare.tflite", FLATBUFFER), ("bare.onnx", b""), ("bare.onnx", b"\xff" * 9)]
)
def test_a_file_without_a_readable_card_is_left_out_with_the_reason(run: Run, name: str, content: bytes) -> None:
    (run.exports / name).write_bytes(content)
    cases, left_out = find_cases(run)
    assert name not in {case.model.name for case in cases}
    (line,) = [line for line in left_out if line.startswith(f"{name} is left out: ")]
    assert "xport" in line
    assert "\n" not in line


def test_a_file_that_an_interrupted_export_left_is_no_case(run: Run, tiny_card: ModelCard) -> None:
    before = find_cases(run)
    write_tflite(run.exports / f"{PARTIAL}my.run.int8.tflite", FLATBUFFER, tiny_card, "int8")
    assert find_cases(run) == before


def test_a_card_that_names_no_recipe_is_left_out(run: Run, tiny_card: ModelCard) -> None:
    write_tflite(run.exports / "odd.tflite", FLATBUFFER, tiny_card, None)  # type: ignore[arg-type]
    assert any("odd.tflite" in line and "recipe" in line for line in find_cases(run)[1])


def test_the_card_of_an_onnx_file_is_read_without_loading_the_model(run: Run) -> None:
    assert read_card(run.exports / "1.onnx").export == {"format": "onnx", "recipe": "float32"}


def test_of_an_engine_that_is_missing_a_line_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "find_spec", lambda name: None)
    cases, left_out = find_cases(run)
    for engine in ("litert", "tflite-runtime", "onnxruntime", "openvino"):
        assert f"{engine} is not installed: its cases are left out" in left_out
    assert not any("tensorflow" in line for line in left_out)
    assert {case.engine for case in cases} == {None}


def test_every_file_has_a_case_more_for_each_engine_more_that_runs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "find_spec", lambda name: object())
    cases, left_out = find_cases(run)
    assert not any("not installed" in line for line in left_out)
    by_engine = {engine: names([case for case in cases if case.engine == engine]) for engine in ENGINES}
    assert by_engine == {
        "litert": ["tflite-float16", "tflite-dynamic", "tflite-int8", "small-tflite-int8"],
        "tflite-runtime": ["tflite-runtime-float16", "tflite-runtime-dynamic", "tflite-runtime-int8"],
        "tensorflow": [],
        "onnxruntime": ["onnx-float32", "onnx-int8"],
        "openvino": ["openvino-float32", "openvino-int8"],
    }
    assert names(select_cases(cases, run, only=["openvino"])) == by_engine["openvino"]
    assert names(select_cases(cases, run, only=["tflite"])) == by_engine["litert"][:3] + by_engine["tflite-runtime"]


def test_an_engine_with_which_a_file_failed_its_parity_check_is_left_out_with_a_line(
    run: Run, tiny_card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "find_spec", lambda name: object())
    parity = {"passed": True, "other_engines": {"openvino": {"passed": False, "failures": ["too far"]}}}
    export = {"format": "onnx", "recipe": "int8", "parity": parity}
    monkeypatch.setattr(cases_module, "read_card", lambda path: replace(tiny_card, export=export))
    cases, left_out = find_cases(run)
    assert {case.engine for case in cases if case.format == "onnx"} == {"onnxruntime"}
    assert f"{run.exports / '1.onnx'} failed its parity check with openvino: this case is left out" in left_out


def test_a_report_does_not_tell_where_the_package_is_installed(run: Run) -> None:
    cases, _ = find_cases(run)
    assert cases[-1].file == "edge_runtime/models/small.int8.tflite"
    assert cases[-2].file == str(cases[-2].model)


def test_two_exports_of_one_recipe_are_told_apart_by_their_files(run: Run, tiny_card: ModelCard) -> None:
    write_tflite(run.exports / "my.run.int8.tflite", FLATBUFFER, tiny_card, "int8")
    assert {"tflite-int8", "0.tflite"} <= set(names(find_cases(run)[0]))


def test_a_second_export_of_a_recipe_that_begins_with_the_name_of_the_run_has_a_name_of_its_own(
    run: Run, tiny_card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "find_spec", lambda name: object())
    waveform = replace(tiny_card, input_kind="waveform")
    for infix, card in (("", tiny_card), ("waveform.", waveform)):
        for name in ("int8", "int8.old"):
            write_tflite(run.exports / f"my.run.{infix}{name}.tflite", FLATBUFFER, card, "int8")
    by_name = {case.name: case for case in find_cases(run)[0]}
    assert len(by_name) == len(find_cases(run)[0])
    assert by_name["tflite-int8"].model.name == "my.run.int8.tflite"
    assert by_name["tflite-waveform-int8"].model.name == "my.run.waveform.int8.tflite"
    assert by_name["my.run.int8.old.tflite"].engine == "litert"
    assert by_name["tflite-runtime-my.run.int8.old.tflite"].engine == "tflite-runtime"


def test_quick_takes_the_quick_cases_that_there_are(run: Run) -> None:
    cases, _ = find_cases(run)
    assert names(select_cases(cases, run, quick=True)) == [
        "reference",
        "keras-predict",
        "tflite-dynamic",
        "tflite-int8",
        "onnx-int8",
    ]


def test_only_takes_names_and_families(run: Run) -> None:
    cases, _ = find_cases(run)
    assert names(select_cases(cases, run, only=["onnx", "keras"])) == [
        "keras-predict",
        "keras-compiled",
        "onnx-float32",
        "onnx-int8",
    ]
    assert names(select_cases(cases, run, only=["tflite-int8"], quick=True)) == ["tflite-int8"]


def test_an_unknown_name_is_refused_with_the_nearest(run: Run) -> None:
    cases, _ = find_cases(run)
    with pytest.raises(TmgcError, match=r"got 'refrence'\. Did you mean reference\?"):
        select_cases(cases, run, only=["refrence"])


def test_a_run_without_exports_can_still_time_the_reference(tmp_path: Path) -> None:
    run = Run(tmp_path)
    cases, _ = find_cases(run)
    assert names(select_cases(cases, run, only=["reference"])) == ["reference"]
    with pytest.raises(TmgcError, match="tmgc-export"):
        select_cases(cases, run)


def test_a_case_survives_its_way_to_another_process(run: Run) -> None:
    for case in find_cases(run)[0]:
        assert from_document(Case, to_document(case)) == case

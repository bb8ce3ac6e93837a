from pathlib import Path

import pytest

from benchmarks.cases import RowSpec, rows_of, select_rows
from edge_runtime.errors import TmgcError
from train.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "my.run")
    run.exports.mkdir(parents=True)
    for name in ("int8.onnx", "float32.onnx", "int8.tflite", "dynamic.tflite", "float16.tflite", "int8.FAILED.tflite"):
        (run.exports / f"my.run.{name}").touch()
    return run


def names(rows: list[RowSpec]) -> list[str]:
    return [row.name for row in rows]


def test_the_original_comes_first_then_keras_then_every_export_by_format_and_recipe(run: Run) -> None:
    rows, left_out = rows_of(run)
    exports = ["tflite-float16", "tflite-dynamic", "tflite-int8", "onnx-float32", "onnx-int8"]
    assert names(rows) == ["original", "keras-predict", "keras-compiled", *exports, "small-tflite-float16"]
    assert "my.run.int8.FAILED.tflite failed its parity check" in left_out[0]


def test_a_file_that_takes_the_waveform_is_a_row_beside_the_one_that_takes_pictures(run: Run) -> None:
    (run.exports / "my.run.waveform.int8.tflite").touch()
    (run.exports / "my.run.waveform.float32.onnx").touch()
    rows = [row for row in rows_of(run)[0] if row.recipe in ("int8", "float32") and row.is_export]
    assert [row.name for row in rows if row.takes_waveform] == ["tflite-waveform-int8", "onnx-waveform-float32"]
    assert names(rows) == ["tflite-int8", "tflite-waveform-int8", "onnx-float32", "onnx-int8", "onnx-waveform-float32"]


def test_where_tflite_runtime_is_missing_a_line_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.cases.find_spec", lambda name: None)
    assert "tflite-runtime is not installed: its rows are left out" in rows_of(run)[1]


def test_where_tflite_runtime_is_installed_every_tflite_file_has_a_row_more(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.cases.find_spec", lambda name: object())
    rows, _ = rows_of(run)
    more = [row for row in rows if row.pipeline == "tflite-runtime"]
    assert names(more) == ["tflite-runtime-float16", "tflite-runtime-dynamic", "tflite-runtime-int8"]
    assert names(select_rows(rows, run, only=["tflite"]))[-3:] == names(more)


def test_a_report_does_not_tell_where_the_package_is_installed(run: Run) -> None:
    rows, _ = rows_of(run)
    assert rows[-1].file == "edge_runtime/models/small.float16.tflite"
    assert rows[-2].file == str(rows[-2].model)


def test_two_exports_of_one_recipe_keep_apart_by_their_files(run: Run) -> None:
    (run.exports / "other.int8.tflite").touch()
    rows, _ = rows_of(run)
    assert {"tflite-int8", "other.int8.tflite"} <= set(names(rows))


def test_quick_takes_the_quick_rows_that_there_are(run: Run) -> None:
    rows, _ = rows_of(run)
    assert names(select_rows(rows, run, quick=True)) == [
        "original",
        "keras-predict",
        "tflite-dynamic",
        "tflite-int8",
        "onnx-int8",
    ]


def test_only_takes_names_and_families(run: Run) -> None:
    rows, _ = rows_of(run)
    assert names(select_rows(rows, run, only=["onnx", "keras"])) == [
        "keras-predict",
        "keras-compiled",
        "onnx-float32",
        "onnx-int8",
    ]
    assert names(select_rows(rows, run, only=["tflite-int8"], quick=True)) == ["tflite-int8"]


def test_an_unknown_name_is_refused_with_the_nearest(run: Run) -> None:
    rows, _ = rows_of(run)
    with pytest.raises(TmgcError, match=r"got 'orignal'\. Did you mean original\?"):
        select_rows(rows, run, only=["orignal"])


def test_a_run_without_exports_can_still_time_the_original(tmp_path: Path) -> None:
    run = Run(tmp_path)
    rows, _ = rows_of(run)
    assert names(select_rows(rows, run, only=["original"])) == ["original"]
    with pytest.raises(TmgcError, match="tmgc-export"):
        select_rows(rows, run)


def test_a_row_survives_its_way_to_another_process(run: Run) -> None:
    for row in rows_of(run)[0]:
        assert RowSpec.from_json(row.to_json()) == row

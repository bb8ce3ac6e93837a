from pathlib import Path

import pytest

from benchmarks.rows import RowSpec, rows_of, select_rows
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
    assert names(rows) == ["original", "keras-predict", *exports]
    assert len(left_out) == 1
    assert "my.run.int8.FAILED.tflite failed its parity check" in left_out[0]


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
    assert names(select_rows(rows, run, only=["onnx", "keras"])) == ["keras-predict", "onnx-float32", "onnx-int8"]
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

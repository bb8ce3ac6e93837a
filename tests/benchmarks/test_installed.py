from importlib.metadata import distribution
from pathlib import Path

import pytest

from benchmarks.cases import EXPORT, KERAS_PREDICT, ORIGINAL, TFLITE_RUNTIME, RowSpec
from benchmarks.system_info import installed_mb, needed_by


def row(pipeline: str, model: str) -> RowSpec:
    return RowSpec(pipeline, pipeline, Path(model), Path("card.json"))


def test_what_a_library_needs_is_followed_to_the_end() -> None:
    assert {"soundfile", "cffi", "pycparser", "numpy"} <= needed_by(["soundfile"])


def test_extras_are_not_followed() -> None:
    assert "pytest" not in needed_by(["click"])


def test_the_size_is_that_of_the_files() -> None:
    files = [Path(str(file.locate())) for file in distribution("tensorflow").files or []]
    tensorflow = sum(path.stat().st_size for path in files if path.is_file()) / 1e6
    keras, edge = installed_mb(row(KERAS_PREDICT, "model.keras")), installed_mb(row(EXPORT, "a.int8.tflite"))
    original = installed_mb(row(ORIGINAL, "model.keras"))
    assert keras is not None
    assert edge is not None
    assert original is not None
    assert original > keras > tensorflow > 5 * edge


def test_what_is_not_installed_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.system_info._ROOTS", {TFLITE_RUNTIME: ("there-is-no-such-library",)})
    assert installed_mb(row(TFLITE_RUNTIME, "a.int8.tflite")) is None

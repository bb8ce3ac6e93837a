from __future__ import annotations

from typing import Any

import pytest

from export import tflite
from export.recipes import DYNAMIC, FLOAT32, FORMATS, Target


def test_float_files_are_made_once_and_shared(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.conversion_cache.graph(Target(FORMATS["tflite"], FLOAT32))
    bench.conversion_cache.graph(Target(FORMATS["onnx"], DYNAMIC))
    monkeypatch.setattr(tflite, "convert", None)
    monkeypatch.setattr(tflite, "quantize", None)
    assert bench.conversion_cache.graph(Target(FORMATS["tflite"], FLOAT32)) == first
    assert bench.conversion_cache.graph(Target(FORMATS["onnx"], DYNAMIC)).is_file()

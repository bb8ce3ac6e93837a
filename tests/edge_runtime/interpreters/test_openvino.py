"""OpenVINO computes what ONNX Runtime does, exactly, and reports nothing to anyone."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.golden_windows import check_golden
from edge_runtime.interpreters import installed_engines, open_interpreter
from edge_runtime.model_card import ModelCard
from export.metadata import write_with_card

pytestmark = pytest.mark.skipif(not find_spec("openvino"), reason="OpenVINO is not installed")


def test_an_onnx_file_has_two_engines_and_onnx_runtime_is_preferred(models: dict[str, Path]) -> None:
    assert installed_engines(models["onnx"]) == ["onnxruntime", "openvino"]
    assert open_interpreter(models["onnx"]).runtime.startswith("onnxruntime ")
    assert "openvino" not in installed_engines(models["tflite"])


def test_where_onnx_runtime_is_missing_openvino_is_taken(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert open_interpreter(models["onnx"]).runtime.startswith("openvino ")


@pytest.mark.parametrize("threads", [1, 2])
def test_probabilities_are_those_of_onnx_runtime(threads: int, models: dict[str, Path]) -> None:
    openvino = open_interpreter(models["onnx"], engine="openvino", threads=threads)
    onnxruntime = open_interpreter(models["onnx"], engine="onnxruntime", threads=threads)
    for seed in range(3):
        image = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), np.uint8)
        np.testing.assert_allclose(openvino.invoke(image), onnxruntime.invoke(image), atol=1e-6)
    assert all(result.passed for result in check_golden(openvino))
    assert (openvino.threads, openvino.card) == (threads, onnxruntime.card)


def test_probabilities_are_not_overwritten_by_the_next_call(models: dict[str, Path]) -> None:
    interpreter = open_interpreter(models["onnx"], engine="openvino")
    first = interpreter.invoke(np.zeros((32, 48, 3), np.uint8))
    kept = first.copy()
    interpreter.invoke(np.arange(32 * 48 * 3, dtype=np.uint8).reshape(32, 48, 3))
    np.testing.assert_array_equal(first, kept)


def test_arithmetic_is_float32_on_every_processor_and_nothing_is_quantised_on_the_way(models: dict[str, Path]) -> None:
    interpreter: Any = open_interpreter(models["onnx"], engine="openvino", threads=2)
    compiled = interpreter._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    assert compiled.get_property("DYNAMIC_QUANTIZATION_GROUP_SIZE") == 0
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert compiled.get_property("NUM_STREAMS") == 1
    assert not compiled.get_property("ENABLE_CPU_PINNING")


@pytest.mark.parametrize("share", [0.99, 0.5, 0.1, 0.0])
def test_a_truncated_model_is_refused_in_one_line(share: float, models: dict[str, Path], tmp_path: Path) -> None:
    path, content = tmp_path / "short.onnx", models["onnx"].read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TmgcError) as caught:
        open_interpreter(path, engine="openvino")
    assert "\n" not in str(caught.value)
    assert "short.onnx" in str(caught.value)


def test_a_graph_that_openvino_cannot_run_is_one_line_with_the_reason_and_the_fix(
    graphs: dict[str, Path], card: ModelCard, tmp_path: Path
) -> None:
    import onnx

    model = onnx.load(graphs["onnx"])
    model.graph.node[2].op_type = "Nonsense"
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    write_with_card(tmp_path / "graph.onnx", card, tmp_path / "odd.onnx")
    with pytest.raises(
        TmgcError, match=r"odd\.onnx cannot be run by openvino .*Model wasn't fully converted"
    ) as caught:
        open_interpreter(tmp_path / "odd.onnx", engine="openvino")
    assert "pip install --upgrade openvino" in str(caught.value)
    assert "src/" not in str(caught.value)


def test_a_file_of_another_format_is_not_tried_with_other_front_ends(
    models: dict[str, Path], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "not.onnx"
    path.write_bytes(models["onnx"].read_bytes()[:-40] + b"\xff" * 40)
    with pytest.raises(TmgcError):
        open_interpreter(path, engine="openvino")
    assert "tensorflow" not in capfd.readouterr().err


def test_without_openvino_the_engine_is_refused_with_those_that_are_installed(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(TmgcError, match=r"installed \(onnxruntime\), got openvino"):
        open_interpreter(models["onnx"], engine="openvino")

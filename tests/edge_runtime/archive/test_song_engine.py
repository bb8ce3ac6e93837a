"""All songs of an archive are classified by one engine: the first of the model's own that passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.archive.song import Tagger, TagSettings
from edge_runtime.errors import UntrustedModelError
from edge_runtime.interpreters import ENGINES, installed_engines
from edge_runtime.model_file import read_card
from export.metadata import write_with_card
from tests.edge_runtime.factories import wrong_in_onnxruntime


@pytest.fixture
def model(models: dict[str, Path], graphs: dict[str, Path], tmp_path: Path) -> Path:
    """A model that ONNX Runtime computes wrongly."""
    path = tmp_path / "model.onnx"
    write_with_card(graphs["onnx"], wrong_in_onnxruntime(read_card(models["onnx"])), path)
    return path


def test_the_next_engine_of_a_model_is_taken_where_the_first_one_fails(model: Path) -> None:
    if not ENGINES["openvino"].installed:
        pytest.skip("OpenVINO, the second engine of a format, is not installed")
    tagger = Tagger.of(model, TagSettings())
    assert tagger.engine == "openvino"
    tagger.load()


def test_a_model_that_no_engine_computes_is_refused_with_advice_that_this_command_can_follow(
    models: dict[str, Path], graphs: dict[str, Path], tmp_path: Path
) -> None:
    path, card = tmp_path / "model.onnx", read_card(models["onnx"])
    others = {name: {"passed": False} for name in installed_engines(path)}
    failed = {**card.export, "parity": {"passed": True, "other_engines": others}}
    golden = wrong_in_onnxruntime(card).export["golden"]
    wrong = {**card.export, "golden": {**golden, "probabilities": golden["other_engines"]["onnxruntime"]}}
    for export, said in ((failed, "must answer as Keras does"), (wrong, "must compute here what it did")):
        write_with_card(graphs["onnx"], card.replace(export=export), path)
        with pytest.raises(UntrustedModelError, match=said) as refusal:
            Tagger.of(path, TagSettings())
        assert "at your own risk" in str(refusal.value)
        assert "--" not in str(refusal.value).replace("tmgc-listen --", "")

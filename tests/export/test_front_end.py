from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import GenreClassifier, ModelCard
from edge_runtime.interpreters import open_interpreter
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from export.exporter import ConversionCache, Steps
from export.frontend import SCOPE, KerasModel, picture_of
from export.inspection import graph_facts
from export.metadata import write_with_card
from export.recipes import DYNAMIC, FLOAT32, FORMATS, INT8, GraphOptions, Target
from tests.conftest import tone
from train.libraries import silence

TARGETS = [Target(format_, recipe, "waveform") for format_ in FORMATS.values() for recipe in format_.recipes]

SETTINGS = {
    "the usual": SpectrogramSettings(),
    "a low rate": SpectrogramSettings(sample_rate=11_025, image_height=75, image_width=100),
    "frames of three hops": SpectrogramSettings(sample_rate=8_000, window_seconds=1.0, n_fft=384, hop_length=128),
    "frames of no whole hops": SpectrogramSettings(sample_rate=8_000, window_seconds=1.0, n_fft=400, hop_length=160),
    "frames apart": SpectrogramSettings(sample_rate=8_000, window_seconds=1.0, n_fft=256, hop_length=300, n_mels=20),
    "half the range": SpectrogramSettings(sample_rate=8_000, window_seconds=1.0, top_db=40.0),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_its_pictures_are_those_of_the_spectrogram(name: str, colormap: Any) -> None:
    settings = SETTINGS[name]
    spectrogram = Spectrogram(settings, colormap)
    for samples in _sounds(settings):
        with silence():
            drawn = picture_of(samples[np.newaxis], settings, colormap).numpy()
        assert drawn.dtype == np.uint8
        expected = spectrogram.image(samples)
        assert np.mean(drawn[0] != expected) < 1e-3
        assert np.abs(drawn[0, ..., 0].astype(int) - expected[..., 0]).max() <= 1  # the colormap's red is the grey


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_file_that_takes_a_waveform_is_within_its_tolerances(
    target: Target, waveform_bench: Any, tmp_path: Path
) -> None:
    file = _written(target, waveform_bench, tmp_path)
    interpreter = open_interpreter(file)
    assert "waveform" in interpreter.input.name
    assert (interpreter.input.type, interpreter.input.shape) == ("float32", (1, 4000))
    report = waveform_bench.report(file, target.recipe.name)
    assert report.held, report.misses
    assert report.windows >= 500


@pytest.mark.parametrize("recipe", FORMATS["tflite"].recipes, ids=lambda recipe: recipe.name)
def test_no_operator_of_it_is_quantised_in_tflite(recipe: Any, waveform_bench: Any) -> None:
    from ai_edge_litert import schema_py_generated as schema

    file = waveform_bench.conversion_cache.graph(Target(FORMATS["tflite"], recipe))
    graph = schema.ModelT.InitFromPackedBuf(file.read_bytes()).subgraphs[0]
    types: Counter[int] = Counter()
    for operator in graph.operators:
        if graph.tensors[operator.outputs[0]].name.startswith(f"{SCOPE}/".encode()):
            taken = [index for index in operator.inputs if index >= 0]
            types.update(graph.tensors[index].type for index in (*taken, *operator.outputs))
    assert types[schema.TensorType.FLOAT32] > 30
    assert set(types) == {schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.UINT8}


@pytest.mark.parametrize("recipe", [DYNAMIC, INT8], ids=lambda recipe: recipe.name)
def test_no_operator_of_it_is_quantised_in_onnx(recipe: Any, waveform_bench: Any) -> None:
    import onnx

    graph = onnx.load(str(waveform_bench.conversion_cache.graph(Target(FORMATS["onnx"], recipe)))).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    front_end = [node for node in graph.node if node.name.startswith(f"{SCOPE}/")]
    assert sum(node.op_type in ("MatMul", "Gemm") for node in front_end) == 5
    assert "DequantizeLinear" not in {made_by.get(name) for node in front_end for name in node.input}


def test_it_needs_builtin_operators_only(waveform_bench: Any) -> None:
    operators = graph_facts(waveform_bench.conversion_cache.graph(Target(FORMATS["tflite"], FLOAT32))).operators
    assert not [name for name in operators if name.startswith(("CUSTOM", "Flex"))]
    assert {"FULLY_CONNECTED", "LOG", "GATHER", "ROUND"} <= set(operators)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda item: item.name)
def test_another_spectrogram_in_the_graph_fails_its_parity(format_: Any, waveform_bench: Any, tmp_path: Path) -> None:
    card: ModelCard = waveform_bench.card
    wrong = card.replace(spectrogram=replace(card.spectrogram, top_db=40.0))
    with silence():
        KerasModel(waveform_bench.dataset.run.model).save(tmp_path / "saved", wrong)
    options = GraphOptions(input_kind="waveform", batch="1")
    conversion_cache = ConversionCache(tmp_path, tmp_path / "saved", waveform_bench.calibration, Steps(), options)
    file = tmp_path / f"wrong{format_.suffix}"
    write_with_card(conversion_cache.graph(Target(format_, FLOAT32, "waveform")), card, file)
    report = waveform_bench.report(file, "float32")
    assert not report.held
    assert report.card_differences == ()


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda item: item.name)
def test_a_classifier_runs_both_kinds_from_their_cards_alone(
    format_: Any, bench: Any, waveform_bench: Any, tmp_path: Path
) -> None:
    takes_sound = GenreClassifier.open(_written(Target(format_, FLOAT32, "waveform"), waveform_bench, tmp_path))
    predictions = [takes_sound.classify(samples).probabilities for samples in waveform_bench.shown.sounds[:20]]
    takes_pictures = GenreClassifier.open(_written(Target(format_, FLOAT32), bench, tmp_path))
    expected = [takes_pictures.classify(samples).probabilities for samples in waveform_bench.shown.sounds[:20]]
    np.testing.assert_allclose(predictions, expected, atol=1e-4)
    with pytest.raises(ValueError, match="takes a waveform"):
        takes_sound.classify_image(bench.shown.pictures[0])


def _written(target: Target, bench: Any, folder: Path) -> Path:
    file = folder / f"sound{target.format.suffix}"
    write_with_card(bench.conversion_cache.graph(target), bench.card, file)
    return file


def _sounds(settings: SpectrogramSettings) -> list[Any]:
    rng, length = np.random.default_rng(0), settings.window_samples
    music = tone(settings.window_seconds, sample_rate=settings.sample_rate) * np.linspace(0, 1, length) ** 2
    noise = rng.normal(0, 0.1, length)
    return [sound.astype(np.float32) for sound in (music + 0.01 * noise, noise, np.zeros(length))]

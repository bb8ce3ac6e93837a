from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import open_interpreter
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from export.exporter import ConversionCache
from export.frontend import SCOPE, KerasModel, spectrogram_image
from export.metadata import graph_facts, write_with_card
from export.recipes import DYNAMIC, FLOAT32, FORMATS, INT8, GraphOptions, Target
from tests.conftest import tone
from tests.export.conftest import ParityKit
from train.libraries import silence
from train.run import Run

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
def test_its_images_are_those_of_the_spectrogram(name: str, colormap: Any) -> None:
    settings = SETTINGS[name]
    spectrogram = Spectrogram(settings, colormap)
    for samples in _waveforms(settings):
        with silence():
            image = spectrogram_image(samples[np.newaxis], settings, colormap).numpy()
        assert image.dtype == np.uint8
        expected = spectrogram.image(samples)
        assert np.mean(image[0] != expected) < 1e-3
        assert np.abs(image[0, ..., 0].astype(int) - expected[..., 0]).max() <= 1  # red is the index in this colormap


def test_its_images_may_have_one_channel() -> None:
    settings, gray = SETTINGS["a low rate"], np.arange(256, dtype=np.uint8)[:, np.newaxis]
    spectrogram = Spectrogram(settings, gray)
    for samples in _waveforms(settings):
        with silence():
            image = spectrogram_image(samples[np.newaxis], settings, gray).numpy()
        assert image.shape == (1, 75, 100, 1)
        assert np.mean(image[0] != spectrogram.image(samples)) < 1e-3


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_file_with_waveform_input_is_within_its_tolerances(
    target: Target, waveform_kit: ParityKit, tmp_path: Path
) -> None:
    file = _written(target, waveform_kit, tmp_path)
    interpreter = open_interpreter(file)
    assert "waveform" in interpreter.input.name
    assert (interpreter.input.type, interpreter.input.shape) == ("float32", (1, 4000))
    report = waveform_kit.report(file, target.recipe.name)
    assert report.passed, report.failures
    assert report.windows >= 500


@pytest.mark.parametrize("recipe", FORMATS["tflite"].recipes, ids=lambda recipe: recipe.name)
def test_no_operator_of_it_is_quantised_in_tflite(recipe: Any, waveform_kit: ParityKit) -> None:
    from ai_edge_litert import schema_py_generated as schema

    file = waveform_kit.cache.graph(Target(FORMATS["tflite"], recipe))
    graph = schema.ModelT.InitFromPackedBuf(file.read_bytes()).subgraphs[0]
    types: Counter[int] = Counter()
    for operator in graph.operators:
        if graph.tensors[operator.outputs[0]].name.startswith(f"{SCOPE}/".encode()):
            inputs = [index for index in operator.inputs if index >= 0]
            types.update(graph.tensors[index].type for index in (*inputs, *operator.outputs))
    assert types[schema.TensorType.FLOAT32] > 30
    assert set(types) == {schema.TensorType.FLOAT32, schema.TensorType.INT32, schema.TensorType.UINT8}


@pytest.mark.parametrize("recipe", [DYNAMIC, INT8], ids=lambda recipe: recipe.name)
def test_no_operator_of_it_is_quantised_in_onnx(recipe: Any, waveform_kit: ParityKit) -> None:
    import onnx

    graph = onnx.load(str(waveform_kit.cache.graph(Target(FORMATS["onnx"], recipe)))).graph
    producers = {output: node.op_type for node in graph.node for output in node.output}
    front_end = [node for node in graph.node if node.name.startswith(f"{SCOPE}/")]
    assert sum(node.op_type in ("MatMul", "Gemm") for node in front_end) == 5
    assert "DequantizeLinear" not in {producers.get(name) for node in front_end for name in node.input}


def test_it_needs_builtin_operators_only(waveform_kit: ParityKit) -> None:
    operators = graph_facts(waveform_kit.cache.graph(Target(FORMATS["tflite"], FLOAT32))).operators
    assert not [name for name in operators if name.startswith(("CUSTOM", "Flex"))]
    assert {"FULLY_CONNECTED", "LOG", "GATHER", "ROUND"} <= set(operators)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda item: item.name)
def test_another_spectrogram_in_the_graph_fails_its_parity(
    format_: Any, waveform_kit: ParityKit, tmp_path: Path
) -> None:
    card = waveform_kit.card
    wrong = card.replace(spectrogram=replace(card.spectrogram, top_db=40.0))
    with silence():
        KerasModel(waveform_kit.dataset.run.model).save(tmp_path / "saved", wrong)
    options = GraphOptions(input_kind="waveform", batch="1")
    cache = ConversionCache(tmp_path, tmp_path / "saved", waveform_kit.calibration, options)
    file = tmp_path / f"wrong{format_.suffix}"
    write_with_card(cache.graph(Target(format_, FLOAT32, "waveform")), card, file)
    report = waveform_kit.report(file, "float32")
    assert not report.passed
    assert report.card_differences == ()


@pytest.mark.parametrize("format_", FORMATS.values(), ids=lambda item: item.name)
def test_a_classifier_runs_both_kinds_from_their_cards_alone(
    format_: Any, image_kit: ParityKit, waveform_kit: ParityKit, tmp_path: Path
) -> None:
    from_waveforms = GenreClassifier.open(_written(Target(format_, FLOAT32, "waveform"), waveform_kit, tmp_path))
    predictions = [from_waveforms.classify(samples).probabilities for samples in waveform_kit.inputs.waveforms[:20]]
    from_images = GenreClassifier.open(_written(Target(format_, FLOAT32), image_kit, tmp_path))
    expected = [from_images.classify(samples).probabilities for samples in waveform_kit.inputs.waveforms[:20]]
    np.testing.assert_allclose(predictions, expected, atol=1e-4)


def _written(target: Target, kit: ParityKit, folder: Path) -> Path:
    file = folder / f"model{target.format.suffix}"
    write_with_card(kit.cache.graph(target), kit.card, file)
    return file


def _waveforms(settings: SpectrogramSettings) -> list[Any]:
    rng, length = np.random.default_rng(0), settings.window_samples
    music = tone(settings.window_seconds, sample_rate=settings.sample_rate) * np.linspace(0, 1, length) ** 2
    noise = rng.normal(0, 0.1, length)
    return [waveform.astype(np.float32) for waveform in (music + 0.01 * noise, noise, np.zeros(length))]


def test_predictions_are_those_of_keras_predict(tiny_run: Run, image_kit: ParityKit) -> None:
    with silence():
        import keras

        expected = keras.models.load_model(tiny_run.model).predict(image_kit.inputs.images[:40], verbose=0)
    np.testing.assert_allclose(image_kit.keras[:40], expected, atol=1e-6)


def test_a_missing_model_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="tmgc-train fit"):
        KerasModel(tmp_path / "model.keras")


def test_a_damaged_model_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"not a model")
    with silence(), pytest.raises(TmgcError, match="cannot be read as a Keras model") as caught:
        KerasModel(path)
    assert "\n" not in str(caught.value)


def test_a_model_whose_input_is_no_image_is_refused(tmp_path: Path) -> None:
    with silence():
        import keras

        inputs = keras.Input((8,))
        keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "model.keras")
        with pytest.raises(TmgcError, match="must be uint8 images"):
            KerasModel(tmp_path / "model.keras")

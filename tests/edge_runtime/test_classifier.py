"""A classifier computes the card's image and scales probabilities with its temperature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import GenreClassifier, ModelCard, Spectrogram
from edge_runtime.audio import mono_recording
from edge_runtime.classifier import with_temperature
from edge_runtime.interpreters import open_interpreter
from edge_runtime.models import SMALL_MODEL
from tests.conftest import tone
from train.demo_corpus import SAMPLE_RATE, synthesize_song


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    exponentials = np.exp(logits)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities.astype(np.float32)


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_samples_become_the_spectrogram_image_of_the_card(form: str, models: dict[str, Path], card: ModelCard) -> None:
    samples = tone(2.0, sample_rate=22_050)
    image = Spectrogram(card.spectrogram, card.colormap_array).image(samples)
    expected = open_interpreter(models[form]).invoke(image)
    found = GenreClassifier.open(models[form]).classify(samples)
    np.testing.assert_array_equal(found.probabilities, expected)
    assert found.spectrogram_ms > 0
    assert found.model_ms > 0


@pytest.mark.parametrize("offset", [-0.3, -0.03, 0.003])
def test_an_offset_of_a_window_changes_no_probability(offset: float) -> None:
    classifier = GenreClassifier.open(SMALL_MODEL)
    rate = classifier.card.spectrogram.sample_rate
    for genre in ("Halk", "Caz"):
        song = synthesize_song(genre, song=1, seconds=4.0)[2 * SAMPLE_RATE :]
        window = mono_recording(song[:, None] * np.float32(0.05), rate=SAMPLE_RATE, sample_rate=rate)
        expected = classifier.classify(window).probabilities
        found = classifier.classify(window + np.float32(offset)).probabilities
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_the_temperature_of_the_card_is_applied(graphs: dict[str, Path], card: ModelCard, tmp_path: Path) -> None:
    from export.metadata import write_with_card

    predictions = []
    for temperature in (1.0, 2.0):
        path = tmp_path / f"{temperature}.tflite"
        write_with_card(graphs["tflite"], replace(card, temperature=temperature), path)
        predictions.append(GenreClassifier.open(path).classify(tone(2.0, sample_rate=22_050)).probabilities)
    np.testing.assert_allclose(predictions[1], with_temperature(predictions[0], 2.0), atol=1e-6)
    assert predictions[1].max() < predictions[0].max()


def test_a_temperature_divides_the_logits() -> None:
    logits = np.array([[1.0, -2.0, 0.5], [3.0, 3.0, -9.0]])
    np.testing.assert_allclose(with_temperature(softmax(logits), 1.7), softmax(logits / 1.7), atol=1e-6)


def test_a_probability_of_zero_stays_a_number() -> None:
    tempered = with_temperature(np.array([1.0, 0.0], np.float32), 2.0)
    assert np.isfinite(tempered).all()
    assert tempered.sum() == pytest.approx(1)

"""The rejection threshold separates music from negatives, and never at the cost of much music."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.spectrogram import SpectrogramSettings
from train.evaluation.rejection import (
    MAX_FALSE_REJECTION,
    WINDOWS_PER_KIND,
    Predict,
    best_threshold,
    choose_threshold,
    evaluate_threshold,
)
from train.synthesis.negatives import KINDS

SETTINGS = SpectrogramSettings(sample_rate=8000, window_seconds=0.5, image_height=16, image_width=16)
LABELS = np.array([0, 0, 1, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], np.float32)


def confidences(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("correct", "negative", "expected"),
    [
        pytest.param((0.9, 0.8, 0.95), (0.3, 0.5), 0.65, id="halfway between music and the rest"),
        pytest.param((0.9, 0.8), (0.95, 0.99), 0.0, id="nothing is rejected where nothing is gained"),
        pytest.param((1.0, 1.0), (1.0, 1.0), 0.0, id="nor where all confidences are the same"),
        pytest.param((), (0.3,), 0.0, id="without correctly classified music"),
        pytest.param((0.9,), (), 0.0, id="without negatives"),
    ],
)
def test_the_best_threshold(correct: tuple[float, ...], negative: tuple[float, ...], expected: float) -> None:
    assert best_threshold(confidences(*correct), confidences(*negative)) == pytest.approx(expected)


def test_at_most_a_tenth_of_the_music_is_rejected_however_confident_the_model_is_of_noise() -> None:
    music = np.linspace(0.1, 1.0, 200, dtype=np.float32)
    threshold = best_threshold(music, np.full(100, 0.6, np.float32))
    assert (music < threshold).mean() <= MAX_FALSE_REJECTION
    assert threshold == 0.0, "the negatives lie beyond that tenth"
    threshold = best_threshold(music, np.linspace(0.0, 0.6, 100, dtype=np.float32))
    assert 0.08 <= (music < threshold).mean() <= MAX_FALSE_REJECTION


def constant_model(*, confidence: float) -> tuple[list[NDArray[np.float32]], Predict]:
    """A model with the same confidence in everything, and the windows that it gets."""
    heard: list[NDArray[np.float32]] = []

    def predict(windows: Sequence[Samples]) -> NDArray[np.float32]:
        heard.append(np.stack(windows))
        return np.tile(np.array([confidence, 1 - confidence], np.float32), (len(windows), 1))

    return heard, predict


def test_the_threshold_is_chosen_on_correct_clips_and_on_other_sounds_than_it_is_evaluated_on() -> None:
    heard, predict = constant_model(confidence=0.55)
    threshold = choose_threshold(PROBABILITIES, LABELS, SETTINGS, predict)
    assert threshold == pytest.approx((0.55 + 0.6) / 2)
    chosen_on = len(heard)
    found = evaluate_threshold(threshold, PROBABILITIES, LABELS, SETTINGS, predict)
    assert [each.false_acceptance_rate for each in found.out_of_distribution] == [0.0] * len(KINDS)
    for earlier, later in zip(heard[:chosen_on], heard[chosen_on:], strict=False):
        assert not np.array_equal(earlier, later)


def test_a_threshold_is_evaluated_on_music_and_on_every_kind_of_negative() -> None:
    _, predict = constant_model(confidence=0.85)
    found = evaluate_threshold(0.75, PROBABILITIES, LABELS, SETTINGS, predict)
    assert (found.coverage, found.selective_accuracy) == (0.5, 1.0)
    assert found.false_rejection_rate == pytest.approx(1 / 3)
    rates = {each.kind: each.false_acceptance_rate for each in found.out_of_distribution}
    assert rates.pop("clatter") > 0.9
    assert rates == {"speech": 1.0, "noise": 1.0, "hum": 1.0, "silence": 0.0}
    assert [each.kind for each in found.out_of_distribution if not each.in_training] == ["clatter"]
    assert {each.windows for each in found.out_of_distribution} == {WINDOWS_PER_KIND}


def test_silence_is_rejected_even_by_a_threshold_of_0() -> None:
    _, predict = constant_model(confidence=0.85)
    found = evaluate_threshold(0.0, PROBABILITIES, LABELS, SETTINGS, predict)
    assert {each.kind: each.false_acceptance_rate for each in found.out_of_distribution}["silence"] == 0.0
    assert found.coverage == 1.0


def test_a_threshold_that_nothing_reaches_has_no_accuracy() -> None:
    _, predict = constant_model(confidence=0.85)
    found = evaluate_threshold(0.99, PROBABILITIES, LABELS, SETTINGS, predict)
    assert (found.coverage, found.selective_accuracy, found.false_rejection_rate) == (0.0, None, 1.0)

"""The threshold for ``unknown`` parts music from what is none, and never at the cost of much music."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from train.evaluation.rejection import (
    MOST_REFUSED,
    NEGATIVES_PER_KIND,
    Predict,
    best_threshold,
    evaluate_threshold,
    pick_threshold,
)
from train.synthesis.negatives import KINDS

SETTINGS = SpectrogramSettings(sample_rate=8000, window_seconds=0.5, image_height=16, image_width=16)
LABELS = np.array([0, 0, 1, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]], np.float32)


def confidences(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        pytest.param((0.9, 0.8, 0.95), (0.3, 0.5), 0.65, id="halfway between music and the rest"),
        pytest.param((0.9, 0.8), (0.95, 0.99), 0.0, id="nothing is refused where nothing is gained"),
        pytest.param((1.0, 1.0), (1.0, 1.0), 0.0, id="nor where all are as sure"),
        pytest.param((), (0.3,), 0.0, id="without music named right"),
        pytest.param((0.9,), (), 0.0, id="without negatives"),
    ],
)
def test_the_best_threshold(right: tuple[float, ...], wrong: tuple[float, ...], expected: float) -> None:
    assert best_threshold(confidences(*right), confidences(*wrong)) == pytest.approx(expected)


def test_at_most_a_tenth_of_the_music_is_refused_however_sure_the_model_is_of_noise() -> None:
    music = np.linspace(0.1, 1.0, 200, dtype=np.float32)
    threshold = best_threshold(music, np.full(100, 0.6, np.float32))
    assert (music < threshold).mean() <= MOST_REFUSED
    assert threshold == 0.0, "the negatives lie beyond that tenth"
    threshold = best_threshold(music, np.linspace(0.0, 0.6, 100, dtype=np.float32))
    assert 0.08 <= (music < threshold).mean() <= MOST_REFUSED


def sure_of(*, loud: float) -> tuple[Spectrogram, list[NDArray[np.uint8]], Predict]:
    """A model of one confidence in everything, and the pictures that it is shown."""
    pictures: list[NDArray[np.uint8]] = []

    def predict(shown: NDArray[np.uint8]) -> NDArray[np.float32]:
        pictures.append(shown)
        return np.tile(np.array([loud, 1 - loud], np.float32), (len(shown), 1))

    colormap = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return Spectrogram(SETTINGS, colormap), pictures, predict


def test_the_threshold_is_picked_on_clips_named_right_and_on_other_sounds_than_it_is_judged_on() -> None:
    spectrogram, pictures, predict = sure_of(loud=0.55)
    threshold = pick_threshold(PROBABILITIES, LABELS, spectrogram, predict)
    assert threshold == pytest.approx((0.55 + 0.6) / 2)
    picked_on = len(pictures)
    found = evaluate_threshold(threshold, PROBABILITIES, LABELS, spectrogram, predict)
    assert [each.given_a_genre for each in found.negatives] == [0.0] * len(KINDS)
    for earlier, later in zip(pictures[:picked_on], pictures[picked_on:], strict=False):
        assert not np.array_equal(earlier, later)


def test_a_threshold_is_judged_on_music_and_on_every_kind_of_impostor() -> None:
    spectrogram, _, predict = sure_of(loud=0.85)
    found = evaluate_threshold(0.75, PROBABILITIES, LABELS, spectrogram, predict)
    assert (found.accepted, found.accepted_accuracy) == (0.5, 1.0)
    assert found.right_refused == pytest.approx(1 / 3)
    rates = {each.kind: each.given_a_genre for each in found.negatives}
    assert rates.pop("clatter") > 0.9
    assert rates == {"speech": 1.0, "noise": 1.0, "hum": 1.0, "silence": 0.0}
    assert [each.kind for each in found.negatives if not each.trained_on] == ["clatter"]
    assert {each.sounds for each in found.negatives} == {NEGATIVES_PER_KIND}


def test_silence_is_given_no_genre_even_by_a_threshold_of_nought() -> None:
    spectrogram, _, predict = sure_of(loud=0.85)
    found = evaluate_threshold(0.0, PROBABILITIES, LABELS, spectrogram, predict)
    assert {each.kind: each.given_a_genre for each in found.negatives}["silence"] == 0.0
    assert found.accepted == 1.0


def test_a_threshold_that_nothing_reaches_has_no_accuracy() -> None:
    spectrogram, _, predict = sure_of(loud=0.85)
    found = evaluate_threshold(0.99, PROBABILITIES, LABELS, spectrogram, predict)
    assert (found.accepted, found.accepted_accuracy, found.right_refused) == (0.0, None, 1.0)

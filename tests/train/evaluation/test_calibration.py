"""Reliability is measured as by Guo et al. (2017), and a temperature is used only where it is shown to help."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from train.evaluation.calibration import fit_temperature, reliability

Labels = NDArray[np.int64]


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def calibrated_logits(songs: int, *, clips: int = 1, seed: int = 0) -> tuple[NDArray[np.float64], Labels]:
    """Logits, and labels that are drawn from the very probabilities of the logits; the clips of a song are the same."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, (songs, 5))
    labels = (rng.random((songs, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(0, 4)
    return np.repeat(logits, clips, axis=0), np.repeat(labels, clips)


def groups_of(songs: int, *, clips: int = 1) -> list[NDArray[np.intp]]:
    return [np.arange(clips * song, clips * (song + 1)) for song in range(songs)]


def calibration_error(probabilities: NDArray[np.float32], labels: Labels) -> float:
    return reliability(probabilities, labels).expected_calibration_error


@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_the_temperature_undoes_overconfidence_and_underconfidence(sharpness: float) -> None:
    logits, labels = calibrated_logits(5000)
    probabilities = softmax(logits * sharpness)
    fit = fit_temperature(probabilities, labels, groups_of(5000))
    assert fit.temperature == pytest.approx(sharpness, rel=0.15)
    scaled = with_temperature(probabilities, fit.temperature)
    low, high = fit.accuracy_ci
    assert low - 1e-4 <= scaled.max(axis=1).mean() <= high + 1e-4
    assert calibration_error(scaled, labels) < 0.03 < calibration_error(probabilities, labels)


@pytest.mark.parametrize("songs", [3, 10, 30, 100])
@pytest.mark.parametrize("sharpness", [0.5, 0.7, 1.0, 1.5, 3.0])
def test_calibration_from_few_songs_does_not_hurt_on_others(songs: int, sharpness: float) -> None:
    logits, labels = calibrated_logits(8000, seed=100)
    others = softmax(logits * sharpness)
    before, changes = calibration_error(others, labels), []
    for seed in range(20):
        few, few_labels = calibrated_logits(songs, clips=3, seed=seed)
        fit = fit_temperature(softmax(few * sharpness), few_labels, groups_of(songs, clips=3))
        changes.append(calibration_error(with_temperature(others, fit.temperature), labels) - before)
    assert sum(change > 0.005 for change in changes) <= 1, "the interval misses the accuracy once in twenty"
    assert np.mean(changes) <= 0.002


def test_the_temperature_stays_1_where_the_split_is_too_small_to_show_a_miscalibration() -> None:
    logits, labels = calibrated_logits(20, clips=3)
    fit = fit_temperature(softmax(logits), labels, groups_of(20, clips=3))
    assert fit.temperature == 1.0
    assert fit.accuracy_ci[0] < fit.confidence < fit.accuracy_ci[1]
    assert fit.reason == "the mean confidence lies in the confidence interval of the accuracy"
    assert (fit.clips, fit.groups) == (60, 20)


def test_clips_of_one_group_are_not_counted_as_independent() -> None:
    certain, labels = np.tile(np.array([[0.6, 0.4]], np.float32), (400, 1)), np.zeros(400, np.int64)
    assert fit_temperature(certain, labels, groups_of(2, clips=200)).temperature == 1.0
    assert fit_temperature(certain, labels, groups_of(400)).temperature < 0.5


def test_the_temperature_stays_1_where_the_likelihood_or_the_calibration_error_would_worsen() -> None:
    # Most clips are hesitant and correct, and the true genre of the others is improbable: more confidence costs more.
    probabilities = np.array([[0.34, 0.33, 0.33]] * 90 + [[0.34, 0.65, 0.01]] * 10, np.float32)
    fit = fit_temperature(probabilities, np.array([0] * 90 + [2] * 10), groups_of(100))
    assert fit.temperature == 1.0
    assert fit.reason == "scaling would make the calibration of validation clips worse"


@pytest.mark.parametrize("clips", [2, 50])
def test_where_every_clip_is_correct_confidence_grows_no_further_than_so_few_clips_allow(clips: int) -> None:
    hesitant = np.tile(np.array([[0.7, 0.3]], np.float32), (clips, 1))
    fit = fit_temperature(hesitant, np.zeros(clips, np.int64), groups_of(clips))
    confidence = with_temperature(hesitant, fit.temperature)[0, 0]
    assert confidence == pytest.approx(max(0.7, fit.accuracy_ci[0]), abs=1e-4)
    assert confidence < (clips + 1) / (clips + 2)


@pytest.mark.parametrize("clips", [2, 500])
def test_where_every_clip_is_wrong_the_temperature_stays_in_its_bounds(clips: int) -> None:
    wrong = np.tile(np.array([[1.0, 0.0]], np.float32), (clips, 1))
    assert 1.0 < fit_temperature(wrong, np.ones(clips, np.int64), groups_of(clips)).temperature <= 20.0


def test_the_expected_calibration_error_is_that_of_a_worked_example() -> None:
    confidences = np.array([0.9, 0.92, 0.91, 0.93, 0.55, 0.57], np.float32)  # bins 13 (0.867 to 0.933) and 8
    probabilities = np.stack([confidences, 1 - confidences], axis=1)
    found = reliability(probabilities, np.array([0, 0, 0, 1, 0, 1]))
    assert [each.clips for each in found.bins] == [2, 4]
    assert [each.accuracy for each in found.bins] == [0.5, 0.75]
    assert found.bins[0].low < 0.55 < found.bins[0].high < 0.601
    assert found.expected_calibration_error == pytest.approx((2 * 0.06 + 4 * 0.165) / 6, abs=1e-6)


@pytest.mark.parametrize("confidence", [1.0, 1 / 15, 0.5])
def test_every_confidence_has_its_bin(confidence: float) -> None:
    rest = np.full(19, (1 - confidence) / 19)
    (only,) = reliability(np.array([[confidence, *rest]], np.float32), np.array([0])).bins
    assert only.low - 1e-6 < confidence <= only.high + 1e-6

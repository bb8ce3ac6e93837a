"""Confidence is measured as Guo et al. do it, and mended by a temperature that validation clips bear out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from train.evaluation.calibration import fit_temperature, reliability


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    split_ratios: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return split_ratios


def honest_answers(clips: int = 4000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and labels that are drawn from the very probabilities of the logits."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 1.5, (clips, 5))
    labels = (rng.random((clips, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(0, 4)
    return logits, labels


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_a_model_too_sure(sharpened: float) -> None:
    logits, labels = honest_answers()
    boasting = softmax(logits * sharpened)
    found = fit_temperature(boasting, labels)
    assert found == pytest.approx(sharpened, rel=0.1)
    after = reliability(with_temperature(boasting, found), labels)
    assert after.expected_calibration_error < 0.03
    assert after.negative_log_likelihood <= reliability(boasting, labels).negative_log_likelihood + 1e-6


@pytest.mark.parametrize("clips", [2, 50])
def test_where_every_clip_is_right_confidence_grows_no_further_than_so_few_clips_allow(clips: int) -> None:
    hesitating = np.tile(np.array([[0.7, 0.3]], np.float32), (clips, 1))
    found = fit_temperature(hesitating, np.zeros(clips, np.int64))
    confidence = with_temperature(hesitating, found)[0, 0]
    assert confidence == pytest.approx((clips + 1) / (clips + 2), abs=0.01)


def test_where_every_clip_is_wrong_the_temperature_stays_in_its_bounds() -> None:
    assert 1.0 < fit_temperature(np.array([[1.0, 0.0], [1.0, 0.0]], np.float32), np.array([1, 1])) <= 20.0


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

"""Temperature scaling of confidences, by no more than the validation split shows to be needed.

C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger: "On calibration of modern neural networks", ICML 2017.
L. Clarté, B. Loureiro, F. Krzakala, L. Zdeborová: "Expectation consistency for calibration of neural networks", UAI
2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from train.evaluation.metrics import Interval, accuracy_interval

BINS = 15
"""Of equal width, as in Guo et al. (2017)."""

_TEMPERATURES = (0.05, 20.0)
"""Beyond them every prediction is as good as certain, or as good as uniform."""

_MIN_PROBABILITY = 1e-30
"""The floor of :func:`edge_runtime.classifier.with_temperature`."""


@dataclass(frozen=True)
class Bin:
    """Clips of similar confidence."""

    low: float
    """Lower edge, excluded, in [0, 1)."""
    high: float
    """Upper edge, included."""
    clips: int
    confidence: float
    """Mean, in [0, 1]."""
    accuracy: float
    """In [0, 1]."""


@dataclass(frozen=True)
class Reliability:
    """How far confidences are from accuracies."""

    expected_calibration_error: float
    """Mean distance of confidence from accuracy over the bins, weighted by their clips, in [0, 1]."""
    negative_log_likelihood: float
    """Mean over clips, nats."""
    bins: tuple[Bin, ...]
    """Those that hold a clip, by rising confidence."""


@dataclass(frozen=True)
class TemperatureFit:
    """The temperature of a model, and what it follows from on the validation split."""

    temperature: float
    """Divides the logits; 1 leaves them alone."""
    clips: int
    groups: int
    """Groups of songs, over which the interval is bootstrapped."""
    accuracy: float
    """Of the clips, in [0, 1]."""
    accuracy_ci: Interval
    """95 % CI."""
    confidence: float
    """Mean of the unscaled predictions, in [0, 1]."""
    reason: str
    """Why the temperature is what it is."""


@dataclass(frozen=True)
class Calibration:
    """Reliability on the evaluated split before and after temperature scaling."""

    fit: TemperatureFit
    """On the validation split, whichever split is evaluated."""
    before: Reliability
    after: Reliability


def fit_temperature(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], groups: Sequence[NDArray[np.intp]]
) -> TemperatureFit:
    """Choose the temperature closest to 1 whose mean confidence agrees with the accuracy.

    Temperature scaling (Guo et al. 2017) divides the logits by one number. On a small validation split, the number of
    the highest likelihood often makes calibration worse. So the temperature is the one of expectation consistency
    (Clarté et al. 2023), whose mean confidence equals the accuracy, but only as far as is certain: the mean confidence
    moves to the nearest end of the accuracy's 95 % confidence interval. Within the interval, the split is too small
    to show a miscalibration, and the temperature stays 1. It also stays 1 where the expected calibration error or the
    negative log likelihood on the validation split would increase.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        Of the validation split, unscaled.
    labels : np.ndarray [shape=(n_clips,)], int
    groups : sequence of np.ndarray of int
        Positions of the clips of each group, as of :func:`train.evaluation.metrics.rows_of_groups`.
    """
    correct = probabilities.argmax(axis=1) == labels
    low, high = accuracy_interval(correct, groups)
    confidence = _mean_confidence(probabilities, 1.0)
    temperature, reason = 1.0, "the mean confidence lies in the confidence interval of the accuracy"
    if not low <= confidence <= high:
        temperature = _temperature_of(probabilities, min(max(confidence, low), high))
        reason = "the mean confidence lies outside the confidence interval of the accuracy"
        if _worsens(
            reliability(probabilities, labels), reliability(with_temperature(probabilities, temperature), labels)
        ):
            temperature, reason = 1.0, "scaling would make the calibration of validation clips worse"
    return TemperatureFit(
        temperature=temperature,
        clips=len(labels),
        groups=len(groups),
        accuracy=float(correct.mean()),
        accuracy_ci=(low, high),
        confidence=confidence,
        reason=reason,
    )


def reliability(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Reliability:
    """Confidence and accuracy by bins of confidence, and the expected calibration error (Guo et al. 2017).

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
    labels : np.ndarray [shape=(n_clips,)], int
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    numbers = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for number in np.unique(numbers).tolist():
        inside = numbers == number
        mean, accuracy = float(confidences[inside].mean()), float(correct[inside].mean())
        bins.append(Bin(number / BINS, (number + 1) / BINS, int(inside.sum()), mean, accuracy))
    gaps = sum(each.clips * abs(each.accuracy - each.confidence) for each in bins)
    return Reliability(
        expected_calibration_error=gaps / len(correct),
        negative_log_likelihood=_negative_log_likelihood(probabilities, labels),
        bins=tuple(bins),
    )


def _mean_confidence(probabilities: NDArray[np.float32], temperature: float) -> float:
    return float(with_temperature(probabilities, temperature).max(axis=1).mean(dtype=np.float64))


def _temperature_of(probabilities: NDArray[np.float32], confidence: float) -> float:
    """The temperature of a mean confidence, which falls as the temperature rises; the nearest one in bounds."""
    from scipy.optimize import brentq

    def excess(exponent: float) -> float:
        return _mean_confidence(probabilities, float(np.exp(exponent))) - confidence

    low, high = np.log(_TEMPERATURES)
    if excess(low) <= 0:
        return _TEMPERATURES[0]
    if excess(high) >= 0:
        return _TEMPERATURES[1]
    return float(np.exp(brentq(excess, low, high, xtol=1e-6)))


def _worsens(before: Reliability, after: Reliability) -> bool:
    return (
        after.expected_calibration_error > before.expected_calibration_error
        or after.negative_log_likelihood > before.negative_log_likelihood
    )


def _negative_log_likelihood(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, _MIN_PROBABILITY)).mean())

"""Whether a confidence is a probability: reliability, and the temperature that mends it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature

BINS = 15
"""Of equal width, as in Guo et al. (2017)."""

_TEMPERATURES = (0.05, 20.0)
"""Beyond them every answer is as good as certain, or as good as a guess."""

_LEAST_PROBABILITY = 1e-30
"""The floor that :func:`edge_runtime.classifier.with_temperature` has."""


@dataclass(frozen=True)
class Bin:
    """Clips of about one confidence."""

    low: float
    """Their confidences lie above it, in [0, 1)."""
    high: float
    """And do not exceed it."""
    clips: int
    confidence: float
    """Mean, in [0, 1]."""
    accuracy: float
    """Share that was named right, in [0, 1]."""


@dataclass(frozen=True)
class Reliability:
    """How far confidences are from the share of right answers."""

    expected_calibration_error: float
    """Mean distance of confidence from accuracy over the bins, weighted by their clips, in [0, 1]."""
    negative_log_likelihood: float
    """Mean over clips, nats."""
    bins: tuple[Bin, ...]
    """Those that hold a clip, from the least to the most confident."""


@dataclass(frozen=True)
class Calibration:
    """Reliability on the split that was judged, before and after temperature scaling."""

    temperature: float
    """Fitted on the validation split, whichever split was judged."""
    validation_clips: int
    """Clips that it was fitted on."""
    before: Reliability
    after: Reliability


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature of the lowest negative log likelihood (Guo et al. 2017), in [0.05, 20].

    The likelihood is that of Platt's targets (1999): of n clips, the true genre of each has probability
    (n + 1) / (n + 2), and the others share the rest. Where every clip is named right the temperature so stays finite.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        Of the validation split, before any temperature.
    labels : np.ndarray [shape=(n_clips,)], int
    """
    from scipy.optimize import minimize_scalar

    clips, genres = probabilities.shape
    targets = np.full((clips, genres), 1.0 / (clips + 2) / (genres - 1))
    targets[np.arange(clips), labels] = (clips + 1) / (clips + 2)

    def cross_entropy(exponent: float) -> float:
        tempered = with_temperature(probabilities, float(np.exp(exponent))).astype(np.float64)
        return float(-(targets * np.log(np.maximum(tempered, _LEAST_PROBABILITY))).sum(axis=1).mean())

    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(cross_entropy, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def reliability(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Reliability:
    """Confidences held against accuracies, by bins of confidence (Guo et al. 2017).

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
    labels : np.ndarray [shape=(n_clips,)], int
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    numbers = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for number in np.unique(numbers).tolist():
        held = numbers == number
        mean, accuracy = float(confidences[held].mean()), float(right[held].mean())
        bins.append(Bin(number / BINS, (number + 1) / BINS, int(held.sum()), mean, accuracy))
    return Reliability(
        expected_calibration_error=sum(each.clips * abs(each.accuracy - each.confidence) for each in bins) / len(right),
        negative_log_likelihood=_negative_log_likelihood(probabilities, labels),
        bins=tuple(bins),
    )


def _negative_log_likelihood(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)).mean())

"""The rejection threshold: below it a prediction is ``unknown``. What it rejects, and what it accepts by mistake.

Rejection by the maximum softmax probability is the baseline of Hendrycks and Gimpel (2017), "A baseline for detecting
misclassified and out-of-distribution examples in neural networks".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples, level_dbfs
from edge_runtime.listener import ListenSettings
from edge_runtime.spectrogram import SpectrogramSettings
from train.evaluation.metrics import Interval, wilson_interval
from train.synthesis.negatives import KINDS, TRAINED_ON, negatives

MAX_FALSE_REJECTION = 0.1
"""Largest share of correctly classified validation clips that a threshold may reject: a listener is there to name
music."""

WINDOWS_PER_KIND = 50
"""With none of them accepted, the 95 % CI of the false acceptance rate ends at 7 %."""

_SEEDS = {"choose": 1, "evaluate": 2}
"""The threshold is evaluated on other sounds than it was chosen on."""

Predict = Callable[[Sequence[Samples]], NDArray[np.float32]]
"""Windows, each ``[shape=(window_samples,)], float32 in [-1, 1]``, to probabilities ``[shape=(n, n_genres)]``."""


@dataclass(frozen=True)
class OutOfDistribution:
    """Rejection of one kind of sound that is not music."""

    kind: str
    """``speech``, ``noise``, ``hum``, ``silence`` or ``clatter``."""
    in_training: bool
    """Whether training may have shown the network other sounds of this kind (outlier exposure)."""
    windows: int
    false_acceptance_rate: float
    """Share of the windows that are classified as a genre, in [0, 1]."""
    false_acceptance_ci: Interval
    """95 % CI (Wilson)."""


@dataclass(frozen=True)
class Rejection:
    """The threshold and its effect on the evaluated split. Shares lie in [0, 1]."""

    threshold: float
    """Confidence, after temperature scaling, below which the prediction is ``unknown``; chosen on the validation
    split."""
    coverage: float
    """Share of clips that are accepted."""
    selective_accuracy: float | None
    """Accuracy on the accepted clips; None where there are none."""
    false_rejection_rate: float
    """Share of the correctly classified clips that are rejected."""
    out_of_distribution: tuple[OutOfDistribution, ...]
    """On other sounds than those that the threshold was chosen on."""


def best_threshold(correct: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    """The threshold that best separates music from negatives.

    It is the lowest of those with the highest Youden's J (1950), the share of correctly classified music accepted
    minus the share of negatives accepted, among those that reject at most a tenth of that music. Candidates lie
    halfway between neighbouring confidences, and 0 is one of them: where nothing is gained, nothing is rejected.

    Parameters
    ----------
    correct : np.ndarray [shape=(n,)], float32 in [0, 1]
        Confidences of the correctly classified validation clips.
    negative : np.ndarray [shape=(m,)], float32 in [0, 1]
        Confidences of negatives.

    Returns
    -------
    threshold : float in [0, 1]
    """
    if not len(correct) or not len(negative):
        return 0.0
    confidences = np.unique(np.concatenate([correct, negative]).astype(np.float64))
    candidates = np.concatenate([[0.0], (confidences[:-1] + confidences[1:]) / 2])
    accepted, false_accepted = (
        1.0 - np.searchsorted(np.sort(each.astype(np.float64)), candidates) / len(each) for each in (correct, negative)
    )
    j = np.where(accepted >= 1.0 - MAX_FALSE_REJECTION, accepted - false_accepted, -1.0)
    return float(candidates[j.argmax()])


def choose_threshold(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], settings: SpectrogramSettings, predict: Predict
) -> float:
    """The rejection threshold of a model, by :func:`best_threshold`.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        Of the validation split, after temperature scaling.
    labels : np.ndarray [shape=(n_clips,)], int
    settings : SpectrogramSettings
    predict : Predict
        With temperature scaling.
    """
    correct = probabilities.max(axis=1)[probabilities.argmax(axis=1) == labels]
    negative = [negative_confidences(kind, settings, predict, purpose="choose") for kind in TRAINED_ON]
    return best_threshold(correct, np.concatenate(negative))


def evaluate_threshold(
    threshold: float,
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    settings: SpectrogramSettings,
    predict: Predict,
) -> Rejection:
    """The effect of a threshold on the clips of a split and on negatives.

    Parameters
    ----------
    threshold : float in [0, 1]
    probabilities, labels, settings, predict
        As for :func:`choose_threshold`, of the evaluated split.
    """
    accepted = probabilities.max(axis=1) >= threshold
    correct = probabilities.argmax(axis=1) == labels
    return Rejection(
        threshold=threshold,
        coverage=float(accepted.mean()),
        selective_accuracy=float(correct[accepted].mean()) if accepted.any() else None,
        false_rejection_rate=float((correct & ~accepted).sum() / max(1, correct.sum())),
        out_of_distribution=tuple(_evaluate_kind(kind, threshold, settings, predict) for kind in KINDS),
    )


def negative_confidences(
    kind: str, settings: SpectrogramSettings, predict: Predict, *, purpose: str
) -> NDArray[np.float32]:
    """Confidences of negatives as a listener computes them: 0 for what is below its silence threshold.

    Parameters
    ----------
    kind : str
        One of :data:`train.synthesis.negatives.KINDS`.
    settings : SpectrogramSettings
    predict : Predict
    purpose : str
        ``choose`` or ``evaluate``: the sounds differ.

    Returns
    -------
    confidences : np.ndarray [shape=(WINDOWS_PER_KIND,)], float32 in [0, 1]
    """
    sounds = list(negatives(kind, settings, count=WINDOWS_PER_KIND, seed=_SEEDS[purpose]))
    heard = [number for number, samples in enumerate(sounds) if level_dbfs(samples) >= ListenSettings().silence_dbfs]
    confidences = np.zeros(WINDOWS_PER_KIND, np.float32)
    if heard:
        confidences[heard] = predict([sounds[number] for number in heard]).max(axis=1)
    return confidences


def _evaluate_kind(kind: str, threshold: float, settings: SpectrogramSettings, predict: Predict) -> OutOfDistribution:
    confidences = negative_confidences(kind, settings, predict, purpose="evaluate")
    # Silence has no confidence that a threshold of 0 could accept.
    accepted = int(((confidences >= threshold) & (confidences > 0)).sum())
    return OutOfDistribution(
        kind=kind,
        in_training=kind in TRAINED_ON,
        windows=len(confidences),
        false_acceptance_rate=accepted / len(confidences),
        false_acceptance_ci=wilson_interval(accepted, len(confidences)),
    )

"""When to answer ``unknown``: the threshold of confidence, what music it refuses and what else it lets pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import level_dbfs
from edge_runtime.listener import ListenSettings
from edge_runtime.spectrogram import Spectrogram
from train.evaluation.metrics import wilson_interval
from train.synthesis.negatives import KINDS, TRAINED_ON, negatives

MOST_REFUSED = 0.1
"""Share of rightly named validation clips that a threshold may refuse: a listener is there to name music."""

NEGATIVES_PER_KIND = 50
"""Of which none being given a genre means a rate below 7 %, by the 95 % interval."""

_SEEDS = {"picking": 1, "reporting": 2}
"""The threshold is not judged on the sounds that it was picked on."""

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Pictures ``[shape=(n, image_height, image_width, 3)], uint8`` to probabilities ``[shape=(n, n_genres)]``."""


@dataclass(frozen=True)
class Negatives:
    """What happens to one kind of sound that is no music."""

    kind: str
    """``speech``, ``noise``, ``hum``, ``silence`` or ``clatter``."""
    trained_on: bool
    """Whether training may have shown the network other sounds of this kind."""
    sounds: int
    given_a_genre: float
    """Share that is wrongly given a genre, in [0, 1]."""
    interval: tuple[float, float]
    """95 % interval after Wilson."""


@dataclass(frozen=True)
class Unknown:
    """The threshold, and what it does on the split that was judged. Shares lie in [0, 1]."""

    threshold: float
    """Confidence, after temperature, below which the answer is ``unknown``; picked on the validation split."""
    accepted: float
    """Share of clips that are given a genre."""
    accepted_accuracy: float | None
    """Share of those that are named right; None where there are none."""
    right_refused: float
    """Share of the clips that would be named right, but are answered ``unknown``."""
    negatives: tuple[Negatives, ...]
    """Other sounds than those that the threshold was picked on."""


def best_threshold(right: NDArray[np.float32], wrong: NDArray[np.float32]) -> float:
    """The threshold that best parts music from what is none.

    It is the lowest of those with the highest Youden's J (1950), that is the share of rightly named music accepted
    minus the share of negatives accepted, among those that refuse at most a tenth of the music. Thresholds lie halfway
    between neighbouring confidences, and 0 is one of them: where nothing can be gained nothing is refused.

    Parameters
    ----------
    right : np.ndarray [shape=(n,)], float32 in [0, 1]
        Confidences of the validation clips that were named right.
    wrong : np.ndarray [shape=(m,)], float32 in [0, 1]
        Confidences of negatives.
    """
    if not len(right) or not len(wrong):
        return 0.0
    confidences = np.unique(np.concatenate([right, wrong]).astype(np.float64))
    candidates = np.concatenate([[0.0], (confidences[:-1] + confidences[1:]) / 2])
    kept, passed = (
        1.0 - np.searchsorted(np.sort(each.astype(np.float64)), candidates) / len(each) for each in (right, wrong)
    )
    gain = np.where(kept >= 1.0 - MOST_REFUSED, kept - passed, -1.0)
    return float(candidates[gain.argmax()])


def negative_confidences(kind: str, spectrogram: Spectrogram, predict: Predict, *, purpose: str) -> NDArray[np.float32]:
    """Confidences of negatives as a listener would have them: 0 for what is silence to it.

    Parameters
    ----------
    kind : str
    spectrogram : Spectrogram
    predict : Predict
    purpose : str
        ``picking`` or ``reporting``: the sounds differ.

    Returns
    -------
    confidences : np.ndarray [shape=(n,)], float32 in [0, 1]
    """
    confidences, pictures = np.zeros(NEGATIVES_PER_KIND, np.float32), {}
    sounds = negatives(kind, spectrogram.settings, count=NEGATIVES_PER_KIND, seed=_SEEDS[purpose])
    for number, samples in enumerate(sounds):
        if level_dbfs(samples) >= ListenSettings().silence_dbfs:
            pictures[number] = spectrogram.image(samples)
    if pictures:
        confidences[list(pictures)] = predict(np.stack(list(pictures.values()))).max(axis=1)
    return confidences


def pick_threshold(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], spectrogram: Spectrogram, predict: Predict
) -> float:
    """The threshold for ``unknown``, by :func:`best_threshold`.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        Of the validation split, after temperature.
    labels : np.ndarray [shape=(n_clips,)], int
    spectrogram : Spectrogram
    predict : Predict
        After temperature.
    """
    right = probabilities.max(axis=1)[probabilities.argmax(axis=1) == labels]
    wrong = [negative_confidences(kind, spectrogram, predict, purpose="picking") for kind in TRAINED_ON]
    return best_threshold(right, np.concatenate(wrong))


def evaluate_threshold(
    threshold: float,
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    spectrogram: Spectrogram,
    predict: Predict,
) -> Unknown:
    """What a threshold does to the clips of a split and to negatives.

    Parameters
    ----------
    threshold : float in [0, 1]
    probabilities, labels, spectrogram, predict
        As for :func:`pick_threshold`, of the split that is judged.
    """
    accepted = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1) == labels
    found = []
    for kind in KINDS:
        confidences = negative_confidences(kind, spectrogram, predict, purpose="reporting")
        # What a listener answers with silence has no confidence that a threshold of 0 could accept.
        named = int(((confidences >= threshold) & (confidences > 0)).sum())
        interval = wilson_interval(named, len(confidences))
        found.append(Negatives(kind, kind in TRAINED_ON, len(confidences), named / len(confidences), interval))
    return Unknown(
        threshold=threshold,
        accepted=float(accepted.mean()),
        accepted_accuracy=float(right[accepted].mean()) if accepted.any() else None,
        right_refused=float((right & ~accepted).sum() / max(1, right.sum())),
        negatives=tuple(found),
    )

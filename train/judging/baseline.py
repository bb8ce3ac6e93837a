"""The baseline that a network is to beat on the same split: MFCC statistics and an SVM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.corpus import Corpus
from train.progress import Reporter


@dataclass(frozen=True)
class Baseline:
    """Accuracy of the baseline, and how far the network is from it."""

    name: str
    clip_accuracy: float
    clip_interval: tuple[float, float]
    song_accuracy: float
    song_interval: tuple[float, float]
    difference: float
    difference_interval: tuple[float, float]
    verdict: str


def fit_baseline(corpus: Corpus, split: str, probabilities: NDArray[np.float32], reporter: Reporter) -> Baseline:
    """Fit the baseline and judge it beside the network."""
    raise NotImplementedError

"""The floor that a network must rise above: statistics of MFCC with a support vector machine, on the same split.

Genre classification from the mean and spread of short-time features is Tzanetakis and Cook's (2002), "Musical genre
classification of audio signals". It fits in seconds, so a network that does not beat it is not worth its cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from train.dataset.dataset import Clip, Dataset
from train.evaluation.metrics import Difference, compute_scores, paired_difference
from train.progress import Reporter

_COEFFICIENTS = 20
"""MFCC of a frame, librosa's own number."""

_GRID = {"C": (3.0, 1.0, 10.0, 30.0), "gamma": (0.01, 0.003)}
"""What the validation songs choose from, the usual choice first; features are standardised."""


@dataclass(frozen=True)
class Baseline:
    """The baseline's accuracy on one split, and the network's against it."""

    name: str
    """What it is, and the settings that were chosen."""
    clip_accuracy: float
    """Share of clips that were named right, in [0, 1]."""
    clip_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs."""
    song_accuracy: float
    """Share of songs that were named right, in [0, 1]."""
    song_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs."""
    difference: float
    """Clip accuracy of the network less that of the baseline."""
    difference_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs, both judged on the same."""
    verdict: str
    """What follows, in one sentence."""


def fit_baseline(dataset: Dataset, split: str, probabilities: NDArray[np.float32], reporter: Reporter) -> Baseline:
    """Fit the baseline to the training songs, and hold a network against it on one split.

    The baseline is given what the network is: it learns from the training songs, and the validation songs are for
    choosing among its settings and for nothing else.

    Parameters
    ----------
    dataset : Dataset
    split : str
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        The network's, for the clips of that split in the order of ``dataset.csv``.
    reporter : Reporter

    Raises
    ------
    TmgcError
        The sound of a clip is missing.
    """
    clips = {name: dataset.of(name) for name in dict.fromkeys(("train", "validation", split))}
    reporter.phase("computing MFCC statistics for the baseline", sum(map(len, clips.values())))
    features = {name: _statistics_of(dataset, some, reporter) for name, some in clips.items()}
    truth = {name: dataset.labels(some) for name, some in clips.items()}
    machine, chosen = fit_svm(
        (features["train"], truth["train"]), (features["validation"], truth["validation"]), reporter
    )
    predictions = _probabilities(machine, features[split])
    judged = compute_scores(predictions, clips[split], dataset.genres, split=split)
    difference = paired_difference(
        probabilities.argmax(axis=1) == truth[split], predictions.argmax(axis=1) == truth[split], clips[split]
    )
    return Baseline(
        name=f"SVM on MFCC statistics (C={chosen['C']:g}, gamma={chosen['gamma']:g})",
        clip_accuracy=judged.clip_accuracy,
        clip_interval=judged.clip_interval,
        song_accuracy=judged.song_accuracy,
        song_interval=judged.song_interval,
        difference=difference.value,
        difference_interval=difference.interval,
        verdict=_verdict(difference),
    )


def mfcc_statistics(samples: Samples, sample_rate: int) -> NDArray[np.float32]:
    """Mean and standard deviation over time of MFCC and of their first and second derivatives.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
        2048 or more.
    sample_rate : int > 0, Hz

    Returns
    -------
    features : np.ndarray [shape=(120,)], float32

    See Also
    --------
    librosa.feature.mfcc, librosa.feature.delta : with their own settings
    """
    import librosa

    mfcc = librosa.feature.mfcc(y=samples, sr=sample_rate, n_mfcc=_COEFFICIENTS)
    # librosa's 9 frames where there are as many, else as many as there are: a width must be odd.
    width = min(9, (mfcc.shape[1] - 1) // 2 * 2 + 1)
    series = [mfcc, *(librosa.feature.delta(mfcc, order=order, width=width) for order in (1, 2))]
    statistics = [statistic for part in series for statistic in (part.mean(axis=1), part.std(axis=1))]
    return np.concatenate(statistics).astype(np.float32)


def fit_svm(
    train: tuple[NDArray[np.float32], NDArray[np.int64]],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]],
    reporter: Reporter,
) -> tuple[Any, dict[str, float]]:
    """A support vector machine with a radial kernel, fitted to the one part, its settings chosen on the other.

    Parameters
    ----------
    train, validation : features [shape=(n, n_features)], float32, and labels [shape=(n,)], int64
    reporter : Reporter

    Returns
    -------
    machine : sklearn.pipeline.Pipeline
    chosen : dict
        Its ``C`` and ``gamma``.
    """
    from sklearn.model_selection import ParameterGrid
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    grid = list(ParameterGrid(_GRID))
    reporter.phase("choosing the baseline's settings on the validation songs", len(grid))
    machines = [make_pipeline(StandardScaler(), SVC(**settings)) for settings in grid]
    scores = []
    for machine in machines:
        scores.append(machine.fit(*train).score(*validation))
        reporter.step({"accuracy": scores[-1]})
    best = int(np.argmax(scores))
    return machines[best], grid[best]


def _statistics_of(dataset: Dataset, clips: Sequence[Clip], reporter: Reporter) -> NDArray[np.float32]:
    rows = []
    for clip in clips:
        rows.append(mfcc_statistics(dataset.samples(clip), dataset.spectrogram.sample_rate))
        reporter.step({})
    return np.stack(rows)


def _probabilities(machine: Any, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The softmax of the machine's decisions: not calibrated, but fit for the mean over a song's clips."""
    from scipy.special import softmax

    decisions = machine.decision_function(features)
    if decisions.ndim == 1:  # of two genres, scikit-learn gives one column
        decisions = np.stack([-decisions, decisions], axis=1)
    probabilities: NDArray[np.float32] = softmax(decisions, axis=1).astype(np.float32)
    return probabilities


def _verdict(difference: Difference) -> str:
    if difference.sign > 0:
        return "the network beats the baseline"
    if difference.sign < 0:
        return "the network does not beat the baseline: the baseline is better"
    return f"no difference between the network and the baseline can be told from {difference.songs} songs"

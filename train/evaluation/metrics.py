"""Accuracy, F1 and confusion by clip and by song, with confidence intervals that respect groups of songs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from edge_runtime.pooling import POOLINGS, pool
from train.dataset.dataset import Clip

Interval = tuple[float, float]
"""Lower and upper end of a 95 % confidence interval (CI)."""

Confusion = tuple[tuple[int, ...], ...]
"""Counts, ``[shape=(n_genres, n_genres)]``: rows are the true genres, columns the predicted ones."""

_RESAMPLES = 2000
"""Bootstrap samples: the ends of an interval then vary by less than half a point from seed to seed."""


class Predicted(NamedTuple):
    """Clips with their labels and what a network predicts."""

    clips: list[Clip]
    labels: NDArray[np.int64]
    """``[shape=(n_clips,)]``"""
    probabilities: NDArray[np.float32]
    """``[shape=(n_clips, n_genres)]``, in [0, 1]"""

    def scaled(self, temperature: float) -> Predicted:
        """The same after temperature scaling."""
        return self._replace(probabilities=with_temperature(self.probabilities, temperature))


@dataclass(frozen=True)
class Scores:
    """Classification metrics of a model on one split. Shares lie in [0, 1]."""

    split: str
    demonstration: bool
    """On synthesised music: it says nothing about real music."""
    genres: tuple[str, ...]
    """In the order of the confusion matrices."""
    clips: int
    songs: int
    clip_accuracy: float
    clip_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs, since the clips of a group are alike."""
    clip_top2_accuracy: float
    """Share of clips whose genre is among the two most probable ones."""
    clip_macro_f1: float
    """Mean F1 by clip of the genres that the split contains."""
    song_accuracy: float
    """A song is classified by the pooled probabilities of its clips (:mod:`edge_runtime.pooling`)."""
    song_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""
    song_top2_accuracy: float
    song_macro_f1: float
    confusion: Confusion
    """Clips."""
    song_confusion: Confusion
    """Songs."""
    per_genre: dict[str, dict[str, float]]
    """``precision``, ``recall`` and ``f1`` of each genre by clip, and its number of ``clips``; 0 where undefined."""
    per_genre_songs: dict[str, dict[str, float]]
    """The same by song, with its number of ``songs``."""


@dataclass(frozen=True)
class Difference:
    """Difference in clip accuracy between two models on the same clips."""

    value: float
    """In [-1, 1]."""
    ci: Interval
    """95 % CI, bootstrapped over groups of songs."""
    songs: int

    @property
    def sign(self) -> int:
        """1 where the first model is significantly better, -1 where the second is, 0 where neither is."""
        low, high = self.ci
        return int(low > 0) - int(high < 0)


def compute_scores(
    probabilities: NDArray[np.float32],
    clips: Sequence[Clip],
    genres: tuple[str, ...],
    *,
    split: str,
    pooling: str = POOLINGS[0],
    threshold: float = 0.0,
    demonstration: bool = False,
    seed: int = 0,
) -> Scores:
    """Compare predicted probabilities with the true genres.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
    clips : sequence of Clip
        At least one.
    genres : tuple of str
        In the order of the probabilities' columns.
    split : str
    pooling : str
        One of :data:`~edge_runtime.pooling.POOLINGS`: how the clips of a song become its answer.
    threshold : float in [0, 1]
        Clips with a lower confidence abstain in a vote, as they do in the listener.
    demonstration : bool
        Copied into the result, as the split is.
    seed : int
        Of the bootstrap.

    Returns
    -------
    scores : Scores

    See Also
    --------
    sklearn.metrics.precision_recall_fscore_support, sklearn.metrics.confusion_matrix
    """
    rows = rows_of_songs(clips)
    truth = np.array([genres.index(clip.genre) for clip in clips])
    song_truth = np.array([truth[row[0]] for row in rows])
    answers = np.stack([pool(probabilities[row], pooling, threshold=threshold) for row in rows])
    predicted, song_predicted = probabilities.argmax(axis=1), answers.argmax(axis=1)
    by_clip = _by_genre(truth, predicted, genres, counted="clips")
    by_song = _by_genre(song_truth, song_predicted, genres, counted="songs")
    song_groups = rows_of_groups(clips[row[0]] for row in rows)
    return Scores(
        split=split,
        demonstration=demonstration,
        genres=genres,
        clips=len(clips),
        songs=len(rows),
        clip_accuracy=float((predicted == truth).mean()),
        clip_accuracy_ci=accuracy_interval(predicted == truth, rows_of_groups(clips), seed=seed),
        clip_top2_accuracy=_top2(probabilities, truth),
        clip_macro_f1=_macro_f1(by_clip, "clips"),
        song_accuracy=float((song_predicted == song_truth).mean()),
        song_accuracy_ci=accuracy_interval(song_predicted == song_truth, song_groups, seed=seed),
        song_top2_accuracy=_top2(answers, song_truth),
        song_macro_f1=_macro_f1(by_song, "songs"),
        confusion=_confusion(truth, predicted, genres),
        song_confusion=_confusion(song_truth, song_predicted, genres),
        per_genre=by_clip,
        per_genre_songs=by_song,
    )


def paired_difference(
    first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_], clips: Sequence[Clip], *, seed: int = 0
) -> Difference:
    """Difference in accuracy between two models on the same clips, by a paired bootstrap.

    Each bootstrap sample draws the same groups for both models, so that a song that is hard for both widens nothing.
    Two pseudo-groups are added, one that each model wins by the root mean square of the differences that occur, as
    Agresti and Min (2005) do for matched pairs: without them, four songs of ten that only one model classifies
    correctly would count as significant.

    Parameters
    ----------
    first_correct, second_correct : np.ndarray [shape=(n_clips,)], bool
        Whether each model classified each clip correctly.
    clips : sequence of Clip
    seed : int
        Of the bootstrap.
    """
    gains = first_correct.astype(np.float64) - second_correct
    groups = rows_of_groups(clips)
    sums, counts = np.array([gains[row].sum() for row in groups]), np.array([len(row) for row in groups], np.float64)
    nonzero = sums[sums != 0]
    pseudo = np.sqrt(np.mean(nonzero**2)) if len(nonzero) else 1.0
    ci = mean_interval(np.append(sums, [pseudo, -pseudo]), np.append(counts, [counts.mean()] * 2), seed=seed)
    return Difference(float(gains.mean()), ci, len(rows_of_songs(clips)))


def accuracy_interval(correct: NDArray[np.bool_], groups: Sequence[NDArray[np.intp]], *, seed: int = 0) -> Interval:
    """95 % CI of an accuracy whose samples come in groups, by a bootstrap over the groups.

    Four pseudo-groups of average size are added, two correct and two wrong, as Agresti and Coull (1998) add two
    successes and two failures: without them, three songs that are all correct would give 100 % to 100 %.

    Parameters
    ----------
    correct : np.ndarray [shape=(n,)], bool
    groups : sequence of np.ndarray of int
        Positions in ``correct``, as of :func:`rows_of_groups`.
    seed : int

    Returns
    -------
    low, high : float in [0, 1]
    """
    sums = np.array([correct[row].sum() for row in groups], np.float64)
    counts = np.array([len(row) for row in groups], np.float64)
    average = counts.mean()
    return mean_interval(np.append(sums, [average, average, 0, 0]), np.append(counts, [average] * 4), seed=seed)


def mean_interval(sums: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int) -> Interval:
    """95 % CI of a mean over groups: the percentile bootstrap (Efron, 1979).

    Parameters
    ----------
    sums : np.ndarray [shape=(n_groups,)], float64
        Sum of the values of each group.
    counts : np.ndarray [shape=(n_groups,)], float64
        Number of values of each group.
    seed : int

    Returns
    -------
    low, high : float
    """
    drawn = np.random.default_rng(seed).integers(len(counts), size=(_RESAMPLES, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def wilson_interval(successes: float, trials: int) -> Interval:
    """95 % CI of a proportion of independent trials, by the score method of Wilson (1927).

    Parameters
    ----------
    successes : float in 0..trials
        Rounded to a whole number, where a trial is the mean over the windows of a song.
    trials : int > 0

    Returns
    -------
    low, high : float in [0, 1]

    See Also
    --------
    scipy.stats.binomtest
    """
    from scipy.stats import binomtest

    low, high = binomtest(round(successes), trials).proportion_ci(method="wilson")
    return float(low), float(high)


def rows_of_songs(clips: Iterable[Clip]) -> list[NDArray[np.intp]]:
    """Positions of the clips of each song, songs in the order of their first clip."""
    return _rows(clip.song for clip in clips)


def rows_of_groups(clips: Iterable[Clip]) -> list[NDArray[np.intp]]:
    """Positions of the clips of each group of songs, groups in the order of their first clip."""
    return _rows(clip.group for clip in clips)


def percent(share: float) -> str:
    """A share in [0, 1] as ``93.1 %``."""
    return f"{100 * share:.1f} %"


def with_ci(share: float, ci: Interval) -> str:
    """A share in [0, 1] with its confidence interval, as ``93.1 % (95 % CI 90 to 95)``."""
    return f"{percent(share)} (95 % CI {100 * ci[0]:.0f} to {100 * ci[1]:.0f})"


def _rows(keys: Iterable[str]) -> list[NDArray[np.intp]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        rows[key].append(number)
    return [np.array(numbers, np.intp) for numbers in rows.values()]


def _top2(probabilities: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> float:
    most_probable = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return float((most_probable == truth[:, None]).any(axis=1).mean())


def _confusion(truth: NDArray[np.int64], predicted: NDArray[np.intp], genres: tuple[str, ...]) -> Confusion:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, predicted, labels=list(range(len(genres))))
    return tuple(tuple(map(int, row)) for row in counts)


def _by_genre(
    truth: NDArray[np.int64], predicted: NDArray[np.intp], genres: tuple[str, ...], *, counted: str
) -> dict[str, dict[str, float]]:
    from sklearn.metrics import precision_recall_fscore_support

    scores = precision_recall_fscore_support(truth, predicted, labels=list(range(len(genres))), zero_division=0.0)
    names = ("precision", "recall", "f1", counted)
    return {
        genre: dict(zip(names, map(float, values), strict=True))
        for genre, values in zip(genres, zip(*scores, strict=True), strict=True)
    }


def _macro_f1(by_genre: dict[str, dict[str, float]], counted: str) -> float:
    return float(np.mean([scores["f1"] for scores in by_genre.values() if scores[counted]]))

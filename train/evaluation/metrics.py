"""How often a model is right: by clip and by song, over all and for each genre, with intervals."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.dataset.dataset import Clip


def wilson_interval(right: float, count: int) -> tuple[float, float]:
    """95 % interval of a share, by the score method of Wilson (1927).

    Parameters
    ----------
    right : float in 0..count
    count : int > 0
        Independent trials.

    Returns
    -------
    low, high : float in [0, 1]
    """
    z = 1.959964
    share, spread = right / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


_RESAMPLES = 2000
"""Draws: the interval's ends then move by less than half a point from seed to seed."""


def rows_of_songs(clips: Iterable[Clip]) -> list[NDArray[np.intp]]:
    """For each song the positions of its clips, songs in the order of their first clip."""
    return _rows(clip.song for clip in clips)


def rows_of_groups(clips: Iterable[Clip]) -> list[NDArray[np.intp]]:
    """For each group of songs the positions of its clips, groups in the order of their first clip."""
    return _rows(clip.group for clip in clips)


def share_interval(
    right: NDArray[np.bool_], groups: Sequence[NDArray[np.intp]], *, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a share of clips, or of songs, of which those of one group are alike.

    Drawn with the groups are four more of the usual size, two that are right and two that are wrong, as Agresti and
    Coull (1998) add two successes and two failures: without them three songs that are all named right would pass for
    100 % to 100 %.

    Parameters
    ----------
    right : np.ndarray [shape=(n,)], bool
    groups : sequence of np.ndarray of int
        Positions in ``right``, as of :func:`rows_of_groups`.
    seed : int

    Returns
    -------
    low, high : float in [0, 1]
    """
    sums = np.array([right[row].sum() for row in groups], np.float64)
    counts = np.array([len(row) for row in groups], np.float64)
    usual = counts.mean()
    return mean_interval(np.append(sums, [usual, usual, 0, 0]), np.append(counts, [usual] * 4), seed=seed)


def mean_interval(sums: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int) -> tuple[float, float]:
    """95 % interval of a mean over what groups hold: the percentiles of the bootstrap (Efron, 1979) over groups.

    Parameters
    ----------
    sums : np.ndarray [shape=(n_groups,)], float64
        Of the values of each group.
    counts : np.ndarray [shape=(n_groups,)], float64
        Of those values.
    seed : int

    Returns
    -------
    low, high : float
    """
    drawn = np.random.default_rng(seed).integers(len(counts), size=(_RESAMPLES, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _rows(keys: Iterable[str]) -> list[NDArray[np.intp]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        rows[key].append(number)
    return [np.array(numbers, np.intp) for numbers in rows.values()]


@dataclass(frozen=True)
class Difference:
    """How much more of the same clips one model names right than another."""

    value: float
    """Clip accuracy of the one less that of the other, in [-1, 1]."""
    interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs, since what a group holds is alike."""
    songs: int

    @property
    def sign(self) -> int:
        """1 where the one model is really better, -1 where the other is, 0 where nobody can tell."""
        low, high = self.interval
        return int(low > 0) - int(high < 0)


def paired_difference(
    one_right: NDArray[np.bool_], other_right: NDArray[np.bool_], clips: Sequence[Clip], *, seed: int = 0
) -> Difference:
    """Compare two models on the clips that both answered for.

    Both are judged on the same groups in each draw, so that a song that is hard for both widens nothing. Drawn with
    them are two groups more, one that each model wins by as much as groups are won by here, as Agresti and Min (2005)
    do for pairs: without them four songs out of ten that one model alone knows would pass for proof.

    Parameters
    ----------
    one_right, other_right : np.ndarray [shape=(n_clips,)], bool
        Whether each clip was named right.
    clips : sequence of Clip
    seed : int
        Of the bootstrap.
    """
    gained = one_right.astype(np.float64) - other_right
    groups = rows_of_groups(clips)
    sums, counts = np.array([gained[row].sum() for row in groups]), np.array([len(row) for row in groups], np.float64)
    won = sums[sums != 0]
    usual = np.sqrt(np.mean(won**2)) if len(won) else 1.0
    interval = mean_interval(np.append(sums, [usual, -usual]), np.append(counts, [counts.mean()] * 2), seed=seed)
    return Difference(float(gained.mean()), interval, len(rows_of_songs(clips)))


Confusion = tuple[tuple[int, ...], ...]
"""Counts, ``[shape=(n_genres, n_genres)]``: rows are the true genres, columns the answers."""


@dataclass(frozen=True)
class Scores:
    """How often a model is right on one split. Shares lie in [0, 1]."""

    split: str
    demonstration: bool
    """On synthesised music: it says nothing about real music."""
    genres: tuple[str, ...]
    """In the order of the confusion matrices."""
    clips: int
    songs: int
    clip_accuracy: float
    """Share of clips that were named right."""
    clip_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs, since what a group holds is alike."""
    clip_top2_accuracy: float
    """Share of clips whose genre is one of the two likeliest answers."""
    clip_macro_f1: float
    """Mean F1 by clip of the genres that the split holds."""
    song_accuracy: float
    """Share of songs that were named right by the mean of their clips' probabilities."""
    song_interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs as well."""
    song_top2_accuracy: float
    """As for clips, by the mean of a song's clips."""
    song_macro_f1: float
    """As for clips, by the mean of a song's clips."""
    confusion: Confusion
    """Clips."""
    song_confusion: Confusion
    """Songs."""
    per_genre: dict[str, dict[str, float]]
    """``precision``, ``recall`` and ``f1`` of each genre by clip, and its number of ``clips``; 0 where undefined."""
    per_genre_songs: dict[str, dict[str, float]]
    """The same by song, with its number of ``songs``."""


def compute_scores(
    probabilities: NDArray[np.float32],
    clips: Sequence[Clip],
    genres: tuple[str, ...],
    *,
    split: str,
    demonstration: bool = False,
    seed: int = 0,
) -> Scores:
    """Hold a model's probabilities against the truth.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
    clips : sequence of Clip
        At least one.
    genres : tuple of str
        In the order of the probabilities' columns.
    split : str
    demonstration : bool
        Named in the result, as the split is.
    seed : int
        Of the bootstrap.
    """
    truth = np.array([genres.index(clip.genre) for clip in clips])
    rows = rows_of_songs(clips)
    song_truth = np.array([truth[row[0]] for row in rows])
    means = np.stack([probabilities[row].mean(axis=0) for row in rows])
    right = probabilities.argmax(axis=1) == truth
    right_songs = means.argmax(axis=1) == song_truth
    by_clip = _by_genre(truth, probabilities.argmax(axis=1), genres, counted="clips")
    by_song = _by_genre(song_truth, means.argmax(axis=1), genres, counted="songs")
    return Scores(
        split=split,
        demonstration=demonstration,
        genres=genres,
        clips=len(clips),
        songs=len(rows),
        clip_accuracy=float(right.mean()),
        clip_interval=share_interval(right, rows_of_groups(clips), seed=seed),
        clip_top2_accuracy=_top2(probabilities, truth),
        clip_macro_f1=_macro_f1(by_clip, "clips"),
        song_accuracy=float(right_songs.mean()),
        song_interval=share_interval(right_songs, rows_of_groups(clips[row[0]] for row in rows), seed=seed),
        song_top2_accuracy=_top2(means, song_truth),
        song_macro_f1=_macro_f1(by_song, "songs"),
        confusion=_confusion(truth, probabilities.argmax(axis=1), genres),
        song_confusion=_confusion(song_truth, means.argmax(axis=1), genres),
        per_genre=by_clip,
        per_genre_songs=by_song,
    )


def _top2(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return float((likeliest == truth[:, None]).any(axis=1).mean())


def _confusion(truth: NDArray[np.int64], predictions: NDArray[np.intp], genres: tuple[str, ...]) -> Confusion:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, predictions, labels=list(range(len(genres))))
    return tuple(tuple(map(int, row)) for row in counts)


def _by_genre(
    truth: NDArray[np.int64], predictions: NDArray[np.intp], genres: tuple[str, ...], *, counted: str
) -> dict[str, dict[str, float]]:
    from sklearn.metrics import precision_recall_fscore_support

    scores = precision_recall_fscore_support(truth, predictions, labels=list(range(len(genres))), zero_division=0.0)
    names = ("precision", "recall", "f1", counted)
    return {
        genre: dict(zip(names, map(float, values), strict=True))
        for genre, values in zip(genres, zip(*scores, strict=True), strict=True)
    }


def _macro_f1(by_genre: dict[str, dict[str, float]], counted: str) -> float:
    return float(np.mean([scores["f1"] for scores in by_genre.values() if scores[counted]]))

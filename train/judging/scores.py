"""How often a model is right: by clip and by song, over all and for each genre, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.corpus import Clip
from train.judging.bootstrap import rows_of_groups, rows_of_songs, share_interval

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


def judge(
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


def _confusion(truth: NDArray[np.int64], answers: NDArray[np.intp], genres: tuple[str, ...]) -> Confusion:
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, answers, labels=list(range(len(genres))))
    return tuple(tuple(map(int, row)) for row in counts)


def _by_genre(
    truth: NDArray[np.int64], answers: NDArray[np.intp], genres: tuple[str, ...], *, counted: str
) -> dict[str, dict[str, float]]:
    from sklearn.metrics import precision_recall_fscore_support

    scores = precision_recall_fscore_support(truth, answers, labels=list(range(len(genres))), zero_division=0.0)
    names = ("precision", "recall", "f1", counted)
    return {
        genre: dict(zip(names, map(float, values), strict=True))
        for genre, values in zip(genres, zip(*scores, strict=True), strict=True)
    }


def _macro_f1(by_genre: dict[str, dict[str, float]], counted: str) -> float:
    return float(np.mean([scores["f1"] for scores in by_genre.values() if scores[counted]]))

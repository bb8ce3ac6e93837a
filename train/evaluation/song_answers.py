"""Song answers: how the windows of a song become one answer, and its accuracy after the first n seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.model_card import DEFAULT_SMOOTHING_SECONDS
from edge_runtime.pooling import POOLINGS, pool
from train.dataset.dataset import Clip
from train.evaluation.metrics import (
    Interval,
    Predicted,
    accuracy_interval,
    paired_difference,
    percent,
    rows_of_groups,
    rows_of_songs,
)

MIN_SONGS = 30
"""Validation songs from which the seconds of smoothing are chosen; with fewer, a single song is more than 3 points."""

SMOOTHING_TOLERANCE = 0.01
"""Accuracy that a shorter smoothing may lose in any case: it follows a change of the music sooner."""

LONGEST_SMOOTHING_SECONDS = 30.0
"""Longer ones are not chosen, however slowly the accuracy rises: they would still show the song before."""

_CI_STANDARD_ERRORS = 2 * 1.96
"""Width of a 95 % CI."""

_MAX_POINTS = 20
"""Of a curve, closer together at its beginning."""


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy of the answers after the first windows of each song."""

    windows: int
    seconds: float
    """Of the windows together."""
    songs: int
    """Songs with so many windows. Shorter ones keep the answer of all their windows, so every point has all songs."""
    accuracy: float
    """By song, in [0, 1]."""
    accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""


@dataclass(frozen=True)
class AnswerChoice:
    """How windows become an answer, chosen on the validation split."""

    pooling: str
    """One of :data:`~edge_runtime.pooling.POOLINGS`."""
    pooling_reason: str
    smoothing_seconds: float
    """Sound that the listener's smoothed prediction covers."""
    smoothing_reason: str


@dataclass(frozen=True)
class SongAnswers:
    """The choice, and what each pooling gives on the evaluated split."""

    choice: AnswerChoice
    curves: dict[str, tuple[CurvePoint, ...]]
    """By pooling; the last point is the accuracy with all windows."""


def choose_answer(
    predicted: Predicted,
    window_seconds: float,
    *,
    threshold: float,
) -> AnswerChoice:
    """Choose pooling and smoothing on the validation split.

    The mean of the probabilities is kept unless another pooling classifies significantly more songs correctly (paired
    bootstrap over groups); of several such, the most accurate one is taken. The smoothing is the shortest beginning of
    the songs after which the accuracy is at most a point, or one standard error of the paired difference, below the
    highest one (the rule of one standard error: Breiman et al., "Classification and regression trees", 1984). It is the
    default where songs are fewer than :data:`MIN_SONGS` or shorter than the default.

    Parameters
    ----------
    predicted : Predicted
        After temperature scaling.
    window_seconds : float > 0
    threshold : float in [0, 1]
        Of rejection: windows with a lower confidence abstain in a vote, as they do in the listener.
    """
    pooling, pooling_reason = _choose_pooling(predicted, threshold)
    seconds, smoothing_reason = _choose_smoothing(predicted, window_seconds, pooling, threshold)
    return AnswerChoice(pooling, pooling_reason, seconds, smoothing_reason)


def compare_poolings(
    choice: AnswerChoice,
    predicted: Predicted,
    window_seconds: float,
    *,
    threshold: float,
) -> SongAnswers:
    """The curve of each pooling on the evaluated split; parameters as of :func:`choose_answer`."""
    curves = {name: accuracy_curve(predicted, window_seconds, name, threshold=threshold) for name in POOLINGS}
    return SongAnswers(choice, curves)


def accuracy_curve(
    predicted: Predicted,
    window_seconds: float,
    pooling: str,
    *,
    threshold: float,
) -> tuple[CurvePoint, ...]:
    """Accuracy by song after the first 1, 2, 3, ... windows in the order of time.

    Parameters
    ----------
    predicted, window_seconds, threshold
        As of :func:`choose_answer`.
    pooling : str
        One of :data:`~edge_runtime.pooling.POOLINGS`.

    Returns
    -------
    curve : tuple of CurvePoint
        20 at most, the last one after all windows.
    """
    songs = _songs_in_time(predicted.clips)
    groups = rows_of_groups(predicted.clips[song[0]] for song in songs)
    lengths = np.array([len(song) for song in songs])
    points = []
    for windows in _numbers_of_windows(int(lengths.max())):
        correct = _correct(predicted, [song[:windows] for song in songs], pooling, threshold)
        points.append(
            CurvePoint(
                windows=windows,
                seconds=windows * window_seconds,
                songs=int((lengths >= windows).sum()),
                accuracy=float(correct.mean()),
                accuracy_ci=accuracy_interval(correct, groups),
            )
        )
    return tuple(points)


def _numbers_of_windows(longest: int) -> list[int]:
    if longest <= _MAX_POINTS:
        return list(range(1, longest + 1))
    numbers: list[int] = np.unique(np.geomspace(1, longest, _MAX_POINTS).round().astype(int)).tolist()
    return numbers


def _choose_pooling(predicted: Predicted, threshold: float) -> tuple[str, str]:
    songs = rows_of_songs(predicted.clips)
    correct = {name: _correct(predicted, songs, name, threshold) for name in POOLINGS}
    default = POOLINGS[0]
    first_clips = [predicted.clips[song[0]] for song in songs]
    gains = {name: paired_difference(correct[name], correct[default], first_clips) for name in POOLINGS[1:]}
    significant = [name for name in gains if gains[name].sign > 0]
    if not significant:
        return default, f"none is significantly better on {len(songs)} validation songs"
    best = max(significant, key=lambda name: gains[name].value)
    gain = gains[best]
    return best, (
        f"{100 * gain.value:.1f} points (95 % CI {100 * gain.ci[0]:.1f} to {100 * gain.ci[1]:.1f}) better than the "
        f"{default} on {len(songs)} validation songs"
    )


def _choose_smoothing(
    predicted: Predicted,
    window_seconds: float,
    pooling: str,
    threshold: float,
) -> tuple[float, str]:
    songs = _songs_in_time(predicted.clips)
    if len(songs) < MIN_SONGS:
        return DEFAULT_SMOOTHING_SECONDS, f"the default, since {len(songs)} validation songs are fewer than {MIN_SONGS}"
    curve = accuracy_curve(predicted, window_seconds, pooling, threshold=threshold)
    known = [point for point in curve if 2 * point.songs >= len(songs) and point.seconds <= LONGEST_SMOOTHING_SECONDS]
    if not known or known[-1].seconds < DEFAULT_SMOOTHING_SECONDS:
        return DEFAULT_SMOOTHING_SECONDS, "the default, since most validation songs have fewer windows than it covers"
    counts = [point.windows for point in known]
    correct = {count: _correct(predicted, [song[:count] for song in songs], pooling, threshold) for count in counts}
    best = max(known, key=lambda point: point.accuracy)
    first_clips = [predicted.clips[song[0]] for song in songs]
    for point in known:
        loss = paired_difference(correct[best.windows], correct[point.windows], first_clips)
        tolerance = max(SMOOTHING_TOLERANCE, (loss.ci[1] - loss.ci[0]) / _CI_STANDARD_ERRORS)
        if loss.value <= tolerance:
            break
    return point.seconds, (
        f"{percent(point.accuracy)} of {len(songs)} validation songs, the best being {percent(best.accuracy)} after "
        f"{best.seconds:g} s"
    )


def _songs_in_time(clips: Sequence[Clip]) -> list[NDArray[np.intp]]:
    return [
        np.array(sorted(song.tolist(), key=lambda row: clips[row].offset_seconds), np.intp)
        for song in rows_of_songs(clips)
    ]


def _correct(
    predicted: Predicted,
    songs: Sequence[NDArray[np.intp]],
    pooling: str,
    threshold: float,
) -> NDArray[np.bool_]:
    answers = np.array([pool(predicted.probabilities[song], pooling, threshold=threshold).argmax() for song in songs])
    correct: NDArray[np.bool_] = answers == predicted.labels[[song[0] for song in songs]]
    return correct

"""Two models on the same clips: the paired difference in accuracy, and whether a student is as good as its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.pooling import POOLINGS, pool
from train.dataset.dataset import Clip
from train.evaluation.metrics import Interval, paired_difference, percent, rows_of_songs

Named = tuple[str, NDArray[np.float32]]
"""Name of a model and its probabilities, ``[shape=(n_clips, n_genres)], float32 in [0, 1]``."""

TOLERATED_LOSS = 0.01
"""Of a student that is as good as its teacher: a point of accuracy is less than two trainings of one network differ."""


@dataclass(frozen=True)
class Comparison:
    """Paired difference between two methods on the same clips: the first minus the second, in [-1, 1]."""

    first: str
    second: str
    clips: int
    songs: int
    clip_difference: float
    clip_difference_ci: Interval
    """95 % CI of the paired bootstrap over groups of songs."""
    song_difference: float
    song_difference_ci: Interval
    better: str | None
    """The one with the significantly higher clip accuracy; None where there is none."""

    def as_text(self) -> str:
        """The comparison in one line."""
        verdict = f"{self.better} is better" if self.better else f"no significant difference on {self.songs} songs"
        return (
            f"{self.first} - {self.second}: {points(self.clip_difference, self.clip_difference_ci)} of clip accuracy, "
            f"{points(self.song_difference, self.song_difference_ci)} of song accuracy: {verdict}"
        )


@dataclass(frozen=True)
class TeacherComparison:
    """A student beside its teacher on the same test songs: what ``evaluation.json`` and the card hold of it."""

    name: str
    """Of the teacher."""
    songs: int
    clips: int
    clip_accuracy: float
    """Of the teacher, in [0, 1]."""
    song_accuracy: float
    """Of the teacher, with the mean of its clips' probabilities."""
    clip_difference: float
    """Student minus teacher, in [-1, 1]."""
    clip_difference_ci: Interval
    """95 % CI of the paired bootstrap over groups of songs."""
    song_difference: float
    song_difference_ci: Interval
    verdict: str
    """Of the clip accuracy: ``as good`` where the interval includes 0 or the loss is under a point, else ``worse by``
    or ``better by``."""

    def as_text(self) -> str:
        """The comparison in one line."""
        return (
            f"compared with {self.name} ({percent(self.clip_accuracy)} of clips, {percent(self.song_accuracy)} of "
            f"songs): {points(self.clip_difference, self.clip_difference_ci)} of clip accuracy, "
            f"{points(self.song_difference, self.song_difference_ci)} of song accuracy: {self.verdict}"
        )


def compare(
    clips: Sequence[Clip],
    genres: tuple[str, ...],
    first: Named,
    second: Named,
) -> Comparison:
    """Compare two methods on the same clips.

    Parameters
    ----------
    clips : sequence of Clip
    genres : tuple of str
        In the order of the probabilities' columns.
    first, second : (str, np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1])
        Names and probabilities.
    """
    songs = rows_of_songs(clips)
    by_clip, by_song = zip(*(_correct(clips, genres, each) for _, each in (first, second)), strict=True)
    of_clips = paired_difference(by_clip[0], by_clip[1], clips)
    among_songs = paired_difference(by_song[0], by_song[1], [clips[rows[0]] for rows in songs])
    return Comparison(
        first=first[0],
        second=second[0],
        clips=len(clips),
        songs=len(songs),
        clip_difference=of_clips.value,
        clip_difference_ci=of_clips.ci,
        song_difference=among_songs.value,
        song_difference_ci=among_songs.ci,
        better={1: first[0], -1: second[0], 0: None}[of_clips.sign],
    )


def compare_with_teacher(
    clips: Sequence[Clip], genres: tuple[str, ...], student: NDArray[np.float32], teacher: Named
) -> TeacherComparison:
    """Compare a student with its teacher on the same clips.

    Parameters
    ----------
    clips : sequence of Clip
    genres : tuple of str
        In the order of the probabilities' columns.
    student : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
    teacher : (str, np.ndarray)
        Its name and its probabilities, likewise.
    """
    difference = compare(clips, genres, ("student", student), teacher)
    clip_accuracy, song_accuracy = (float(correct.mean()) for correct in _correct(clips, genres, teacher[1]))
    return TeacherComparison(
        name=teacher[0],
        songs=difference.songs,
        clips=difference.clips,
        clip_accuracy=clip_accuracy,
        song_accuracy=song_accuracy,
        clip_difference=difference.clip_difference,
        clip_difference_ci=difference.clip_difference_ci,
        song_difference=difference.song_difference,
        song_difference_ci=difference.song_difference_ci,
        verdict=_verdict(difference),
    )


def _correct(
    clips: Sequence[Clip], genres: tuple[str, ...], probabilities: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which clips, and which songs, are classified correctly."""
    songs = rows_of_songs(clips)
    truth = np.array([genres.index(clip.genre) for clip in clips])
    answers = np.stack([pool(probabilities[rows], POOLINGS[0]) for rows in songs])
    return probabilities.argmax(axis=1) == truth, answers.argmax(axis=1) == truth[[rows[0] for rows in songs]]


def _verdict(difference: Comparison) -> str:
    value = difference.clip_difference
    if difference.better is None or abs(value) < TOLERATED_LOSS:
        return "as good"
    return f"{'worse' if value < 0 else 'better'} by {abs(100 * value):.1f} points"


def points(difference: float, ci: Interval) -> str:
    """A difference of two shares with its interval, as ``+9.2 points (95 % CI +1.3 to +17.0)``."""
    low, high = (100 * end for end in ci)
    return f"{100 * difference:+.1f} points (95 % CI {low:+.1f} to {high:+.1f})"

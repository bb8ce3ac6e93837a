"""The clips that a model got most wrong, with the files to hear and see them by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.corpus import Clip, Corpus

MOST_MISTAKES = 20


@dataclass(frozen=True)
class Mistake:
    """A clip that was named wrong."""

    clip: str
    song: str
    """Path below the corpus, or group."""
    offset_seconds: float
    """Where the clip begins in its song."""
    genre: str
    """What it is."""
    answer: str
    """What the model says."""
    confidence: float
    """Of that answer, after temperature, in [0, 1]."""
    genre_probability: float
    """Of the true genre, in [0, 1]."""
    sound: str
    """FLAC file, path below the run's folder."""
    picture: str
    """PNG file, path below the run's folder."""


def worst_mistakes(corpus: Corpus, clips: Sequence[Clip], probabilities: NDArray[np.float32]) -> tuple[Mistake, ...]:
    """The wrong answers of the highest confidence, worst first, 20 at most.

    Parameters
    ----------
    corpus : Corpus
    clips : sequence of Clip
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
        After temperature.
    """
    labels, answers = corpus.labels(clips), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    worst = wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:MOST_MISTAKES]
    return tuple(
        Mistake(
            clip=clips[row].name,
            song=clips[row].song,
            offset_seconds=clips[row].offset_seconds,
            genre=clips[row].genre,
            answer=corpus.genres[answers[row]],
            confidence=float(probabilities[row, answers[row]]),
            genre_probability=float(probabilities[row, labels[row]]),
            sound=clips[row].sound(corpus.run).relative_to(corpus.run.folder).as_posix(),
            picture=clips[row].picture(corpus.run).relative_to(corpus.run.folder).as_posix(),
        )
        for row in worst.tolist()
    )

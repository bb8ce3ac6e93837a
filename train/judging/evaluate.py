"""How good a model is: on the songs of a split, by clip and by song, against what they really are."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import written_whole
from train.corpus import Clip, Corpus

_RESAMPLES = 2000
"""Bootstrap draws: the interval's ends then move by less than half a point from seed to seed."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracy of a model on one split."""

    split: str
    demonstration: bool
    """On synthesised music: it says nothing about real music."""
    genres: tuple[str, ...]
    clips: int
    songs: int
    clip_accuracy: float
    """Share of clips that were named right, in [0, 1]."""
    clip_interval: tuple[float, float]
    """95 % interval, bootstrapped over songs, since clips of a song are alike."""
    song_accuracy: float
    """Share of songs that were named right by the mean of their clips' probabilities, in [0, 1]."""
    song_interval: tuple[float, float]
    """95 % interval after Wilson, which stays honest where all songs are named right."""
    confusion: tuple[tuple[int, ...], ...]
    """Clips, ``[shape=(n_genres, n_genres)]``: rows are the true genres, columns the answers."""
    per_genre: dict[str, dict[str, float]]
    """Precision, recall and F1 of each genre by clip, and its number of clips."""

    def to_json(self) -> str:
        """The evaluation as it stands in ``evaluation.json``."""
        return json.dumps({"schema": 1, **self.__dict__}, ensure_ascii=False, indent=1)

    def as_text(self) -> str:
        """The evaluation for a person to read: accuracies with their intervals, and a line a genre."""
        rows = [
            f"{name} named right: {share:.1%} (95 % interval {low:.1%} to {high:.1%}) of {count} {name}"
            for name, share, (low, high), count in (
                ("songs", self.song_accuracy, self.song_interval, self.songs),
                ("clips", self.clip_accuracy, self.clip_interval, self.clips),
            )
        ]
        rows += [
            f"  {genre:<12} F1 {scores['f1']:.2f}  precision {scores['precision']:.2f}  recall {scores['recall']:.2f}"
            for genre, scores in self.per_genre.items()
        ]
        if self.demonstration:
            rows.append("  of synthesised music, for demonstration only: nothing about real music follows from it")
        return "\n".join(rows)

    def for_card(self) -> dict[str, Any]:
        """What the model card keeps of it."""
        return {
            "split": self.split,
            "songs": self.songs,
            "clips": self.clips,
            "clip_accuracy": self.clip_accuracy,
            "clip_interval": list(self.clip_interval),
            "song_accuracy": self.song_accuracy,
            "song_interval": list(self.song_interval),
        }


def evaluate(corpus: Corpus, split: str, *, batch_size: int = 32) -> Evaluation:
    """Judge a run's model on the clips of one split, and write ``evaluation.json``.

    The accuracy on the test split, and on no other, goes into the card.

    Parameters
    ----------
    corpus : Corpus
        Of a trained run.
    split : str
        ``train``, ``validation`` or ``test``.
    batch_size : int > 0

    Raises
    ------
    TmgcError
        The run has not been trained, or not on these clips.
    """
    import keras

    card = corpus.run.card()
    corpus.check_trained(card)
    try:
        network = keras.models.load_model(corpus.run.model, compile=False)
    except (ValueError, OSError, TypeError, KeyError, BadZipFile) as error:
        raise TmgcError(f"{corpus.run.model} cannot be read ({first_line(error)}). Run: tmgc-train fit") from error
    clips = corpus.of(split)
    probabilities = network.predict(corpus.pictures(clips), batch_size=batch_size, verbose=0)
    result = judge(
        with_temperature(probabilities, card.temperature),
        clips,
        corpus.genres,
        split=split,
        demonstration=corpus.demonstration,
    )
    with written_whole(corpus.run.evaluation_json(split)) as path:
        path.write_text(result.to_json(), "utf-8")
    if split == "test":
        with written_whole(corpus.run.card_json) as path:
            path.write_text(card.but(accuracy=result.for_card()).to_json(), "utf-8")
    return result


def judge(
    probabilities: NDArray[np.float32],
    clips: list[Clip],
    genres: tuple[str, ...],
    *,
    split: str,
    demonstration: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Hold a model's probabilities against the truth.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_genres)], float32 in [0, 1]
    clips : list of Clip
    genres : tuple of str
        In the order of the probabilities' columns.
    split : str
    demonstration : bool
        Named in the result, as the split is.
    seed : int
        Of the bootstrap.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth = np.array([genres.index(clip.genre) for clip in clips])
    answers = probabilities.argmax(axis=1)
    by_song: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, clip in enumerate(clips):
        by_song[clip.genre, clip.song].append(number)
    rows = [np.array(numbers) for numbers in by_song.values()]
    right_clips = np.array([(answers[row] == truth[row]).sum() for row in rows])
    counts = np.array([len(row) for row in rows])
    right_songs = np.array([probabilities[row].mean(axis=0).argmax() == truth[row[0]] for row in rows])
    drawn = np.random.default_rng(seed).integers(len(rows), size=(_RESAMPLES, len(rows)))
    every_genre = list(range(len(genres)))
    scores = precision_recall_fscore_support(truth, answers, labels=every_genre, zero_division=0.0)
    names = ("precision", "recall", "f1", "clips")
    return Evaluation(
        split=split,
        demonstration=demonstration,
        genres=genres,
        clips=len(clips),
        songs=len(rows),
        clip_accuracy=float((answers == truth).mean()),
        clip_interval=_interval(right_clips[drawn].sum(axis=1) / counts[drawn].sum(axis=1)),
        song_accuracy=float(right_songs.mean()),
        song_interval=wilson_interval(int(right_songs.sum()), len(right_songs)),
        confusion=tuple(tuple(map(int, row)) for row in confusion_matrix(truth, answers, labels=every_genre)),
        per_genre={
            genre: dict(zip(names, map(float, values), strict=True))
            for genre, values in zip(genres, zip(*scores, strict=True), strict=True)
        },
    )


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share, by the score method of Wilson (1927).

    Parameters
    ----------
    right : int in 0..count
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


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)

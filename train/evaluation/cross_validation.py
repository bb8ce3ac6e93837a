"""Cross-validation: every clip is predicted by a model that has heard neither it nor its group, and all are pooled.

The network of each fold, and the baselines on the same folds, are compared by paired differences over all songs: a test
split of a tenth of them says much less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.classifier import with_temperature
from edge_runtime.pooling import POOLINGS, pool
from train.dataset.dataset import Clip, Dataset
from train.evaluation.baselines import baseline_methods
from train.evaluation.calibration import reliability
from train.evaluation.evaluate import Predictor
from train.evaluation.metrics import (
    Interval,
    Scores,
    compute_scores,
    paired_difference,
    percent,
    rows_of_groups,
    rows_of_songs,
    with_ci,
)
from train.evaluation.pooled_predictions import OtherPredictions, Predictions
from train.evaluation.results import DEMONSTRATION
from train.progress import Reporter
from train.run import SPLITS
from train.teachers import Teacher

SCHEMA = 1
"""Version of ``cross-validation.json``."""

NETWORK = "network"


@dataclass(frozen=True)
class Fold:
    """The size of a fold."""

    name: str
    """Of its run, such as ``fold-1``."""
    songs: dict[str, int]
    """By split: those of ``test`` are the fold."""
    clips: dict[str, int]
    """By split."""


@dataclass(frozen=True)
class FoldScores:
    """A method's accuracy on one fold."""

    fold: str
    clip_accuracy: float
    """In [0, 1]."""
    clip_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""
    song_accuracy: float
    """In [0, 1]."""
    song_accuracy_ci: Interval
    """95 % CI, bootstrapped over groups of songs."""


@dataclass(frozen=True)
class MethodScores:
    """A method's scores on all folds together, and on each."""

    name: str
    scores: Scores
    """Of all clips; intervals are bootstrapped over groups of songs."""
    folds: tuple[FoldScores, ...]
    chosen: tuple[str, ...]
    """A baseline's hyperparameters in each fold, selected on its validation songs; empty for the network."""
    calibration_error: float | None
    """Expected calibration error of all clips after the temperature scaling of each fold; None for a baseline."""
    calibration_error_unscaled: float | None
    """The same before it."""


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
class CrossValidation:
    """The result of a cross-validation: what ``cross-validation.json`` holds."""

    settings: dict[str, Any]
    """The songs and the options that it was made with."""
    demonstration: bool
    """On synthesised music: it says nothing about real music."""
    genres: tuple[str, ...]
    songs: int
    clips: int
    groups: int
    """Groups of songs with a common artist, group or sound, each in one fold."""
    folds: tuple[Fold, ...]
    methods: tuple[MethodScores, ...]
    """The network, if it was trained, and the baselines."""
    comparisons: tuple[Comparison, ...]
    """Of each pair of methods, and of each method with the same one of another cross-validation."""
    verdict: str
    """Which method wins, in one sentence."""

    def to_json(self) -> str:
        """The result as it stands in ``cross-validation.json``: ``schema`` and the fields under their names."""
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, indent=1, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode()

    def notes(self) -> list[str]:
        """What the figures do not show."""
        notes = [DEMONSTRATION] if self.demonstration else []
        names = {method.name for method in self.methods}
        if NETWORK in names:
            notes.append("one training for each fold: the variation between seeds is not part of the intervals")
        if NETWORK in names and len(names) > 1:
            notes.append(
                "a baseline is fitted to the validation songs, too, once they have selected its hyperparameters: the "
                "network is not"
            )
        return notes

    def as_text(self) -> str:
        """The result for the terminal."""
        width = max(len(method.name) for method in self.methods)
        lines = [f"{len(self.folds)} folds of {self.clips} clips of {self.songs} songs in {self.groups} groups"]
        for method in self.methods:
            scores = method.scores
            lines.append(
                f"  {method.name:<{width}}  clip accuracy {with_ci(scores.clip_accuracy, scores.clip_accuracy_ci)}  "
                f"song accuracy {with_ci(scores.song_accuracy, scores.song_accuracy_ci)}  "
                f"macro F1 {scores.song_macro_f1:.2f}"
            )
            each = ", ".join(f"{100 * fold.clip_accuracy:.1f}" for fold in method.folds)
            lines.append(f"  {'':<{width}}  clip accuracy by fold {each} %")
        lines += [comparison.as_text() for comparison in self.comparisons]
        for method in self.methods:
            if method.calibration_error is not None and method.calibration_error_unscaled is not None:
                lines.append(
                    f"expected calibration error {percent(method.calibration_error_unscaled)} before temperature "
                    f"scaling, {percent(method.calibration_error)} after"
                )
        return "\n".join([*lines, self.verdict, *(f"note: {note}" for note in self.notes())])


def points(difference: float, ci: Interval) -> str:
    """A difference of two shares with its interval, as ``+9.2 points (95 % CI +1.3 to +17.0)``."""
    low, high = (100 * end for end in ci)
    return f"{100 * difference:+.1f} points (95 % CI {low:+.1f} to {high:+.1f})"


def predict_network(folds: Sequence[Dataset], reporter: Reporter) -> Predictions:
    """Predict the test clips of each fold with the network of its run.

    Parameters
    ----------
    folds : sequence of Dataset
        Of :func:`train.dataset.folds.fold_datasets`, whose runs are trained and evaluated.
    reporter : Reporter

    Raises
    ------
    TmgcError
        A run has not been trained, or not on these clips.
    """
    from keras.utils import clear_session

    unscaled = np.empty((len(folds[0].clips), len(folds[0].genres)), np.float32)
    scaled = np.empty_like(unscaled)
    reporter.phase("predicting the folds", len(folds[0].clips))
    for fold in folds:
        clear_session()  # or the networks of all folds stay in memory
        card = fold.run.card()
        fold.check_trained(card)
        rows = _rows(fold, "test")
        unscaled[rows] = Predictor(fold).predict_clips(fold.of("test"), reporter)
        scaled[rows] = with_temperature(unscaled[rows], card.temperature)
    return Predictions(NETWORK, scaled, unscaled)


def predict_baselines(folds: Sequence[Dataset], reporter: Reporter, *, teacher: Teacher | None) -> list[Predictions]:
    """Fit the baselines to the training clips of each fold, and predict its test clips.

    Features are computed once for all folds, and kept; hyperparameters are selected on the validation clips of each.

    Parameters
    ----------
    folds : sequence of Dataset
        Of :func:`train.dataset.folds.fold_datasets`, and written.
    reporter : Reporter
    teacher : Teacher or None
        Adds the baseline of its outputs.
    """
    dataset, found = folds[0], []
    labels = dataset.labels(dataset.clips)
    for method in baseline_methods(dataset.spectrogram.sample_rate, teacher):
        features = method.features(dataset, dataset.clips, reporter)
        probabilities = np.empty((len(labels), len(dataset.genres)), np.float32)
        chosen = []
        for fold in folds:
            train, validation, test = (_rows(fold, split) for split in SPLITS)
            probabilities[test], settings = method.predict(
                (features[train], labels[train]),
                (features[validation], labels[validation]),
                features[test],
                reporter,
                refit=True,
            )
            chosen.append(settings)
        found.append(Predictions(method.name, probabilities, chosen=tuple(chosen)))
    return found


def cross_validation(
    folds: Sequence[Dataset],
    predictions: Sequence[Predictions],
    settings: Mapping[str, Any],
    *,
    others: Sequence[Comparison] = (),
) -> CrossValidation:
    """Score the pooled predictions of several methods, and compare each with each.

    Parameters
    ----------
    folds : sequence of Dataset
        Of :func:`train.dataset.folds.fold_datasets`.
    predictions : sequence of Predictions
        One method at least.
    settings : mapping of str to anything that JSON can hold
        Copied into the result.
    others : sequence of Comparison
        With another cross-validation, likewise.
    """
    dataset = folds[0]
    methods = tuple(_method_scores(folds, each) for each in predictions)
    pairs = [
        compare(dataset.clips, dataset.genres, (one.method, one.probabilities), (other.method, other.probabilities))
        for one, other in combinations(predictions, 2)
    ]
    return CrossValidation(
        settings=dict(settings),
        demonstration=dataset.demonstration,
        genres=dataset.genres,
        songs=methods[0].scores.songs,
        clips=len(dataset.clips),
        groups=len(rows_of_groups(dataset.clips)),
        folds=tuple(_fold(fold) for fold in folds),
        methods=methods,
        comparisons=(*pairs, *others),
        verdict=_verdict(methods, pairs),
    )


def compare(
    clips: Sequence[Clip],
    genres: tuple[str, ...],
    first: tuple[str, NDArray[np.float32]],
    second: tuple[str, NDArray[np.float32]],
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
    truth = np.array([genres.index(clip.genre) for clip in clips])
    of_songs = truth[[rows[0] for rows in songs]]
    by_clip = [each.argmax(axis=1) == truth for _, each in (first, second)]
    by_song = [
        np.stack([pool(each[rows], POOLINGS[0]) for rows in songs]).argmax(axis=1) == of_songs
        for _, each in (first, second)
    ]
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


def compare_with_other(
    dataset: Dataset, predictions: Sequence[Predictions], other: OtherPredictions
) -> list[Comparison]:
    """Compare each method with the same one of another cross-validation, on the clips that both have.

    Parameters
    ----------
    dataset : Dataset
    predictions : sequence of Predictions
    other : OtherPredictions

    Raises
    ------
    TmgcError
        It is of other songs or genres.
    """
    comparisons = []
    for each in predictions:
        if found := other.of(each.method, dataset.clips, dataset.genres):
            rows, probabilities = found
            comparisons.append(
                compare(
                    [dataset.clips[row] for row in rows],
                    dataset.genres,
                    (each.method, each.probabilities[rows]),
                    (f"{each.method} of {other.run}", probabilities),
                )
            )
    return comparisons


def _rows(fold: Dataset, split: str) -> NDArray[np.intp]:
    return np.flatnonzero([clip.split == split for clip in fold.clips])


def _fold(fold: Dataset) -> Fold:
    clips = {split: fold.of(split) for split in SPLITS}
    return Fold(
        name=fold.run.name,
        songs={split: len({clip.song for clip in some}) for split, some in clips.items()},
        clips={split: len(some) for split, some in clips.items()},
    )


def _method_scores(folds: Sequence[Dataset], found: Predictions) -> MethodScores:
    dataset = folds[0]
    labels = dataset.labels(dataset.clips)

    def error(probabilities: NDArray[np.float32]) -> float:
        return reliability(probabilities, labels).expected_calibration_error

    return MethodScores(
        name=found.method,
        scores=compute_scores(
            found.probabilities,
            dataset.clips,
            dataset.genres,
            split="cross-validation",
            demonstration=dataset.demonstration,
        ),
        folds=tuple(_fold_scores(fold, found) for fold in folds),
        chosen=found.chosen,
        calibration_error=None if found.unscaled is None else error(found.probabilities),
        calibration_error_unscaled=None if found.unscaled is None else error(found.unscaled),
    )


def _fold_scores(fold: Dataset, found: Predictions) -> FoldScores:
    scores = compute_scores(found.probabilities[_rows(fold, "test")], fold.of("test"), fold.genres, split="test")
    return FoldScores(
        fold.run.name, scores.clip_accuracy, scores.clip_accuracy_ci, scores.song_accuracy, scores.song_accuracy_ci
    )


def _verdict(methods: Sequence[MethodScores], pairs: Sequence[Comparison]) -> str:
    best = max(methods, key=lambda method: method.scores.clip_accuracy)
    head = f"{best.name} has the highest clip accuracy, {percent(best.scores.clip_accuracy)}"
    rivals = [
        pair.second if pair.first == best.name else pair.first
        for pair in pairs
        if best.name in (pair.first, pair.second) and pair.better != best.name
    ]
    if rivals:
        return f"{head}, but is not significantly better than {' and '.join(rivals)}"
    return f"{head}, and is significantly better than all others" if pairs else head

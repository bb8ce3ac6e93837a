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
from edge_runtime.errors import TmgcError
from train.dataset.dataset import Dataset
from train.evaluation.baselines import baseline_methods
from train.evaluation.calibration import reliability
from train.evaluation.comparison import Comparison, TeacherComparison, compare, compare_with_teacher
from train.evaluation.evaluate import Predictor
from train.evaluation.metrics import (
    Interval,
    Scores,
    compute_scores,
    percent,
    rows_of_groups,
    with_ci,
)
from train.evaluation.pooled_predictions import OtherPredictions, Predictions
from train.evaluation.results import DEMONSTRATION
from train.progress import Reporter
from train.run import SPLITS
from train.teachers import Teacher

SCHEMA = 2
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
    teacher: TeacherComparison | None = None
    """Of the networks with those that taught them, on all clips; None if nothing did."""

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
        if NETWORK in names and len(names) > 1 and not self.settings.get("refit"):
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
        lines += [self.teacher.as_text()] if self.teacher else []
        for method in self.methods:
            if method.calibration_error is not None and method.calibration_error_unscaled is not None:
                lines.append(
                    f"expected calibration error {percent(method.calibration_error_unscaled)} before temperature "
                    f"scaling, {percent(method.calibration_error)} after"
                )
        return "\n".join([*lines, self.verdict, *(f"note: {note}" for note in self.notes())])


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
    teacher: OtherPredictions | None = None,
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
    teacher : OtherPredictions, optional
        The cross-validation whose networks taught the first method.

    Raises
    ------
    TmgcError
        The teachers have not predicted all clips, or other genres.
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
        teacher=_against_teacher(dataset, predictions[0], teacher) if teacher else None,
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


def _against_teacher(dataset: Dataset, student: Predictions, teacher: OtherPredictions) -> TeacherComparison:
    found = teacher.of(NETWORK, dataset.clips, dataset.genres)
    if not found or len(found[0]) < len(dataset.clips):
        raise TmgcError(
            f"a student is compared on all songs of its teachers: those of {teacher.run} have not predicted all of "
            "them. Run: tmgc-train cross-validate"
        )
    return compare_with_teacher(
        dataset.clips, dataset.genres, student.probabilities, (f"{NETWORK} of {teacher.run.resolve().name}", found[1])
    )


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

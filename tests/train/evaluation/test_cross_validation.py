"""Predictions of all folds are pooled, and methods compared on the same clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from tests.train.dataset.test_folds import RATIOS, dataset_of
from tests.train.evaluation.test_baselines import prepared
from train.dataset.dataset import Dataset
from train.dataset.folds import fold_datasets, write_fold
from train.evaluation.cross_validation import (
    CrossValidation,
    compare_with_other,
    cross_validation,
    predict_baselines,
)
from train.evaluation.pooled_predictions import OtherPredictions, Predictions, write_predictions
from train.progress import Reporter

Folds = tuple[Dataset, ...]


@pytest.fixture
def folds(tmp_path: Path) -> Folds:
    """Two genres of 30 songs of two clips."""
    return fold_datasets(dataset_of(tmp_path, {"Caz": 30, "Halk": 30}), 5, split_ratios=RATIOS, seed=0)


def predicting(dataset: Dataset, *, wrong: int) -> NDArray[np.float32]:
    """Certain probabilities, of which the first of each genre are wrong."""
    labels = dataset.labels(dataset.clips).copy()
    for genre in range(len(dataset.genres)):
        labels[np.flatnonzero(labels == genre)[:wrong]] = -1
    return np.where(labels[:, None] < 0, np.eye(2)[1 - dataset.labels(dataset.clips)], np.eye(2)[labels]).astype(
        np.float32
    )


def two_methods(folds: Folds, *, wrong: int = 30) -> list[Predictions]:
    good, bad = predicting(folds[0], wrong=6), predicting(folds[0], wrong=wrong)
    softened = (0.8 * good + 0.1).astype(np.float32)
    return [Predictions("network", softened, unscaled=good), Predictions("SVM", bad, chosen=("C=3",) * 5)]


def scored(folds: Folds, *, wrong: int = 30) -> CrossValidation:
    return cross_validation(folds, two_methods(folds, wrong=wrong), {"folds": 5})


def test_all_clips_count_once_and_folds_add_up(folds: Folds) -> None:
    network = scored(folds).methods[0]
    assert network.scores.clips == 120
    assert network.scores.clip_accuracy == pytest.approx(0.9)
    assert np.sum(network.scores.confusion) == 120
    sizes = [len(fold.of("test")) for fold in folds]
    by_fold = [fold.clip_accuracy for fold in network.folds]
    assert np.average(by_fold, weights=sizes) == pytest.approx(0.9)
    assert [fold.fold for fold in network.folds] == [f"fold-{number}" for number in range(1, 6)]


def test_the_significantly_better_method_wins(folds: Folds) -> None:
    found = scored(folds)
    (pair,) = found.comparisons
    assert (pair.first, pair.second, pair.better) == ("network", "SVM", "network")
    assert pair.clip_difference == pytest.approx(0.4)
    assert pair.clip_difference_ci[0] > 0
    assert pair.song_difference == pytest.approx(0.4)
    assert found.verdict == "network has the highest clip accuracy, 90.0 %, and is significantly better than all others"


def test_a_difference_that_chance_explains_is_none(folds: Folds) -> None:
    found = scored(folds, wrong=8)
    assert found.comparisons[0].better is None
    assert found.verdict.endswith("but is not significantly better than SVM")


def test_the_calibration_error_is_that_of_the_network_alone(folds: Folds) -> None:
    network, svm = scored(folds).methods
    assert network.calibration_error_unscaled == pytest.approx(0.1)
    assert network.calibration_error == pytest.approx(0.0, abs=1e-6)
    assert svm.calibration_error is None


def test_the_text_and_the_json_hold_the_same_figures(folds: Folds) -> None:
    found = scored(folds)
    document = json.loads(found.to_json())
    assert document["methods"][0]["scores"]["clip_accuracy"] == pytest.approx(0.9)
    assert document["settings"] == {"folds": 5}
    text = found.as_text()
    for part in (
        "5 folds of 120 clips of 60 songs in 60 groups",
        "90.0 % (95 % CI",
        found.verdict,
        "network - SVM: +40.0",
    ):
        assert part in text
    assert "demonstration only" in text
    assert "a baseline is fitted to the validation songs, too" in text


def test_baselines_hear_each_clip_once_and_predict_it_from_the_other_folds(tmp_path: Path) -> None:
    dataset = prepared(tmp_path, ("Caz", "Halk"))
    heard = list[str]()

    class Listening(Reporter):
        def phase(self, name: str, steps: int) -> None:
            heard.extend([name] * (steps == len(dataset.clips)))

    folds = fold_datasets(dataset, 4, split_ratios=RATIOS, seed=0)
    for fold in folds:
        write_fold(fold)
    (svm,) = predict_baselines(folds, Listening(), teacher=None)
    assert heard == ["computing features for SVM on MFCC statistics"]
    (again,) = predict_baselines(folds, Listening(), teacher=None)
    assert len(heard) == 1, "the features are kept"
    np.testing.assert_array_equal(again.probabilities, svm.probabilities)
    assert len(svm.chosen) == 4
    assert (svm.probabilities.argmax(axis=1) == dataset.labels(dataset.clips)).mean() > 0.9


def test_another_cross_validation_of_the_same_songs_is_compared_clip_by_clip(folds: Folds, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_predictions(other / "predictions.csv", folds, [Predictions("network", predicting(folds[0], wrong=30))])
    (found,) = compare_with_other(folds[0], two_methods(folds), OtherPredictions(other))
    assert (found.first, found.second) == ("network", f"network of {other}")
    assert found.clips == 120
    assert found.clip_difference == pytest.approx(0.4)
    assert found.better == "network"


def test_students_are_compared_with_their_teachers_on_all_clips(folds: Folds, tmp_path: Path) -> None:
    other = tmp_path / "taught-by"
    other.mkdir()
    write_predictions(other / "predictions.csv", folds, [Predictions("network", predicting(folds[0], wrong=0))])
    result = cross_validation(folds, two_methods(folds), {}, teacher=OtherPredictions(other))
    assert result.teacher
    assert result.teacher.name == "network of taught-by"
    assert (result.teacher.clips, result.teacher.verdict) == (120, "worse by 10.0 points")
    assert result.teacher.as_text() in result.as_text()
    assert json.loads(result.to_json())["teacher"]["clip_accuracy"] == 1
    (other / "predictions.csv").write_text(
        "".join((other / "predictions.csv").read_text("utf-8").splitlines(keepends=True)[:-1]), "utf-8"
    )
    with pytest.raises(TmgcError, match="have not predicted all"):
        cross_validation(folds, two_methods(folds), {}, teacher=OtherPredictions(other))

"""Predictions are written as a table, and read again for the clips that two cross-validations share."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import TmgcError
from tests.train.dataset.test_folds import RATIOS, dataset_of
from train.dataset.dataset import Dataset
from train.dataset.folds import fold_datasets
from train.evaluation.pooled_predictions import OtherPredictions, Predictions, write_predictions


@pytest.fixture
def written(tmp_path: Path) -> tuple[Dataset, Predictions]:
    """A dataset, and predictions of it in a file."""
    folds = fold_datasets(dataset_of(tmp_path, {"Caz": 6, "Halk": 6}), 3, split_ratios=RATIOS, seed=0)
    some = np.random.default_rng(0).dirichlet((1, 1), len(folds[0].clips)).astype(np.float32)
    predictions = Predictions("network", some)
    write_predictions(tmp_path / "predictions.csv", folds, [predictions])
    return folds[0], predictions


def test_the_table_has_a_row_for_each_clip_with_its_fold(written: tuple[Dataset, Predictions], tmp_path: Path) -> None:
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(written[0].clips)
    assert {row["fold"] for row in rows} == {"fold-1", "fold-2", "fold-3"}
    assert float(rows[0]["p:Caz"]) == pytest.approx(written[1].probabilities[0, 0], rel=1e-5)


def test_what_is_read_is_what_was_written(written: tuple[Dataset, Predictions], tmp_path: Path) -> None:
    dataset, predictions = written
    found = OtherPredictions(tmp_path).of("network", dataset.clips[::-2], dataset.genres)
    assert found is not None
    np.testing.assert_allclose(found[1], predictions.probabilities[::-2], rtol=1e-4)


def test_only_clips_that_both_have_are_compared(written: tuple[Dataset, Predictions], tmp_path: Path) -> None:
    dataset, _ = written
    clips = [replace(dataset.clips[0], song="Caz/new"), *dataset.clips[1:5]]
    found = OtherPredictions(tmp_path).of("network", clips, dataset.genres)
    assert found is not None
    assert found[0].tolist() == [1, 2, 3, 4]
    assert OtherPredictions(tmp_path).of("SVM", clips, dataset.genres) is None


def test_other_songs_or_genres_are_refused(written: tuple[Dataset, Predictions], tmp_path: Path) -> None:
    dataset, _ = written
    other = OtherPredictions(tmp_path)
    with pytest.raises(TmgcError, match="the same songs and genres"):
        other.of("network", [replace(clip, song="new") for clip in dataset.clips], dataset.genres)
    with pytest.raises(TmgcError, match="the same songs and genres"):
        other.of("network", dataset.clips, ("Caz", "Rap"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "has none"),
        (b"method,song\nnetwork,a\n", "cannot be read"),
        (b"method,song,offset_s,p:Caz\nnetwork,a,0,0.5,0.5\n", "cannot be read"),
        (b"\xff\xfe\0", None),
    ],
)
def test_a_missing_or_damaged_table_is_one_line(content: bytes | None, expected: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "predictions.csv").write_bytes(content)
    if expected is None:
        assert OtherPredictions(tmp_path).of("network", [], ()) is None
        return
    with pytest.raises(TmgcError, match=expected) as caught:
        OtherPredictions(tmp_path)
    assert "\n" not in str(caught.value)

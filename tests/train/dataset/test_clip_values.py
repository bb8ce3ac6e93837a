"""Numbers of clips are computed once, for all folds of a cross-validation, and an interruption loses a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.train.dataset.test_folds import RATIOS, dataset_of
from train.dataset.clip_values import clip_values
from train.dataset.dataset import Clip, Dataset
from train.dataset.folds import fold_datasets, write_fold
from train.progress import Reporter


class Offsets:
    """Computes the offset of each clip, and lists what it was asked; it can be interrupted."""

    def __init__(self, *, at_most: int = 1000) -> None:
        self.asked, self.at_most = list[str](), at_most

    def __call__(self, clips: Sequence[Clip]) -> NDArray[np.float32]:
        if len(self.asked) >= self.at_most:
            raise KeyboardInterrupt
        self.asked += [clip.name for clip in clips]
        return np.array([[clip.offset_seconds, 1.0] for clip in clips], np.float32)

    def of(self, dataset: Dataset, clips: Sequence[Clip], *, version: int = 1) -> NDArray[np.float32]:
        return clip_values(
            dataset,
            clips,
            self,
            folder=dataset.run.features / "offsets",
            depends_on=[version],
            shape=(2,),
            dtype=np.float32,
            reporter=Reporter(),
            phase="computing offsets",
        )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """60 clips."""
    return dataset_of(tmp_path, {"Caz": 15, "Halk": 15})


def test_numbers_are_those_of_the_clips_in_their_order_and_computed_once(dataset: Dataset) -> None:
    compute, chosen = Offsets(), [dataset.clips[5], dataset.clips[2]]
    assert compute.of(dataset, chosen).tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert compute.of(dataset, dataset.clips)[:, 0].tolist() == [0.0, 1.0] * 30
    assert sorted(compute.asked) == sorted(clip.name for clip in dataset.clips)


def test_an_interruption_loses_the_clips_at_work(dataset: Dataset) -> None:
    interrupted, again = Offsets(at_most=20), Offsets()
    with pytest.raises(KeyboardInterrupt):
        interrupted.of(dataset, dataset.clips)
    again.of(dataset, dataset.clips)
    assert 16 < len(interrupted.asked) < 60
    assert sorted(interrupted.asked + again.asked) == sorted(clip.name for clip in dataset.clips)


def test_folds_share_the_numbers(dataset: Dataset) -> None:
    compute = Offsets()
    for fold in fold_datasets(dataset, 3, split_ratios=RATIOS, seed=0):
        write_fold(fold)
        compute.of(fold, fold.of("train"))
    assert len(compute.asked) == len(set(compute.asked))
    assert len(list((dataset.run.features / "offsets").iterdir())) == 1


def test_numbers_that_depend_on_something_else_replace_the_others(dataset: Dataset) -> None:
    compute = Offsets()
    for version in (1, 2):
        compute.of(dataset, dataset.clips, version=version)
    assert len(compute.asked) == 120
    (kept,) = (dataset.run.features / "offsets").iterdir()
    kept.write_bytes(kept.read_bytes()[:200])
    assert compute.of(dataset, dataset.clips, version=2)[:, 1].all()
    assert len(compute.asked) == 180, "a file that was cut short is written anew"

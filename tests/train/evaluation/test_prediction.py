"""The network of a run answers for its pictures, and one that was made for others is refused."""

from __future__ import annotations

from collections.abc import Callable
from zipfile import ZipFile

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from train.dataset.dataset import Dataset
from train.evaluation.evaluate import Predictor
from train.libraries import silence
from train.progress import Reporter

Copy = Callable[[Dataset], Dataset]


def test_clips_are_answered_for_in_their_order_and_each_is_a_step(small_dataset: Dataset) -> None:
    steps = []

    class Counting(Reporter):
        def step(self, values: object) -> None:
            steps.append(values)

    predictor, clips = Predictor(small_dataset, batch_size=7), small_dataset.of("train")
    found = predictor.of_clips(clips, Counting())
    assert found.shape == (len(clips), 10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(found[3:5], predictor(small_dataset.images(clips[3:5])), atol=1e-5)
    assert len(steps) == len(clips)
    assert (found.argmax(axis=1) == small_dataset.labels(clips)).mean() > 0.5, "it has learned something"


def test_a_file_that_is_no_model_is_refused(small_dataset: Dataset, copy_of: Copy) -> None:
    copy = copy_of(small_dataset)
    with ZipFile(copy.run.model, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(TmgcError, match="cannot be read"):
        Predictor(copy)


@pytest.mark.parametrize(("shape", "genres"), [((16, 24, 3), 10), ((32, 24, 3), 4)])
def test_a_network_for_other_pictures_or_genres_is_refused(
    shape: tuple[int, int, int], genres: int, small_dataset: Dataset, copy_of: Copy
) -> None:
    import keras

    copy = copy_of(small_dataset)
    layers = [keras.Input(shape, dtype="uint8"), keras.layers.Flatten(), keras.layers.Dense(genres)]
    with silence():
        keras.Sequential(layers).save(copy.run.model)
    with pytest.raises(TmgcError, match="tmgc-train fit"):
        Predictor(copy)

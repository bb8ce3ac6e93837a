"""Training learns, and says what it did."""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest

from edge_runtime import TmgcError
from train.corpus import read_corpus
from train.fit import FitSettings, Labelled, PictureBatches
from train.judging.scores import judge
from train.run import Run


def labelled(count: int) -> Labelled:
    grey = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 5), np.uint8)
    return Labelled(grey, np.arange(count))


def test_batches_are_coloured_pictures_with_their_labels(palette: np.ndarray) -> None:
    batches = PictureBatches(labelled(7), palette, batch_size=3)
    assert [len(batches[number][1]) for number in range(len(batches))] == [3, 3, 1]
    pictures, labels = batches[1]
    assert pictures.shape == (3, 4, 5, 3)
    assert labels.tolist() == [3, 4, 5]
    np.testing.assert_array_equal(pictures[:, 0, 0], palette[3:6])


def test_training_pictures_come_in_another_order_each_epoch_and_the_same_for_the_same_seed(palette: np.ndarray) -> None:
    def orders(seed: int) -> list[list[int]]:
        batches = PictureBatches(labelled(50), palette, batch_size=8, shuffle_seed=seed)
        epochs = []
        for _ in range(2):
            epochs.append([int(label) for number in range(len(batches)) for label in batches[number][1]])
            batches.on_epoch_end()
        return epochs

    first, second = orders(0)
    assert len(set(first)) == len(set(second)) == 48
    assert first != second
    assert orders(0) == [first, second]
    assert orders(1) != [first, second]


@pytest.mark.parametrize(("count", "sizes"), [(3, [3]), (8, [8]), (23, [8, 8])])
def test_all_batches_to_train_on_are_of_one_size(count: int, sizes: list[int], palette: np.ndarray) -> None:
    batches = PictureBatches(labelled(count), palette, batch_size=8, shuffle_seed=0)
    assert [len(batches[number][1]) for number in range(len(batches))] == sizes


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"architecture": "resnet"}, "--architecture is one of"),
        ({"epochs": 0}, "fine-tuned"),
        ({"batch_size": 0}, "--batch-size"),
        ({"learning_rate": 0.0}, "--learning-rate"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(TmgcError, match=said):
        FitSettings(**wrong)  # type: ignore[arg-type]


def test_both_phases_stand_in_the_history_and_the_loss_falls(trained_run: Run) -> None:
    with trained_run.history_csv.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for phase in ("head", "fine-tuning"):
        losses = [float(row["loss"]) for row in rows if row["phase"] == phase]
        assert losses[-1] < 0.7 * losses[0], phase


def test_the_card_says_what_the_network_was_trained_on(trained_run: Run) -> None:
    card = trained_run.card()
    corpus = read_corpus(trained_run)
    assert card.demonstration
    assert card.genres == corpus.genres
    assert card.spectrogram == corpus.spectrogram
    assert card.network["architecture"] == "inception_resnet_v2"
    assert card.network["parameters"] > 54_000_000
    assert card.training["train"]["clips"] == len(corpus.of("train"))
    assert (card.training["head_epochs"], card.training["epochs"]) == (10, 6)
    assert card.versions["keras"] == keras.__version__
    assert card.accuracy["split"] == "test"


def test_the_saved_model_knows_songs_that_it_has_not_heard(trained_run: Run) -> None:
    corpus = read_corpus(trained_run)
    clips = corpus.of("test")
    network = keras.models.load_model(trained_run.model, compile=False)
    result = judge(network.predict(corpus.pictures(clips), verbose=0), clips, corpus.genres, split="test")
    assert result.song_accuracy >= 0.8

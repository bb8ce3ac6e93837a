"""A refit learns the validation clips too, for as long as was best without them, and survives being killed."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edge_runtime import TmgcError
from tests.train.training.conftest import QUICK, history
from train.dataset.dataset import Dataset
from train.training import Checkpoint, fit, resume
from train.training.callbacks import CheckpointAndEarlyStopping


def predictions(dataset: Dataset, split: str) -> np.ndarray:
    """Of the saved model."""
    network = keras.models.load_model(dataset.run.model, compile=False)
    probabilities: np.ndarray = network.predict(dataset.images(dataset.of(split)), verbose=0)
    return probabilities


@pytest.mark.full
@pytest.mark.usefixtures("without_dropout")
def test_a_refit_also_learns_the_validation_clips_and_keeps_what_was_predicted_before(small_dataset: Dataset) -> None:
    fit(small_dataset, QUICK)
    before, run = predictions(small_dataset, "validation"), small_dataset.run
    assert not run.validation_probabilities.exists()
    start = time.perf_counter()
    card = fit(small_dataset, replace(QUICK, refit=True))
    assert card.training["seconds"] <= time.perf_counter() - start, "no second is counted twice"
    assert np.load(run.validation_probabilities) == pytest.approx(before, abs=1e-3)
    assert predictions(small_dataset, "validation") != pytest.approx(before, abs=1e-2), "or nothing was learned"
    assert card.training["refit_epochs"] == len(history(run, "refit fine-tuning"))
    assert not Checkpoint(run).exists()
    fit(small_dataset, QUICK)
    assert not run.validation_probabilities.exists(), "it was of the earlier model"


@pytest.mark.full
def test_a_refit_is_as_long_as_the_training_was_until_its_best_epoch(small_dataset: Dataset) -> None:
    fit(small_dataset, replace(QUICK, head_epochs=4, epochs=6, patience=6, monitor="val_accuracy", refit=True))
    head, fine_tuning = (
        [float(row["val_accuracy"]) for row in history(small_dataset.run, phase)] for phase in ("head", "fine-tuning")
    )
    best = int(np.argmax(fine_tuning)) + 1
    assert best < 6, "or every epoch would do"
    assert len(history(small_dataset.run, "refit fine-tuning")) == best
    assert len(history(small_dataset.run, "refit head")) == int(np.argmax(head)) + 1


@pytest.mark.full
@pytest.mark.usefixtures("without_dropout")
@pytest.mark.parametrize("epochs_done", [0, 2])
def test_a_refit_that_is_resumed_ends_like_one_without_interruption(
    epochs_done: int, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(QUICK, epochs=3, monitor="last", refit=True)
    fit(small_dataset, config)
    uninterrupted, save = predictions(small_dataset, "test"), CheckpointAndEarlyStopping.save

    def interrupted(self: CheckpointAndEarlyStopping, network: keras.Model, *, is_best: bool) -> None:
        save(self, network, is_best=is_best)
        state = Checkpoint(small_dataset.run).read(small_dataset.fingerprint())[1]
        if (state.refit_epochs, state.epochs) == (3, epochs_done):
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(small_dataset, config)
    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", save)
    card = resume(small_dataset)
    assert (card.training["epochs"], card.training["refit_epochs"]) == (3, 3)
    assert card.training["settings"]["monitor"] == "last"
    assert predictions(small_dataset, "test") == pytest.approx(uninterrupted, abs=1e-3)


@pytest.mark.full
@pytest.mark.parametrize("removed", [False, True])
def test_killed_between_the_training_and_its_refit_it_goes_on(
    removed: bool, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmtree = shutil.rmtree

    def killed(path: Path | str, **rest: Any) -> None:
        if Path(path).name == "epoch-000002":
            if removed:
                Path(path, "state.json").unlink()
            raise KeyboardInterrupt
        rmtree(path, **rest)

    config = replace(QUICK, refit=True, monitor="last")
    with monkeypatch.context() as context:
        context.setattr("train.training.checkpoint.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(small_dataset, config)
    card = resume(small_dataset)
    assert (card.training["epochs"], card.training["refit_epochs"]) == (2, 2)


@pytest.mark.full
def test_weights_that_were_refitted_on_the_validation_songs_are_refused(small_dataset: Dataset) -> None:
    run = small_dataset.run
    card = fit(small_dataset, replace(QUICK, epochs=1))
    again = replace(QUICK, epochs=1, weights=str(run.model))
    assert fit(small_dataset, again).training["epochs"] == 1, "weights of a run without a refit know no validation song"
    run.card_json.write_text(card.replace(training={**card.training, "refit_epochs": 1}).to_json(), "utf-8")
    with pytest.raises(TmgcError, match="a refit has trained"):
        fit(small_dataset, again)

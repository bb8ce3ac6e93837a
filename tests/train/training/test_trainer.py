"""Training learns, says what it did, repeats for a seed, and survives being killed."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from edge_runtime import ModelCard, TmgcError
from tests.factories import TINY_TRAINING
from train.dataset.dataset import Dataset, read_dataset, write_dataset
from train.evaluation import compute_scores
from train.progress import Reporter
from train.run import Run
from train.training import Augmentation, Checkpoint, TrainingConfig, fit, resume
from train.training.callbacks import CheckpointAndEarlyStopping
from train.training.checkpoint import save_network

QUICK = replace(TINY_TRAINING, head_epochs=0)


@pytest.fixture(params=["tiny_trained_run", pytest.param("trained_run", marks=pytest.mark.full)])
def run(request: pytest.FixtureRequest) -> Run:
    """A trained and evaluated run: of the tiny network, and of the whole InceptionResNetV2."""
    trained: Run = request.getfixturevalue(request.param)
    return trained


def history(run: Run, phase: str) -> list[dict[str, Any]]:
    with run.history_csv.open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["phase"] == phase]


def in_a_process(run: Run, *options: object, **environment: str) -> subprocess.Popen[str]:
    code = "import tests.factories; from train.cli import main; main()"
    usual = ["--architecture", "tiny", "--weights", "none", "--head-epochs", 2, "--batch-size", 12]
    command = [sys.executable, "-c", code, "fit", str(run.folder)]
    command += map(str, options if "--resume" in options else [*usual, *options])
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | environment)


def test_both_phases_stand_in_the_history_and_the_loss_falls(run: Run) -> None:
    for phase in ("head", "fine-tuning"):
        losses = [float(row["loss"]) for row in history(run, phase)]
        assert losses[-1] < 0.7 * losses[0], phase


def test_the_learning_rate_rises_and_then_falls_to_zero(run: Run) -> None:
    rates = [float(row["learning_rate"]) for row in history(run, "fine-tuning")]
    highest = run.card().training["learning_rate"]
    assert max(rates) <= highest
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < highest / 100


def test_the_card_describes_the_network_and_its_training(run: Run) -> None:
    card, dataset = run.card(), read_dataset(run)
    assert card.demonstration is dataset.demonstration
    assert card.genres == dataset.genres
    assert card.spectrogram == dataset.spectrogram
    network = keras.models.load_model(run.model, compile=False)
    assert card.network["architecture"] == network.name
    assert card.network["parameters"] == network.count_params()
    assert card.training["train"]["clips"] == len(dataset.of("train"))
    config = TrainingConfig.from_json(card.training["settings"])
    assert (card.training["head_epochs"], card.training["epochs"]) == (config.head_epochs, config.epochs)
    assert card.versions["keras"] == keras.__version__
    assert card.accuracy["split"] == "test"


@pytest.mark.full
def test_the_whole_network_has_54_million_parameters_and_a_card_that_says_demonstration(trained_run: Run) -> None:
    card = trained_run.card()
    assert card.demonstration
    assert card.network["architecture"] == "inception_resnet_v2"
    assert card.network["parameters"] > 54_000_000


def test_the_saved_model_classifies_songs_that_it_was_not_trained_on(run: Run) -> None:
    dataset = read_dataset(run)
    clips = dataset.of("test")
    network = keras.models.load_model(run.model, compile=False)
    result = compute_scores(network.predict(dataset.images(clips), verbose=0), clips, dataset.genres, split="test")
    assert result.song_accuracy >= 0.8


def test_one_seed_gives_one_first_epoch(small_dataset: Dataset) -> None:
    losses = []
    for _ in range(2):
        fit(small_dataset, replace(QUICK, epochs=1), Reporter())
        losses.append([float(row["loss"]) for row in history(small_dataset.run, "fine-tuning")])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    fit(small_dataset, replace(QUICK, epochs=1, seed=1), Reporter())
    assert [float(row["loss"]) for row in history(small_dataset.run, "fine-tuning")] != pytest.approx(
        losses[0], abs=1e-4
    )


def test_the_weights_of_the_best_epoch_are_kept_and_nothing_is_left_behind(small_dataset: Dataset) -> None:
    fit(small_dataset, replace(QUICK, epochs=4, augmentation=Augmentation.only(())), Reporter())
    losses = [float(row["val_loss"]) for row in history(small_dataset.run, "fine-tuning")]
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    network.compile(loss="sparse_categorical_crossentropy")
    clips = small_dataset.of("validation")
    loss = network.evaluate(small_dataset.images(clips), small_dataset.labels(clips), verbose=0)
    assert loss == pytest.approx(min(losses), rel=1e-3)
    assert max(losses) > 1.01 * min(losses), "or any epoch would do"
    assert not Checkpoint(small_dataset.run).exists()
    assert list((small_dataset.run.tensorboard / "fine-tuning").rglob("events.out*"))


@pytest.fixture
def without_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout is all that a resumed training draws anew."""
    monkeypatch.setattr(keras.layers.Dropout, "call", lambda self, inputs, training=False: inputs)


@pytest.mark.usefixtures("without_dropout")
def test_a_training_that_goes_on_ends_as_it_would_have(small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(small_dataset, replace(QUICK, epochs=4), Reporter())
    whole = history(small_dataset.run, "fine-tuning")
    save = CheckpointAndEarlyStopping.save

    def killed_after_two(self: CheckpointAndEarlyStopping, network: keras.Model, *, is_best: bool) -> None:
        save(self, network, is_best=is_best)
        if Checkpoint(small_dataset.run).read(small_dataset.fingerprint())[1].epochs == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        fit(small_dataset, replace(QUICK, epochs=4), Reporter())
    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", save)
    resume(small_dataset, Reporter())
    resumed = history(small_dataset.run, "fine-tuning")
    for column in ("loss", "val_loss", "learning_rate"):
        expected = [float(row[column]) for row in whole]
        assert [float(row[column]) for row in resumed] == pytest.approx(expected, rel=1e-3), column


def test_a_training_that_was_killed_goes_on_from_its_last_whole_epoch(small_dataset: Dataset) -> None:
    run = small_dataset.run
    with in_a_process(run, "--epochs", 4) as killed:
        while not list((run.folder / ".training").glob("epoch-000001")):
            assert killed.poll() is None, killed.communicate()[1]
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
    refused = in_a_process(run, "--epochs", 4)
    assert "--resume" in refused.communicate()[1]
    assert refused.returncode == 2
    resumed = in_a_process(run, "--resume")
    assert "going on with fine-tuning" in resumed.communicate()[1]
    assert resumed.returncode == 0
    assert [int(row["epoch"]) for row in history(run, "fine-tuning")] == [1, 2, 3, 4]
    assert run.card().training["epochs"] == 4


def test_there_is_nothing_to_go_on_with_after_a_whole_training(small_dataset: Dataset) -> None:
    with pytest.raises(TmgcError, match="there is none"):
        resume(small_dataset, Reporter())


def test_it_trains_under_jax_and_shares_batches_among_devices_whatever_the_number_of_clips(
    small_dataset: Dataset,
) -> None:
    odd = small_dataset.of("train")[1:] + small_dataset.of("validation")[1:]
    small_dataset = replace(small_dataset, clips=(*odd, *small_dataset.of("test")))
    write_dataset(small_dataset)
    two_devices = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = in_a_process(small_dataset.run, "--epochs", 2, "--data-parallel", **two_devices)
    said = done.communicate()[1]
    assert done.returncode == 0, said
    assert small_dataset.run.card().training["backend"] == "jax"
    under_jax = history(small_dataset.run, "head") + history(small_dataset.run, "fine-tuning")
    losses = [float(row["val_loss"]) for row in under_jax]
    assert np.isfinite(losses).all()
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    assert network.predict(small_dataset.images(small_dataset.clips[:3]), verbose=0).shape == (3, 3)


def test_devices_are_shared_under_jax_alone(small_dataset: Dataset) -> None:
    with pytest.raises(TmgcError, match="KERAS_BACKEND=jax"):
        fit(small_dataset, replace(QUICK, data_parallel=True), Reporter())


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_network_trained_in_16_bits_is_saved_in_32(
    precision: str, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[np.ndarray] = []

    def save(network: keras.Model, *rest: Any) -> ModelCard:
        trained.extend(network.get_weights())
        return save_network(network, *rest)

    monkeypatch.setattr("train.training.trainer.save_network", save)
    fit(small_dataset, replace(QUICK, epochs=1, precision=precision), Reporter())
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    assert {layer.compute_dtype for layer in network.get_layer("backbone").layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert len(trained) > 10
    for kept, saved in zip(trained, network.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, saved)


def test_a_learning_rate_is_found_and_its_curve_is_kept(small_dataset: Dataset) -> None:
    card = fit(small_dataset, replace(QUICK, epochs=1, learning_rate=None), Reporter())
    assert 1e-6 <= card.training["learning_rate"] <= 0.1
    assert (small_dataset.run.plots / "learning_rate.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_said_of_an_earlier_model_is_forgotten(small_dataset: Dataset) -> None:
    run = small_dataset.run
    stale = [
        run.evaluation_json("test"),
        run.report_html("train"),
        run.plot("confusion", "test"),
        run.lr_finder("png"),
    ]
    kept = [run.folder / "evaluation-before.json", run.folder / "report-mine.html", run.plots / "notes.txt"]
    (run.plots / "mine").mkdir(parents=True)
    for path in stale + kept:
        path.touch()
    fit(small_dataset, replace(QUICK, epochs=1), Reporter())
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in kept)


def test_a_wrong_option_costs_nothing_of_an_earlier_training(small_dataset: Dataset) -> None:
    fit(small_dataset, replace(QUICK, epochs=1), Reporter())
    before = small_dataset.run.model.read_bytes()
    with pytest.raises(TmgcError, match="existing weights file"):
        fit(small_dataset, replace(QUICK, weights="nowhere.weights.h5"), Reporter())
    assert small_dataset.run.model.read_bytes() == before
    assert list((small_dataset.run.tensorboard / "fine-tuning").rglob("events.out*"))


def test_the_originals_recipe_runs_for_the_time_it_is_given(small_dataset: Dataset) -> None:
    card = fit(small_dataset, replace(QUICK, minutes=1e-6).as_the_original(), Reporter())
    assert card.training["epochs"] == 1
    assert card.training["head_epochs"] == 0
    assert json.loads(json.dumps(card.training["settings"]))["augmentation"]["flip"] is True

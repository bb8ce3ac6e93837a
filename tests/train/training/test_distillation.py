"""A student learns the genres of its labels and the teacher's outputs together."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edge_runtime.files import sha256_of
from tests.factories import TINY_TRAINING
from train.dataset.dataset import Dataset
from train.run import Run
from train.training import TrainingConfig, fit, resume
from train.training.callbacks import CheckpointAndEarlyStopping
from train.training.distillation import TARGETS, TargetScaling, soft_labels, student, target_head


@pytest.fixture
def taught(tiny_trained_run: Run) -> TrainingConfig:
    return replace(TINY_TRAINING, teachers=(str(tiny_trained_run.folder),))


def history(run: Run) -> list[dict[str, Any]]:
    with run.history_csv.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_scaled_targets_have_mean_0_and_variance_1_and_a_constant_one_is_0() -> None:
    targets = np.random.default_rng(0).normal(3, 5, (1000, 4)).astype(np.float16)
    targets[:, 3] = 2
    scaled = TargetScaling.of(targets)(targets)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 1, 0], atol=1e-2)


def test_soft_labels_are_the_ensembles_geometric_mean_softened() -> None:
    probabilities = np.array([[[0.5, 0.4, 0.1], [0.9, 0.05, 0.05]]])
    mean = np.sqrt(probabilities.prod(axis=1))
    expected = np.sqrt(mean) / np.sqrt(mean).sum()
    found = soft_labels(np.log(probabilities).astype(np.float16))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(soft_labels(np.array([[[0.0, -2000.0]]])), [[1, 0]])


def test_a_student_answers_with_genres_and_targets_and_shares_its_weights() -> None:
    features, head, targets = keras.Input((4,)), keras.layers.Dense(3, activation="softmax"), target_head(5)
    network = student(features, features, head, targets, name="student")
    assert network.output_shape == (None, 8)
    assert network.get_layer(TARGETS) is targets
    given = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(network.predict(given, verbose=0)[:, :3], head(given), atol=1e-6)


def test_a_student_is_saved_as_a_classifier_whose_card_names_its_teacher_and_carries_its_licence(
    small_dataset: Dataset, taught: TrainingConfig, tiny_trained_run: Run, tmp_path: Path
) -> None:
    teacher = Run(tmp_path / "teacher")
    teacher.folder.mkdir()
    teacher.model.symlink_to(tiny_trained_run.model)
    card = tiny_trained_run.card()
    noted = card.replace(network={**card.network, "licence": "Name the authors."})
    teacher.card_json.write_text(noted.to_json(), "utf-8")
    config = replace(taught, teachers=(str(teacher.folder),), epochs=1, monitor="val_accuracy")
    card = fit(small_dataset, config)
    assert card.network["teachers"] == [
        {"name": "teacher", "weights_sha256": sha256_of(tiny_trained_run.model), "learned": "probabilities"}
    ]
    assert card.network["licence"] == "Name the authors."
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    assert [layer.name for layer in network.layers][1:] == ["front_end", "backbone", "head"]
    assert card.network["parameters"] == network.count_params()
    probabilities = network.predict(small_dataset.images(small_dataset.clips[:4]), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


@pytest.fixture
def foreign(tiny_trained_run: Run, tmp_path: Path) -> Run:
    """A trained run of genres of its own."""
    run = Run(tmp_path / "foreign")
    run.folder.mkdir()
    run.model.symlink_to(tiny_trained_run.model)
    run.card_json.write_text(tiny_trained_run.card().replace(genres=("Blues", "Swing", "Tango")).to_json(), "utf-8")
    return run


def test_the_validation_loss_is_that_of_the_genres(
    small_dataset: Dataset, taught: TrainingConfig, foreign: Run
) -> None:
    config = replace(taught, head_epochs=0, epochs=1, teachers=(str(foreign.folder), *taught.teachers))
    card = fit(small_dataset, replace(config, teacher_weight=1000.0))
    assert [each["learned"] for each in card.network["teachers"]] == ["targets", "probabilities"]
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    clips = small_dataset.of("validation")
    probabilities = network.predict(small_dataset.images(clips), verbose=0)
    loss = -np.log(probabilities[np.arange(len(clips)), small_dataset.labels(clips)]).mean()
    (epoch,) = history(small_dataset.run)
    assert float(epoch["val_loss"]) == pytest.approx(loss, rel=1e-3)
    assert float(epoch["loss"]) > 100


@pytest.mark.full
def test_a_taught_training_that_is_interrupted_resumes_with_its_teacher(
    small_dataset: Dataset, taught: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = CheckpointAndEarlyStopping.save

    def interrupted(self: CheckpointAndEarlyStopping, network: keras.Model, *, is_best: bool) -> None:
        save(self, network, is_best=is_best)
        raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(small_dataset, taught)
    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", save)
    (stored,) = small_dataset.run.teacher_targets.rglob("*.npy")
    written = stored.stat().st_mtime_ns
    assert resume(small_dataset).network["teachers"][0]["name"] == "tiny"
    assert [row["phase"] for row in history(small_dataset.run)] == ["head", "head", "fine-tuning", "fine-tuning"]
    assert stored.stat().st_mtime_ns == written, "the targets were not computed again"

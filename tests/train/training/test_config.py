"""Invalid settings are refused, and valid ones survive JSON."""

from __future__ import annotations

import json

import pytest

from edge_runtime import TmgcError
from train.training.config import Augmentation, TrainingConfig


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 0.0}, "--width is above 0 and at most 4"),
        ({"width": float("nan")}, "--width"),
        ({"epochs": 0}, "--epochs is at least 1"),
        ({"head_epochs": -1}, "--head-epochs"),
        ({"batch_size": 0}, "--batch-size"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"optimizer": "sgd"}, "--optimizer is one of adam"),
        ({"precision": "float8"}, "--precision is one of float32"),
        ({"unfreeze": 0.0}, "--unfreeze"),
        ({"label_smoothing": 1.0}, "--label-smoothing"),
        ({"minutes": 0.0}, "--minutes"),
        ({"schedule": "linear"}, "schedule is one of cosine"),
        ({"monitor": "loss"}, "--monitor is one of val_loss"),
    ],
)
def test_invalid_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(TmgcError, match=message):
        TrainingConfig(**wrong)  # type: ignore[arg-type]


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(TmgcError, match="got flip"):
        Augmentation.only(("shift", "flip"))


@pytest.mark.parametrize(
    "settings",
    [
        TrainingConfig(),
        TrainingConfig(learning_rate=None, minutes=3.0).with_recipe("reference"),
        TrainingConfig(teachers=("musicnn",)).with_recipe("few-songs"),
    ],
)
def test_settings_survive_json(settings: TrainingConfig) -> None:
    assert TrainingConfig.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_the_reference_recipe_keeps_the_architecture_the_weights_and_the_time() -> None:
    asked = TrainingConfig(architecture="mobilenet", weights="none", minutes=5.0, seed=3)
    reference = asked.with_recipe("reference")
    assert (reference.architecture, reference.weights, reference.minutes, reference.seed) == (
        "mobilenet",
        "none",
        5.0,
        3,
    )
    assert reference.augmentation.flip
    assert not reference.augmentation.of_waveform
    assert (reference.optimizer, reference.patience, reference.monitor) == ("adamax", 8, "val_accuracy")
    assert reference.trains_batch_normalization
    assert reference.head_epochs == 0


def test_the_recipe_for_few_songs_suits_what_the_network_takes() -> None:
    asked = TrainingConfig(architecture="mobilenet", weights="none", teachers=("musicnn",), batch_size=8)
    of_images, of_waveforms = (asked.with_recipe("few-songs", kind) for kind in ("image", "waveform"))
    for config in (of_images, of_waveforms):
        assert (config.architecture, config.teachers, config.batch_size) == ("mobilenet", ("musicnn",), 8)
        assert (config.monitor, config.refit) == ("last", True)
        assert config.augmentation == Augmentation.only(("roll",))
    assert of_images.trains_batch_normalization
    assert of_images.head_epochs == 0 < of_waveforms.head_epochs
    assert (of_waveforms.learning_rate or 1) < (of_images.learning_rate or 0) / 10


def test_the_recipe_of_the_project_changes_nothing() -> None:
    assert TrainingConfig(epochs=3).with_recipe("tmgc") == TrainingConfig(epochs=3)

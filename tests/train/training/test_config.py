"""Settings that make no sense are refused, and all others survive being written down."""

from __future__ import annotations

import json

import pytest

from edge_runtime import TmgcError
from train.training.config import Augmentation, TrainingConfig


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "fine-tuned"),
        ({"head_epochs": -1}, "--head-epochs"),
        ({"batch_size": 0}, "--batch-size"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"optimizer": "sgd"}, "--optimizer is one of adam"),
        ({"precision": "float8"}, "--precision is one of float32"),
        ({"unfreeze": 0.0}, "--unfreeze"),
        ({"label_smoothing": 1.0}, "--label-smoothing"),
        ({"minutes": 0.0}, "--minutes"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(TmgcError, match=said):
        TrainingConfig(**wrong)  # type: ignore[arg-type]


def test_an_unknown_augmentation_is_refused() -> None:
    with pytest.raises(TmgcError, match="got flip"):
        Augmentation.only(("shift", "flip"))


@pytest.mark.parametrize(
    "settings", [TrainingConfig(), TrainingConfig(learning_rate=None, minutes=3.0).as_the_original()]
)
def test_settings_survive_being_written_down(settings: TrainingConfig) -> None:
    assert TrainingConfig.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_the_originals_recipe_keeps_the_architecture_the_weights_and_the_time() -> None:
    asked = TrainingConfig(architecture="mobilenet", weights="none", minutes=5.0, seed=3)
    original = asked.as_the_original()
    assert (original.architecture, original.weights, original.minutes, original.seed) == ("mobilenet", "none", 5.0, 3)
    assert original.augmentation.flip
    assert not original.augmentation.varies_sound
    assert (original.optimizer, original.patience, original.keep) == ("adamax", 8, "val_accuracy")
    assert original.trains_batch_normalization
    assert original.head_epochs == 0

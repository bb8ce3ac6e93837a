"""The optimizer of fine-tuning and its learning rate over time."""

from __future__ import annotations

from typing import Any

import keras

from train.fitting.settings import FitSettings

_OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamax": keras.optimizers.Adamax, "adamw": keras.optimizers.AdamW}

_WARM_UP = 0.1
"""Share of the steps over which the learning rate rises, so that Adam's estimates settle first."""


def compile_network(network: keras.Model, settings: FitSettings, rate: Any) -> None:
    """Make a network ready to be trained, at a learning rate or by a schedule of it."""
    # TensorFlow would spend many minutes in XLA for a network of this depth; JAX has no other way.
    jit_compile: bool | str = False if keras.config.backend() == "tensorflow" else "auto"
    network.compile(
        _OPTIMIZERS[settings.optimizer](rate), loss(settings), weighted_metrics=["accuracy"], jit_compile=jit_compile
    )
    network.optimizer.build(network.trainable_variables)


def loss(settings: FitSettings) -> keras.losses.Loss:
    """Cross-entropy, of targets ``[shape=(n, n_genres)]``."""
    return keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)


def schedule(settings: FitSettings, highest: float, *, steps: int) -> Any:
    """The learning rate of each step: rising, then falling to zero along a half cosine; or always the highest."""
    if not settings.falling:
        return highest
    warm_up = max(1, round(_WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=highest, warmup_steps=warm_up
    )

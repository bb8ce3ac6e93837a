"""What a network is compiled with: the loss, the optimizer and the schedule of its learning rate."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from train.training.config import TrainingConfig

_WARM_UP = 0.1
"""Share of the steps over which the learning rate rises, until Adam's moment estimates have settled."""


def compile_network(network: keras.Model, config: TrainingConfig, learning_rate: Any, *, n_genres: int) -> None:
    """Compile a network for training.

    Parameters
    ----------
    network : keras.Model
    config : TrainingConfig
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
    n_genres : int
    """
    optimizers = {"adam": keras.optimizers.Adam, "adamax": keras.optimizers.Adamax, "adamw": keras.optimizers.AdamW}
    compile_with(network, optimizers[config.optimizer](learning_rate), **losses(config, n_genres))


def compile_with(network: keras.Model, optimizer: keras.optimizers.Optimizer, **losses: Any) -> None:
    """Compile a network, and create the state of its optimizer and of its metrics.

    A checkpoint can then be loaded into the optimizer's. TensorFlow traces a step twice that creates a variable:
    half a minute for InceptionResNetV2.
    """
    # TensorFlow would spend many minutes in XLA for a network of this depth; JAX has no other way.
    jit_compile: bool | str = False if keras.config.backend() == "tensorflow" else "auto"
    network.compile(optimizer, **losses, jit_compile=jit_compile)
    network.optimizer.build(network.trainable_variables)
    answers = np.zeros((1, network.output_shape[-1]), np.float32)
    network.compute_metrics(None, answers, answers, sample_weight=np.ones(1, np.float32))
    network.reset_metrics()


def losses(config: TrainingConfig, n_genres: int) -> dict[str, Any]:
    """What Keras' ``compile`` takes: the loss of the genres, or of genres and teacher, and the accuracy."""
    if not config.teachers:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
        return {"loss": loss, "weighted_metrics": ["accuracy"]}
    loss = DistillationLoss(n_genres, weight=config.teacher_weight, label_smoothing=config.label_smoothing)
    return {"loss": loss, "weighted_metrics": [genre_accuracy(n_genres)]}


def lr_schedule(config: TrainingConfig, highest: float, *, steps: int) -> Any:
    """The learning rate of each step: linear warm-up and cosine decay to zero, or constant."""
    if config.schedule == "constant":
        return highest
    return cosine_decay(highest, steps=steps, warm_up=_WARM_UP)


def cosine_decay(highest: float, *, steps: int, warm_up: float) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate of each step: linear warm-up over a share of the steps, and cosine decay to zero."""
    rising = max(1, round(warm_up * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - rising), warmup_target=highest, warmup_steps=rising
    )


class DistillationLoss(keras.losses.Loss):
    """Cross-entropy of the genres, plus the weighted mean squared error of the targets that follow them.

    Labels without targets, as in validation, give the cross-entropy alone.

    Parameters
    ----------
    n_genres : int
    weight : float >= 0
        Of the targets' error.
    label_smoothing : float in [0, 1)
    """

    def __init__(self, n_genres: int, *, weight: float, label_smoothing: float) -> None:
        super().__init__()
        self._n_genres, self._weight, self._label_smoothing = n_genres, weight, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        count = self._n_genres
        entropy = keras.losses.categorical_crossentropy(
            y_true[:, :count], y_pred[:, :count], label_smoothing=self._label_smoothing
        )
        if y_true.shape[1] == count:
            return entropy
        return entropy + self._weight * ops.mean(ops.square(y_true[:, count:] - y_pred[:, count:]), axis=1)


def genre_accuracy(n_genres: int) -> keras.metrics.Metric:
    """Accuracy of a student's genres, under the name ``accuracy``."""

    def accuracy(y_true: Any, y_pred: Any) -> Any:
        return keras.metrics.categorical_accuracy(y_true[:, :n_genres], y_pred[:, :n_genres])

    return keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")

"""Distillation: a network learns a teacher's outputs for the same windows, beside the labels or in their place.

Hinton et al. 2015, "Distilling the knowledge in a neural network", and for features Romero et al. 2015, "FitNets".

A student has one output, in which the scaled targets follow the genres' probabilities, and its labels are laid out
alike: so one array is shuffled, blended and weighted. Labels without targets, as in validation, give the loss of the
genres alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

TARGETS = "targets"
"""Name of the layer after the backbone whose outputs are compared with the teacher's."""


@dataclass(frozen=True)
class TargetScaling:
    """Brings each of a teacher's outputs to mean 0 and variance 1, so that all count alike in the loss."""

    mean: NDArray[np.float32]
    """``[shape=(n_targets,)]``"""
    deviation: NDArray[np.float32]
    """``[shape=(n_targets,)], float32 > 0``"""

    @classmethod
    def of(cls, targets: NDArray[np.floating]) -> TargetScaling:
        """The scaling of training targets ``[shape=(n, n_targets)]``."""
        mean, deviation = targets.mean(axis=0, dtype=np.float64), targets.std(axis=0, dtype=np.float64)
        return cls(mean.astype(np.float32), np.maximum(deviation, 1e-3).astype(np.float32))

    def __call__(self, targets: NDArray[np.floating]) -> NDArray[np.float32]:
        """Targets ``[shape=(n, n_targets)]``, scaled."""
        scaled: NDArray[np.float32] = ((targets - self.mean) / self.deviation).astype(np.float32)
        return scaled


def target_head(n_targets: int) -> keras.layers.Layer:
    """The layer :data:`TARGETS`, from the backbone's features to scaled targets ``[shape=(n, n_targets)], float32``."""
    return layers.Dense(n_targets, dtype="float32", name=TARGETS)


def student(
    window: Any, features: Any, head: keras.layers.Layer, targets: keras.layers.Layer, *, name: str
) -> keras.Model:
    """The network that is trained: a classifier whose features answer for the teacher, too.

    Parameters
    ----------
    window, features : keras tensor
        Its input, and the backbone's features of it, ``[shape=(n, n_features)]``.
    head, targets : keras.layers.Layer
        From the features to probabilities, and to scaled targets: see :func:`target_head`.
    name : str

    Returns
    -------
    student : keras.Model
        To ``[shape=(n, n_genres + n_targets)], float32``. It shares the weights of the layers that it is made of.
    """
    both = layers.Concatenate(dtype="float32")([head(features), targets(features)])
    return keras.Model(window, both, name=name)


class DistillationLoss(keras.losses.Loss):
    """Cross-entropy of the genres, plus the weighted mean squared error of the targets.

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

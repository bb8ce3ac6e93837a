"""Distillation: a network learns a teacher's outputs for the same windows, beside the labels or in their place.

A teacher with the genres of the dataset is one of probabilities (Hinton et al. 2015, "Distilling the knowledge in a
neural network"), any other one of targets (Romero et al. 2015, "FitNets"). Cross-entropy is linear in the labels, so
that probabilities are mixed into them: ``w`` times the loss of the labels plus ``1 - w`` times that of the
probabilities is the loss of their weighted mean. Targets have an output of their own, which follows the genres', and
the labels are laid out alike. So one array is shuffled, blended and weighted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

TARGETS = "targets"
"""Name of the layer after the backbone whose outputs are compared with the teacher's."""

SOFTENING = 2.0
"""Temperature of a teacher's probabilities. A network is nearly certain of the songs that it was trained on: softened,
its probabilities tell which genres it takes for alike. The student learns them without a temperature of its own, which
would only scale its logits: calibration does that at the end."""


def soft_labels(log_probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """Softened probabilities of an ensemble: softmax of its mean log-probabilities over :data:`SOFTENING`.

    Parameters
    ----------
    log_probabilities : np.ndarray [shape=(n, n_teachers, n_genres)]

    Returns
    -------
    probabilities : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
    """
    logits = log_probabilities.mean(axis=1, dtype=np.float64) / SOFTENING
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


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
    from keras import layers

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
    import keras

    both = keras.layers.Concatenate(dtype="float32")([head(features), targets(features)])
    return keras.Model(window, both, name=name)

"""Distillation: a network learns a teacher's outputs for the same windows, beside the labels or in their place.

Hinton et al. 2015, "Distilling the knowledge in a neural network", and for features Romero et al. 2015, "FitNets".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

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
    from keras import layers

    return layers.Dense(n_targets, dtype="float32", name=TARGETS)

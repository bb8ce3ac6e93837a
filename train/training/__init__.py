"""Training a network on the clips of a run.

Examples
--------
>>> from train.dataset.dataset import read_dataset
>>> from train.run import Run
>>> from train.training import TrainingConfig, fit
>>> card = fit(read_dataset(Run(Path("runs/mine"))), TrainingConfig(weights="none"))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from train.training.checkpoint import Checkpoint
from train.training.config import Augmentation, TrainingConfig

if TYPE_CHECKING:
    from train.training.trainer import fit, resume

__all__ = ["Augmentation", "Checkpoint", "TrainingConfig", "fit", "resume"]


def __getattr__(name: str) -> Any:
    """Import Keras only when a training begins: settings and checkpoints are read without it."""
    if name not in ("fit", "resume"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from train.training import trainer

    return getattr(trainer, name)

"""Clips to a network: architectures, augmentation, the two phases of training, and going on after an interruption."""

from __future__ import annotations

from train.training.checkpoint import Checkpoint
from train.training.config import Augmentation, TrainingConfig
from train.training.trainer import fit, resume

__all__ = ["Augmentation", "Checkpoint", "TrainingConfig", "fit", "resume"]

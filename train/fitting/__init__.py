"""Clips to a network: architectures, augmentation, the two phases of training, and going on after an interruption."""

from train.fitting.checkpoint import Checkpoint
from train.fitting.settings import Augmentation, FitSettings
from train.fitting.training import fit, resume

__all__ = ["Augmentation", "Checkpoint", "FitSettings", "fit", "resume"]

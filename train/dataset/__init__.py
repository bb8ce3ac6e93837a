"""From a folder of songs to a dataset: clips of 2 seconds, their index images, and the split."""

from __future__ import annotations

from train.dataset.build import prepare
from train.dataset.dataset import GROUP_BY, DatasetConfig
from train.dataset.discover import Skipped

__all__ = ["GROUP_BY", "DatasetConfig", "Skipped", "prepare"]

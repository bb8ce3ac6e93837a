"""Songs to clips: finds the songs, cuts 2-second clips, draws their pictures, and splits them."""

from __future__ import annotations

from train.dataset.build import prepare
from train.dataset.dataset import GROUP_BY, DatasetConfig
from train.dataset.discover import Skipped

__all__ = ["GROUP_BY", "DatasetConfig", "Skipped", "prepare"]

"""Songs to clips: finds the songs, cuts 2-second clips, draws their pictures, and splits them."""

from train.preparing.prepare import prepare
from train.preparing.settings import GROUP_BY, PrepareSettings
from train.preparing.songs import Skipped

__all__ = ["GROUP_BY", "PrepareSettings", "Skipped", "prepare"]

"""Songs to clips: finds the songs, splits them, cuts 2-second clips and draws their pictures."""

from train.preparing.prepare import PrepareSettings, Skipped, prepare

__all__ = ["PrepareSettings", "Skipped", "prepare"]

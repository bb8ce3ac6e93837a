"""How songs become clips."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings

GROUP_BY = ("song", "artist", "groups")
"""What stays on one side of the split: a file, all files of an artist, or all files of a group in ``groups.csv``."""


@dataclass(frozen=True)
class PrepareSettings:
    """How songs become clips, and which of them come to which split."""

    offsets_seconds: tuple[float, ...] = (60.0, 70.0, 80.0, 90.0)
    """Where the clips of a song begin."""
    spectrogram: SpectrogramSettings = SpectrogramSettings()
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Of each genre's songs, for train, validation and test. They add up to 1."""
    seed: int = 0
    """Which songs come to which split."""
    group_by: str | None = None
    """One of :data:`GROUP_BY`; both all files of an artist and all of a group, if None."""

    def __post_init__(self) -> None:
        different = {f"{offset:g}" for offset in self.offsets_seconds}
        if len(different) < len(self.offsets_seconds) or not all(0 <= offset < 1e6 for offset in self.offsets_seconds):
            raise TmgcError(
                f"offsets are seconds from 0 on, all different, got {list(self.offsets_seconds)}: try --offsets 60,70"
            )
        if len(self.shares) != 3 or not all(share > 0 for share in self.shares) or abs(sum(self.shares) - 1) > 1e-6:
            raise TmgcError(
                "shares are for train, validation and test, each above 0, and add up to 100 %, got "
                f"{[round(100 * share, 6) for share in self.shares]}: try --shares 80,10,10"
            )
        if self.group_by not in (None, *GROUP_BY):
            raise TmgcError(f"songs are grouped by one of {', '.join(GROUP_BY)}, got {self.group_by!r}: choose one")

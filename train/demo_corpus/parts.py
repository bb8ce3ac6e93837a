"""What the composer hands to an instrument: notes for those with a pitch, strokes for percussion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.demo_corpus.dsp import Curve


@dataclass(frozen=True)
class Notes:
    """Notes in the order of their start. The first may start before the song does."""

    start: Curve
    """[shape=(n,)], s"""
    length: Curve
    """[shape=(n,)], s, up to the next note"""
    pitch: Curve
    """[shape=(n, voices)], octaves above 1 Hz"""
    gain: Curve
    """[shape=(n,)], in [0, 1]; 0 is a rest"""

    @property
    def voices(self) -> int:
        """Notes that sound at once."""
        return int(self.pitch.shape[1])

    @property
    def highest_hz(self) -> float:
        """The highest fundamental, Hz."""
        return float(2.0 ** self.pitch.max())


@dataclass(frozen=True)
class Strokes:
    """Strokes of percussion, in any order."""

    start: Curve
    """[shape=(n,)], s"""
    hit: NDArray[np.int64]
    """[shape=(n,)], 0 low, 1 high, 2 light"""
    gain: Curve
    """[shape=(n,)], in [0, 1]"""

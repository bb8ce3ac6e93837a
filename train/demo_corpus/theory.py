"""Scales and metres of the demonstration songs: makams and usuls of Turkish music, and scales and beats of others.

A metre has three rows of strokes that any percussion can play: low (düm, bass drum), high (tek and ke, snare) and
light (the filling strokes between them, cymbals). A row has one character a step: a digit is a loudness of 1 to 9, a
dot is no stroke. The usuls are as in İ. H. Özkan, "Türk Mûsıkîsi Nazariyatı ve Usûlleri" (1984): düyek is düm 1, tek 2,
tek 1, düm 2, tek 2; aksak düm 2, te 1, ke 1, düm 2, tek 2, tek 1; curcuna düm 2, te 1, ka 2, düm 2, tek 2, tek 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.synthesis.dsp import Curve

COMMAS_PER_OCTAVE = 53

_B, _S, _K, _T, _A = 4, 5, 8, 9, 12


@dataclass(frozen=True)
class Scale:
    """A scale that repeats at the octave."""

    steps: tuple[int, ...]
    """Intervals from each degree to the next, in divisions of the octave, with one octave as their sum."""
    divisions: int = COMMAS_PER_OCTAVE
    """Divisions of the octave: 53 commas or 12 semitones."""

    def octaves(self, degrees: NDArray[np.int64]) -> Curve:
        """Degrees in octaves above the tonic, which is degree 0; negative degrees are below it."""
        heights = np.concatenate([[0], np.cumsum(self.steps)[:-1]])
        octave, degree = np.divmod(degrees, len(self.steps))
        return octave + heights[degree] / self.divisions

    def hertz(self, degrees: NDArray[np.int64], *, tonic_hz: float) -> Curve:
        """Frequencies of the degrees, Hz."""
        return tonic_hz * 2.0 ** self.octaves(degrees)


SCALES: dict[str, Scale] = {
    "hicaz": Scale((_S, _A, _S, _T, _K, _S, _T)),
    "hüseyni": Scale((_K, _S, _T, _T, _K, _S, _T)),
    "uşşak": Scale((_K, _S, _T, _T, _B, _T, _T)),
    "rast": Scale((_T, _K, _S, _T, _T, _K, _S)),
    "segâh": Scale((_S, _T, _K, _T, _S, _A, _S)),
    "nihavent": Scale((_T, _B, _T, _T, _B, _T, _T)),
    "kürdi": Scale((_B, _T, _T, _T, _B, _T, _T)),
    "major": Scale((2, 2, 1, 2, 2, 2, 1), divisions=12),
    "minor": Scale((2, 1, 2, 2, 1, 2, 2), divisions=12),
    "dorian": Scale((2, 1, 2, 2, 2, 1, 2), divisions=12),
    "mixolydian": Scale((2, 2, 1, 2, 2, 1, 2), divisions=12),
    "blues": Scale((3, 2, 1, 1, 3, 2), divisions=12),
}


@dataclass(frozen=True)
class Metre:
    """One cycle of strokes, repeated through the song."""

    steps_per_beat: int
    """Steps in one beat of the tempo."""
    low: str
    """The heavy strokes."""
    high: str
    """The strokes that answer them."""
    light: str
    """The strokes that fill in."""

    @property
    def steps(self) -> int:
        """Steps in one cycle."""
        return len(self.low)

    def loudness(self, row: str) -> Curve:
        """Loudness of each step of the row ``"low"``, ``"high"`` or ``"light"``; ``[shape=(steps,)], in [0, 1]``."""
        strokes: str = getattr(self, row)
        return np.array([0.0 if stroke == "." else int(stroke) / 9 for stroke in strokes])


METRES: dict[str, Metre] = {
    "sofyan": Metre(2, low="9.......", high="....7.6.", light="..4..3.4"),
    "düyek": Metre(2, low="9...8...", high=".8.7..8.", light="..3..4.4"),
    "türk aksağı": Metre(2, low="9....", high="..8.6", light=".5.5."),
    "aksak": Metre(2, low="9...8....", high="..6...8.6", light=".4.4.5.5."),
    "curcuna": Metre(2, low="9....8....", high="..57...7.5", light=".4..4.4.4."),
    "backbeat": Metre(4, low="9.....7.9.......", high="....9.......9...", light="8.6.8.6.8.6.8.6."),
    "heavy backbeat": Metre(4, low="9..7....9.7.....", high="....9.......9..3", light="9...8...9...8..."),
    "handclaps": Metre(4, low="9...6..79...6...", high="....9.......9...", light="7575757575757575"),
    "d-beat": Metre(4, low="9.....8.9.....8.", high="....9.......9...", light="9.8.9.8.9.8.9.8."),
    "polka beat": Metre(4, low="9...9...9...9...", high="..9...9...9...9.", light="9.8.9.8.9.8.9.8."),
    "boom bap": Metre(4, low="9..5....7.9.....", high="....9.......9...", light="7.5.7.57.65.7.5."),
    "trap": Metre(4, low="9......6..8.....", high="........9.......", light="7.5.7.5575557.55"),
    "four on the floor": Metre(4, low="9...9...9...9...", high="....7.......7...", light="4.9.4.9.4.9.4.9."),
    "techno": Metre(4, low="9...9...9...9...", high="......5...5...5.", light="449.449.449.4494"),
    "swing": Metre(3, low="4.....3.....", high="..3.......2.", light="8..9.58..9.5"),
    "swing with snare": Metre(3, low="4.......4...", high=".....4..2..3", light="8..9.58..9.5"),
}

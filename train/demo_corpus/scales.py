"""The scales of the demonstration songs: makams in commas, and the scales of the genres that have no makam.

The makams follow the Arel-Ezgi-Uzdilek theory, which builds each from a tetrachord and a pentachord of commas, 53 to
the octave: bakiye B = 4, küçük mücennep S = 5, büyük mücennep K = 8, tanini T = 9 and artık ikili A = 12. See
H. S. Arel, "Türk Mûsıkîsi Nazariyatı Dersleri" (1968), and İ. H. Özkan, "Türk Mûsıkîsi Nazariyatı ve Usûlleri" (1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.demo_corpus.dsp import Curve

COMMAS_PER_OCTAVE = 53

_B, _S, _K, _T, _A = 4, 5, 8, 9, 12


@dataclass(frozen=True)
class Scale:
    """A scale that repeats at the octave."""

    steps: tuple[int, ...]
    """From each degree to the next, in parts of the octave; together one octave."""
    divisions: int = COMMAS_PER_OCTAVE
    """Parts of the octave: 53 for commas, 12 for semitones."""

    def octaves(self, degrees: NDArray[np.int64]) -> Curve:
        """Height of the degrees above the tonic, in octaves; degree 0 is the tonic, negative ones lie below it."""
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

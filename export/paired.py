"""Whether one of two models that answered the same questions is really the better one."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

_Z95 = 1.959964
"""Half-width of a 95 % interval in standard deviations."""


@dataclass(frozen=True)
class PairedTest:
    """Accuracies of two models on the same windows, and how sure their difference is."""

    accuracy_keras: float
    accuracy_file: float
    only_keras_right: int
    only_file_right: int
    p_value: float
    """McNemar's exact test: how often chance alone gives at least this lopsided a split of the windows on which only
    one is right."""
    difference_low: float
    difference_high: float
    """95 % interval of ``accuracy_file - accuracy_keras``, after Agresti and Min (2005)."""

    @property
    def loss(self) -> float:
        """How much accuracy the file loses; negative where it gains."""
        return self.accuracy_keras - self.accuracy_file


def paired_test(keras_right: NDArray[np.bool_], file_right: NDArray[np.bool_]) -> PairedTest:
    """Compare two models that answered the same questions.

    Parameters
    ----------
    keras_right, file_right : np.ndarray [shape=(n,)], bool, n > 0
        Which answers are right. The windows count as independent: those of one song are not quite, which makes the
        p-value too small rather than too large, and so the check too strict rather than too lax.
    """
    n = len(keras_right)
    lost = int(np.sum(keras_right & ~file_right))
    won = int(np.sum(~keras_right & file_right))
    centre = (won - lost) / (n + 2)
    half = _Z95 * sqrt((won + lost + 1) / (n + 2) - centre**2) / sqrt(n + 2)
    return PairedTest(
        accuracy_keras=float(np.mean(keras_right)),
        accuracy_file=float(np.mean(file_right)),
        only_keras_right=lost,
        only_file_right=won,
        p_value=exact_sign_test(lost, won),
        difference_low=max(-1.0, centre - half),
        difference_high=min(1.0, centre + half),
    )


def exact_sign_test(first: int, second: int) -> float:
    """Two-sided probability that ``first + second`` tosses of a fair coin fall at least as unevenly.

    See Also
    --------
    scipy.stats.binomtest : the reference, with ``p=0.5``
    """
    tosses = first + second
    tail = sum(comb(tosses, successes) for successes in range(min(first, second) + 1))
    return min(1.0, float(2 * tail / 2**tosses))

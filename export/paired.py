"""Whether one of two models that answered the same questions is really the better one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

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
    """How often chance alone gives a difference at least this large, had a coin said for each group of songs
    which of the two gets its windows right."""
    difference_low: float
    difference_high: float
    """95 % interval of ``accuracy_file - accuracy_keras``, from the spread between groups of songs."""

    @property
    def loss(self) -> float:
        """How much accuracy the file loses; negative where it gains."""
        return self.accuracy_keras - self.accuracy_file


def paired_test(keras_right: NDArray[np.bool_], file_right: NDArray[np.bool_], groups: Sequence[str]) -> PairedTest:
    """Compare two models that answered the same questions.

    Windows of one clip overlap, and songs of one artist are alike: a group of songs is what counts as independent, in
    the test and in the interval.

    Parameters
    ----------
    keras_right, file_right : np.ndarray [shape=(n,)], bool, n > 0
        Which answers are right.
    groups : sequence of str, n
        What the split keeps whole: ``Clip.group`` of each window.
    """
    n = len(keras_right)
    gained = file_right.astype(np.int64) - keras_right.astype(np.int64)
    _, group = np.unique(np.array(groups), return_inverse=True)
    by_group = np.bincount(group, weights=gained).astype(np.int64)
    # One more group that gains a window and one that loses one, as Agresti and Min do: no certainty where all agree.
    spread = np.concatenate([by_group, [1, -1]])
    half = _Z95 * sqrt(float(np.sum(spread**2)) - float(spread.sum()) ** 2 / len(spread)) / n
    return PairedTest(
        accuracy_keras=float(np.mean(keras_right)),
        accuracy_file=float(np.mean(file_right)),
        only_keras_right=int(np.sum(gained < 0)),
        only_file_right=int(np.sum(gained > 0)),
        p_value=exact_sign_flip_test(by_group),
        difference_low=max(-1.0, float(gained.mean()) - half),
        difference_high=min(1.0, float(gained.mean()) + half),
    )


def exact_sign_flip_test(differences: NDArray[np.int64]) -> float:
    """Two-sided probability of a sum at least as far from 0, had each difference's sign been tossed with a fair coin.

    Fisher's randomisation test for pairs (1935), exact: the distribution of the sum is built difference by difference.
    With differences of 1 and -1 alone it is the sign test.

    Parameters
    ----------
    differences : np.ndarray [shape=(n,)], int64
    """
    chances = np.ones(1)
    for size in np.abs(differences[differences != 0]):
        lower, upper = np.pad(chances, (0, 2 * size)), np.pad(chances, (2 * size, 0))
        chances = (lower + upper) / 2
    sums = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[np.abs(sums) >= abs(int(differences.sum()))].sum()))

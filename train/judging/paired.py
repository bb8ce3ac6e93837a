"""Whether one of two models is really the better one: both answer for the same clips, and groups of songs are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.corpus import Clip
from train.judging.bootstrap import mean_interval, rows_of_groups, rows_of_songs


@dataclass(frozen=True)
class Difference:
    """How much more of the same clips one model names right than another."""

    value: float
    """Clip accuracy of the one less that of the other, in [-1, 1]."""
    interval: tuple[float, float]
    """95 % interval, bootstrapped over groups of songs, since what a group holds is alike."""
    songs: int

    @property
    def sign(self) -> int:
        """1 where the one model is really better, -1 where the other is, 0 where nobody can tell."""
        low, high = self.interval
        return int(low > 0) - int(high < 0)


def paired_difference(
    one_right: NDArray[np.bool_], other_right: NDArray[np.bool_], clips: Sequence[Clip], *, seed: int = 0
) -> Difference:
    """Compare two models on the clips that both answered for.

    Both are judged on the same groups in each draw, so that a song that is hard for both widens nothing. Drawn with
    them are two groups more, one that each model wins by as much as groups are won by here, as Agresti and Min (2005)
    do for pairs: without them four songs out of ten that one model alone knows would pass for proof.

    Parameters
    ----------
    one_right, other_right : np.ndarray [shape=(n_clips,)], bool
        Whether each clip was named right.
    clips : sequence of Clip
    seed : int
        Of the bootstrap.
    """
    gained = one_right.astype(np.float64) - other_right
    groups = rows_of_groups(clips)
    sums, counts = np.array([gained[row].sum() for row in groups]), np.array([len(row) for row in groups], np.float64)
    won = sums[sums != 0]
    usual = np.sqrt(np.mean(won**2)) if len(won) else 1.0
    interval = mean_interval(np.append(sums, [usual, -usual]), np.append(counts, [counts.mean()] * 2), seed=seed)
    return Difference(float(gained.mean()), interval, len(rows_of_songs(clips)))

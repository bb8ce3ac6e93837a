"""Whether one of two models is really the better one: both answer for the same clips, and songs are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.corpus import Clip
from train.judging.scores import rows_of_songs

_RESAMPLES = 2000
"""Bootstrap draws: the interval's ends then move by less than half a point from seed to seed."""


@dataclass(frozen=True)
class Difference:
    """How much more of the same clips one model names right than another."""

    value: float
    """Clip accuracy of the one less that of the other, in [-1, 1]."""
    interval: tuple[float, float]
    """95 % interval, bootstrapped over songs, since clips of a song are alike."""
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

    Both are judged on the same songs in each draw, so that a song that is hard for both widens nothing. Drawn with
    them are two songs more, one that each model wins by as much as songs are won by here, as Agresti and Min (2005)
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
    songs = rows_of_songs(clips)
    by_song, counts = np.array([gained[row].sum() for row in songs]), np.array([len(row) for row in songs], np.float64)
    won = by_song[by_song != 0]
    usual = np.sqrt(np.mean(won**2)) if len(won) else 1.0
    by_song, counts = np.append(by_song, [usual, -usual]), np.append(counts, [counts.mean()] * 2)
    drawn = np.random.default_rng(seed).integers(len(counts), size=(_RESAMPLES, len(counts)))
    low, high = np.percentile(by_song[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return Difference(float(gained.mean()), (float(low), float(high)), len(songs))

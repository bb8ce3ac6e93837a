"""95 % intervals of what is counted in clips or songs, from groups of songs drawn with replacement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from train.corpus import Clip

_RESAMPLES = 2000
"""Draws: the interval's ends then move by less than half a point from seed to seed."""


def rows_of_songs(clips: Iterable[Clip]) -> list[NDArray[np.intp]]:
    """For each song the positions of its clips, songs in the order of their first clip."""
    return _rows(clip.song for clip in clips)


def rows_of_groups(clips: Iterable[Clip]) -> list[NDArray[np.intp]]:
    """For each group of songs the positions of its clips, groups in the order of their first clip."""
    return _rows(clip.group for clip in clips)


def share_interval(
    right: NDArray[np.bool_], groups: Sequence[NDArray[np.intp]], *, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a share of clips, or of songs, of which those of one group are alike.

    Drawn with the groups are four more of the usual size, two that are right and two that are wrong, as Agresti and
    Coull (1998) add two successes and two failures: without them three songs that are all named right would pass for
    100 % to 100 %.

    Parameters
    ----------
    right : np.ndarray [shape=(n,)], bool
    groups : sequence of np.ndarray of int
        Positions in ``right``, as of :func:`rows_of_groups`.
    seed : int

    Returns
    -------
    low, high : float in [0, 1]
    """
    sums = np.array([right[row].sum() for row in groups], np.float64)
    counts = np.array([len(row) for row in groups], np.float64)
    usual = counts.mean()
    return mean_interval(np.append(sums, [usual, usual, 0, 0]), np.append(counts, [usual] * 4), seed=seed)


def mean_interval(sums: NDArray[np.float64], counts: NDArray[np.float64], *, seed: int) -> tuple[float, float]:
    """95 % interval of a mean over what groups hold: the percentiles of the bootstrap (Efron, 1979) over groups.

    Parameters
    ----------
    sums : np.ndarray [shape=(n_groups,)], float64
        Of the values of each group.
    counts : np.ndarray [shape=(n_groups,)], float64
        Of those values.
    seed : int

    Returns
    -------
    low, high : float
    """
    drawn = np.random.default_rng(seed).integers(len(counts), size=(_RESAMPLES, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _rows(keys: Iterable[str]) -> list[NDArray[np.intp]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        rows[key].append(number)
    return [np.array(numbers, np.intp) for numbers in rows.values()]

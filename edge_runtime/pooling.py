"""Pooling: the probabilities of several windows of a source to one answer.

It is computed the same way for the smoothed prediction, for the summary of a source and for the accuracy by song.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

POOLINGS = ("mean", "log_mean", "vote")
"""``mean`` of the probabilities; ``log_mean``, the softmax of the mean logits, which is the normalised geometric mean;
``vote``, the share of windows in which a genre is the most probable one. The first is the default."""

MIN_PROBABILITY = 1 / 512
"""A lower probability counts as this one in ``log_mean``, so that no single window rules a genre out, and int8 files,
which round such probabilities to 0, give the answers of the network."""

_TIE_BREAK = 1e-4
"""Weight of the probabilities in a vote: of genres with as many votes, the one with the highest mean wins."""


class Pool:
    """Pools any number of windows in constant memory.

    Parameters
    ----------
    pooling : str
        One of :data:`POOLINGS`.
    threshold : float in [0, 1]
        In a vote, a window with a lower confidence abstains: it counts as a window, but for no genre. So a sound that
        is unknown in every window has no winner.

    Attributes
    ----------
    windows : int
        Number of windows that were added.
    """

    def __init__(self, pooling: str, *, threshold: float = 0.0) -> None:
        self.windows = 0
        self._pooling = pooling
        self._threshold = threshold
        self._total = np.zeros(1)

    def add(self, probabilities: ArrayLike) -> None:
        """Add windows: ``[shape=(n_genres,)]`` or ``[shape=(n_windows, n_genres)]``, float in [0, 1]."""
        added = np.atleast_2d(np.asarray(probabilities, np.float64))
        if self._pooling == "log_mean":
            added = np.log(np.maximum(added, MIN_PROBABILITY))
        elif self._pooling == "vote":
            added = _votes(added, self._threshold)
        self._total = self._total + added.sum(axis=0)
        self.windows += len(added)

    def probabilities(self) -> NDArray[np.float64]:
        """The answer.

        Returns
        -------
        probabilities : np.ndarray [shape=(n_genres,)], float64 in [0, 1]
            At least one window must have been added.
        """
        mean: NDArray[np.float64] = self._total / self.windows
        if self._pooling == "log_mean":
            mean = np.exp(mean - mean.max())
            mean /= mean.sum()
        return mean


def pool(probabilities: ArrayLike, pooling: str, *, threshold: float = 0.0) -> NDArray[np.float64]:
    """Pool windows that are all there.

    Parameters
    ----------
    probabilities : array_like [shape=(n_windows, n_genres)], float in [0, 1]
        Of at least one window.
    pooling, threshold
        As of :class:`Pool`.

    Returns
    -------
    probabilities : np.ndarray [shape=(n_genres,)], float64 in [0, 1]
    """
    windows = Pool(pooling, threshold=threshold)
    windows.add(probabilities)
    return windows.probabilities()


def _votes(probabilities: NDArray[np.float64], threshold: float) -> NDArray[np.float64]:
    votes = np.zeros_like(probabilities)
    rows, winners = np.arange(len(probabilities)), probabilities.argmax(axis=1)
    votes[rows, winners] = probabilities[rows, winners] >= threshold
    return (1 - _TIE_BREAK) * votes + _TIE_BREAK * probabilities

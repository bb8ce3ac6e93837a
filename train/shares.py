"""How sure a share of independent trials is."""

from __future__ import annotations

import math


def wilson_interval(right: float, count: int) -> tuple[float, float]:
    """95 % interval of a share, by the score method of Wilson (1927).

    Parameters
    ----------
    right : float in 0..count
    count : int > 0
        Independent trials.

    Returns
    -------
    low, high : float in [0, 1]
    """
    z = 1.959964
    share, spread = right / count, z * z / count
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)

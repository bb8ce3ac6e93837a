"""Raw latencies to the figures that stand in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

PERCENTILES = (50, 90, 99)


def summarize(samples_ms: Sequence[float]) -> dict[str, float]:
    """Percentiles, extremes, mean and spread of latencies. No sample is left out.

    Parameters
    ----------
    samples_ms : sequence of float, ms
        At least one.

    Returns
    -------
    summary : dict
        ``p50``, ``p90``, ``p99`` (between samples by linear interpolation), ``min``, ``mean``, ``max``, and ``std``
        with n - 1 in its denominator; all in ms.
    """
    samples = np.asarray(samples_ms, np.float64)
    values = dict(zip((f"p{rank}" for rank in PERCENTILES), np.percentile(samples, PERCENTILES), strict=True))
    values |= {"min": samples.min(), "mean": samples.mean(), "max": samples.max()}
    values["std"] = samples.std(ddof=1) if len(samples) > 1 else 0.0
    return {name: float(value) for name, value in values.items()}


def pairwise_ratio(slow_ms: Sequence[float], fast_ms: Sequence[float], *, rounds: int) -> dict[str, Any]:
    """How many times as long one row takes as another, round against round.

    The rounds of two rows stand side by side in time, so that whatever slows the machine meanwhile slows both.

    Parameters
    ----------
    slow_ms, fast_ms : sequence of float, ms
        In the order in which they were measured; equally many in each round, but one may have more than the other.
    rounds : int > 0

    Returns
    -------
    ratio : dict
        ``rounds``: the ratio of the two medians of each round; ``median``, ``low`` and ``high`` of those.
    """
    slow, fast = (
        np.median(np.reshape(np.asarray(samples, np.float64), (rounds, -1)), axis=1) for samples in (slow_ms, fast_ms)
    )
    ratios = slow / fast
    return {
        "median": float(np.median(ratios)),
        "low": float(ratios.min()),
        "high": float(ratios.max()),
        "rounds": ratios.tolist(),
    }

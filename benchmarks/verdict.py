"""Whether a row answers as fast as windows come, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.rows import OF_THE_NETWORK, PACKAGED
from edge_runtime.listening import ListenSettings

HOP_SECONDS = ListenSettings().hop_seconds
"""From one window to the next, as ``tmgc-listen`` takes them by default."""


def verdict_of(latency_ms: dict[str, float], *, hop_seconds: float = HOP_SECONDS) -> dict[str, Any]:
    """Whether answers keep up.

    Parameters
    ----------
    latency_ms : dict
        A row's summary, from a file.
    hop_seconds : float > 0

    Returns
    -------
    verdict : dict
        ``hop_s``, ``keeps_up``, ``times_over`` (the hop over the mean latency), ``sub_second`` (the 99th percentile
        is) and ``lines`` for people.
    """
    times_over = hop_seconds * 1e3 / latency_ms["mean"]
    keeps_up, sub_second = times_over >= 1, latency_ms["p99"] < 1e3
    how = f"yes, {_short(times_over)} times over" if keeps_up else f"no (mean {latency_ms['mean']:.0f} ms)"
    return {
        "hop_s": hop_seconds,
        "keeps_up": keeps_up,
        "times_over": times_over,
        "sub_second": sub_second,
        "lines": [
            f"keeps up at hop {hop_seconds:.1f} s: {how}",
            f"sub-second: {'yes' if sub_second else 'no'} (p99 {_short(latency_ms['p99'])} ms)",
        ],
    }


def quickest(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The export of the run with the lowest median from a file, else of all rows; None where nothing was measured."""
    measured = [row for row in rows if row["ok"]]
    others = (*OF_THE_NETWORK, f"{PACKAGED}-")
    exports = [row for row in measured if not row["name"].startswith(others)]
    return min(exports or measured, key=lambda row: row["latency_ms"]["p50"], default=None)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"

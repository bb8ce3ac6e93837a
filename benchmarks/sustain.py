"""One row at full speed for minutes: whether the machine holds its pace when it grows warm."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from benchmarks.process import RowProcess
from benchmarks.rows import RowSpec
from benchmarks.running import Progress
from benchmarks.sound import Excerpt
from benchmarks.summary import summarize
from edge_runtime.condition import condition

_AT_ONCE = 10
"""Windows between two looks at the clock."""


def sustain(
    row: RowSpec,
    excerpts: Sequence[Excerpt],
    *,
    threads: int,
    minutes: int,
    progress: Progress,
    minute_seconds: float = 60.0,
) -> dict[str, Any]:
    """Answer windows from files, one after another, and look at the machine each minute.

    Parameters
    ----------
    row : RowSpec
    excerpts : sequence of Excerpt
    threads, minutes : int > 0
    progress : callable
    minute_seconds : float > 0
        Shorter where only the way is to be tried.

    Returns
    -------
    sustained : dict
        ``row``, ``threads``, ``slowdown`` (the last minute's median over the first's) and ``minutes``: of each
        ``latency_ms``, ``samples_ms``, and the machine's state at its end (:func:`edge_runtime.condition.condition`).

    Raises
    ------
    RowFailedError
        The row cannot be measured.
    """
    passed = []
    with RowProcess(row, threads=threads) as process:
        process.load(list(excerpts))
        begun, first = monotonic(), 0
        for minute in range(1, minutes + 1):
            progress(row.name, f"minute {minute} of {minutes}", minute - 1, minutes)
            samples: list[float] = []
            while not samples or monotonic() < begun + minute * minute_seconds:
                windows = process.measure("file", first=first, count=_AT_ONCE)
                samples += [round(window["total_ms"], 2) for window in windows]
                first += _AT_ONCE
            passed.append({"latency_ms": summarize(samples), "samples_ms": samples, **condition()})
    medians = [minute["latency_ms"]["p50"] for minute in passed]
    return {"row": row.name, "threads": threads, "slowdown": medians[-1] / medians[0], "minutes": passed}

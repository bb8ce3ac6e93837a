"""A whole benchmark: choose the rows and the sound, measure, report, write."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from benchmarks.cases import RowSpec
from benchmarks.inputs import Excerpt
from benchmarks.report import summarize
from benchmarks.scenarios import PACED, SINGLE_STREAM, Load
from benchmarks.worker import RowFailedError, RowProcess
from edge_runtime.system_info import thermal_state

SOURCES = ("file", "memory")
"""Where a window comes from: an audio file on disk, or samples that are decoded already."""

Progress = Callable[[str, str, int, int], None]
"""Told the row, what is being done with it, how many steps are done, and of how many."""


@dataclass(frozen=True)
class Plan:
    """How often everything is measured."""

    threads: int
    rounds: int
    windows_per_round: int
    """Windows of each row, from each source, in each round, at least."""
    min_seconds: float = 0.0
    """How long each row is measured from each source, in all rounds together, at least: a quick row answers more
    windows."""
    load: Load = SINGLE_STREAM
    warmup_windows: int = 3
    """Windows of each row, from each source, before the first round; not kept."""
    settling_windows: int = 1
    """Windows before those that are kept, in each turn of a row: they bring its model back into the caches."""
    loading_at_once: int = 1
    """Processes that may load side by side. Nothing is measured meanwhile, but their start takes longer."""

    @classmethod
    def of(cls, *, threads: int, runs: int, rounds: int, **others: Any) -> Plan:
        """At least ``runs`` windows of each row and source, in at most ``rounds`` rounds of equal size."""
        windows_per_round = math.ceil(runs / rounds)
        return cls(
            threads=threads, rounds=math.ceil(runs / windows_per_round), windows_per_round=windows_per_round, **others
        )

    def windows_of(self, quickest_ms: float) -> int:
        """Windows in each round of a row that answers so quickly."""
        window_ms = max(quickest_ms, self.load.hop_seconds * 1e3) if self.load.scenario == PACED else quickest_ms
        return max(self.windows_per_round, math.ceil(self.min_seconds * 1e3 / self.rounds / window_ms))


@dataclass
class RowResult:
    """What was measured of one row."""

    row: RowSpec
    plan: Plan
    failure: str | None = None
    """Why there is no more to tell, in one line."""
    loaded: dict[str, Any] = field(default_factory=dict)
    """``start_ms``, ``load_ms``, ``memory_mb``, ``runtime``, ``cores``; see :mod:`benchmarks.worker`."""
    windows_per_round: int = 0
    """From each source."""
    first_answer_ms: float | None = None
    peak_memory_mb: float | None = None
    windows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {source: [] for source in SOURCES})
    """By source, in the order of measuring: what :func:`benchmarks.scenarios.timed` says of each window."""


def run_rows(
    rows: Sequence[RowSpec], excerpts: Sequence[Excerpt], plan: Plan, *, progress: Progress
) -> list[RowResult]:
    """Measure rows, interleaved. A row that fails says why in its result, and the others go on.

    Parameters
    ----------
    rows : sequence of RowSpec
    excerpts : sequence of Excerpt
        The same for every row; in each round, every row begins with the same one.
    plan : Plan
    progress : callable
    """
    with ExitStack() as stack:
        measuring = _Measuring(excerpts, plan, progress, steps=len(rows) * (2 + plan.rounds))
        turns = [_Turn(RowResult(row, plan)) for row in rows]
        measuring.start(turns, stack)
        for turn in turns:
            measuring.attempt(turn, "first answer", measuring.warm_up)
        for number in range(plan.rounds):
            # Every second round goes backwards, so that no row always follows the same neighbour.
            for turn in turns if number % 2 == 0 else reversed(turns):
                measuring.attempt(turn, f"round {number + 1} of {plan.rounds}", measuring.round, number)
        for turn in turns:
            measuring.attempt(turn, "memory", measuring.memory, steps=0)
        return [turn.result for turn in turns]


@dataclass
class _Turn:
    result: RowResult
    process: RowProcess | None = None


class _Measuring:
    """The steps of a benchmark, each on one row that has its turn."""

    def __init__(self, excerpts: Sequence[Excerpt], plan: Plan, progress: Progress, *, steps: int) -> None:
        self._excerpts = list(excerpts)
        self._plan = plan
        self._progress = progress
        self._steps = steps
        self._done = 0

    def start(self, turns: Sequence[_Turn], stack: ExitStack) -> None:
        """Start the processes and load their models, as many side by side as the plan allows."""

        def load(turn: _Turn) -> None:
            turn.process = stack.enter_context(RowProcess(turn.result.row, threads=self._plan.threads))
            self.attempt(turn, "loading", self._load)

        with ThreadPoolExecutor(self._plan.loading_at_once) as pool:
            list(pool.map(load, turns))

    def attempt(self, turn: _Turn, what: str, step: Callable[..., None], *arguments: Any, steps: int = 1) -> None:
        """Do one step of a row, unless the row has failed; a row that fails gives its memory back."""
        result = turn.result
        if turn.process is not None and result.failure is None:
            self._progress(result.row.name, what, self._done, self._steps)
            try:
                step(result, turn.process, *arguments)
            except RowFailedError as error:
                result.failure = str(error)
                turn.process.close()
        self._done += steps

    def _load(self, result: RowResult, process: RowProcess) -> None:
        process.load(self._excerpts)
        result.loaded = process.loaded

    def warm_up(self, result: RowResult, process: RowProcess) -> None:
        """The first answer, and then some that are not kept but tell how many are to be measured."""
        result.first_answer_ms = process.measure("file", first=0, count=1)[0]["total_ms"]
        windows = [
            window for source in SOURCES for window in process.measure(source, first=1, count=self._plan.warmup_windows)
        ]
        result.windows_per_round = self._plan.windows_of(min(window["total_ms"] for window in windows))

    def round(self, result: RowResult, process: RowProcess, number: int) -> None:
        """One round of one row: windows from files, then the same from memory."""
        settling = self._plan.settling_windows
        first = number * self._plan.windows_per_round
        for source in SOURCES:
            # The excerpts that settle the caches come before those that are kept, and so differ from them.
            process.measure(source, first=first + len(self._excerpts) - settling, count=settling)
            kept = process.measure(source, first=first, count=result.windows_per_round, load=self._plan.load)
            result.windows[source].extend(kept)

    def memory(self, result: RowResult, process: RowProcess) -> None:
        """What the row has taken at most, after everything."""
        result.peak_memory_mb = process.request("memory")["peak_memory_mb"]


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
        ``latency_ms``, ``samples_ms``, and the machine's state at its end (:func:`edge_runtime.system_info.condition`).

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
            passed.append({"latency_ms": summarize(samples), "samples_ms": samples, **thermal_state()})
    medians = [minute["latency_ms"]["p50"] for minute in passed]
    return {"row": row.name, "threads": threads, "slowdown": medians[-1] / medians[0], "minutes": passed}

"""Measures cases side by side: start the processes, warm up, then rounds in which every case has its turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from benchmarks.cases import Case
from benchmarks.inputs import Excerpt
from benchmarks.report import SOURCES, Minute, Source, Sustained
from benchmarks.scenarios import PACED, SINGLE_STREAM, Load, Window
from benchmarks.statistics import Latency
from benchmarks.system_info import thermal_state
from benchmarks.worker import CaseFailedError, Loaded, WorkerProcess

Progress = Callable[[str, str, int, int], None]
"""Called with the case, what is being done with it, how many steps are done, and of how many."""


@dataclass(frozen=True)
class Plan:
    """How often everything is measured."""

    threads: int
    rounds: int
    windows_per_round: int
    """Windows of each case, from each source, in each round, at least."""
    min_seconds: float = 0.0
    """How long each case is measured from each source, in all rounds together, at least: a fast case gets more
    windows."""
    load: Load = SINGLE_STREAM
    warmup_windows: int = 3
    """Windows of each case, from each source, before the first round; not kept."""
    settling_windows: int = 1
    """Windows before those that are kept, in each turn of a case: they bring its model back into the caches."""
    loading_at_once: int = 1
    """Processes that may load side by side. Nothing is measured meanwhile, but their start takes longer."""

    @classmethod
    def of(cls, *, threads: int, runs: int, rounds: int, **others: Any) -> Plan:
        """At least ``runs`` windows of each case and source, in at most ``rounds`` rounds of equal size."""
        windows_per_round = math.ceil(runs / rounds)
        return cls(
            threads=threads, rounds=math.ceil(runs / windows_per_round), windows_per_round=windows_per_round, **others
        )

    def windows_of(self, fastest_ms: float) -> int:
        """Windows in each round of a case whose fastest window takes so long."""
        window_ms = max(fastest_ms, self.load.hop_s * 1e3) if self.load.scenario == PACED else fastest_ms
        return max(self.windows_per_round, math.ceil(self.min_seconds * 1e3 / self.rounds / window_ms))


@dataclass
class CaseResult:
    """What was measured of one case."""

    case: Case
    plan: Plan
    failure: str | None = None
    """Why it could not be measured, in one line."""
    loaded: Loaded | None = None
    windows_per_round: int = 0
    """From each source."""
    first_prediction_ms: float = 0.0
    peak_memory_mb: float = 0.0
    windows: dict[Source, list[Window]] = field(default_factory=lambda: {source: [] for source in SOURCES})
    """By source, in the order of measuring."""


def run_cases(
    cases: Sequence[Case], excerpts: Sequence[Excerpt], plan: Plan, *, progress: Progress
) -> list[CaseResult]:
    """Measure cases, interleaved. A case that fails says why in its result, and the others go on.

    Parameters
    ----------
    cases : sequence of Case
    excerpts : sequence of Excerpt
        The same for every case; in each round, every case begins with the same one.
    plan : Plan
    progress : callable
    """
    with ExitStack() as stack:
        measuring = _Measuring(excerpts, plan, progress, steps=len(cases) * (2 + plan.rounds))
        turns = [_Turn(CaseResult(case, plan)) for case in cases]
        measuring.start(turns, stack)
        for turn in turns:
            measuring.attempt(turn, "first prediction", measuring.warm_up)
        for number in range(plan.rounds):
            # Every second round goes backwards, so that no case always follows the same neighbour.
            for turn in turns if number % 2 == 0 else reversed(turns):
                measuring.attempt(turn, f"round {number + 1} of {plan.rounds}", measuring.round, number)
        for turn in turns:
            measuring.attempt(turn, "memory", measuring.memory, steps=0)
        return [turn.result for turn in turns]


@dataclass
class _Turn:
    result: CaseResult
    process: WorkerProcess | None = None


class _Measuring:
    """The steps of a benchmark, each on the case that has its turn."""

    def __init__(self, excerpts: Sequence[Excerpt], plan: Plan, progress: Progress, *, steps: int) -> None:
        self._excerpts = list(excerpts)
        self._plan = plan
        self._progress = progress
        self._steps = steps
        self._done = 0

    def start(self, turns: Sequence[_Turn], stack: ExitStack) -> None:
        """Start the processes and load their models, as many side by side as the plan allows."""

        def load(turn: _Turn) -> None:
            turn.process = stack.enter_context(WorkerProcess(turn.result.case, threads=self._plan.threads))
            self.attempt(turn, "loading", self._load)

        with ThreadPoolExecutor(self._plan.loading_at_once) as pool:
            list(pool.map(load, turns))

    def attempt(self, turn: _Turn, what: str, step: Callable[..., None], *arguments: Any, steps: int = 1) -> None:
        """Do one step of a case, unless it has failed; the process of a case that fails is ended."""
        result = turn.result
        if turn.process is not None and result.failure is None:
            self._progress(result.case.name, what, self._done, self._steps)
            try:
                step(result, turn.process, *arguments)
            except CaseFailedError as error:
                result.failure = str(error)
                turn.process.close()
        self._done += steps

    def _load(self, result: CaseResult, process: WorkerProcess) -> None:
        result.loaded = process.load(self._excerpts)

    def warm_up(self, result: CaseResult, process: WorkerProcess) -> None:
        """The first prediction, and windows that are not kept but tell how many are to be measured."""
        result.first_prediction_ms = process.measure("file", first=0, count=1)[0].total_ms
        windows = [
            window for source in SOURCES for window in process.measure(source, first=1, count=self._plan.warmup_windows)
        ]
        result.windows_per_round = self._plan.windows_of(min(window.total_ms for window in windows))

    def round(self, result: CaseResult, process: WorkerProcess, number: int) -> None:
        """One round of one case: windows from files, then the same from memory."""
        settling = self._plan.settling_windows
        first = number * self._plan.windows_per_round
        for source in SOURCES:
            # The excerpts that settle the caches come before those that are kept, and so differ from them.
            process.measure(source, first=first + len(self._excerpts) - settling, count=settling)
            kept = process.measure(source, first=first, count=result.windows_per_round, load=self._plan.load)
            result.windows[source].extend(kept)

    def memory(self, result: CaseResult, process: WorkerProcess) -> None:
        """The peak of the case's memory, after everything."""
        result.peak_memory_mb = process.peak_memory_mb()


_WINDOWS_AT_ONCE = 10
"""Windows between two looks at the clock."""


def sustain(
    case: Case,
    excerpts: Sequence[Excerpt],
    *,
    threads: int,
    minutes: int,
    progress: Progress,
    minute_seconds: float = 60.0,
) -> Sustained:
    """Classify windows from files, one after another, and record the machine's state each minute.

    Parameters
    ----------
    case : Case
    excerpts : sequence of Excerpt
    threads, minutes : int > 0
    progress : callable
    minute_seconds : float > 0
        Shorter for a trial.

    Returns
    -------
    sustained : Sustained
        With the error and no minutes where the case failed.
    """
    passed = []
    with WorkerProcess(case, threads=threads) as process:
        try:
            process.load(list(excerpts))
            begun, first = monotonic(), 0
            for minute in range(1, minutes + 1):
                progress(case.name, f"minute {minute} of {minutes}", minute - 1, minutes)
                samples: list[float] = []
                while not samples or monotonic() < begun + minute * minute_seconds:
                    windows = process.measure("file", first=first, count=_WINDOWS_AT_ONCE)
                    samples += [window.total_ms for window in windows]
                    first += _WINDOWS_AT_ONCE
                passed.append(Minute(Latency.of(samples), thermal_state()))
        except CaseFailedError as error:
            return Sustained(case.name, threads, str(error), ())
    return Sustained(case.name, threads, None, tuple(passed))

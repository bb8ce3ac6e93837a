"""Compares two reports of one machine: which cases have become slower, with a confidence interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.documents import to_document
from benchmarks.render import n_threads
from benchmarks.report import SOURCES, CaseReport, Report, Source
from edge_runtime.errors import TmgcError

_MACHINE = ("board", "cpu", "usable_cores", "governor")
"""What two machines must have in common."""

_RESAMPLES = 2000
"""Bootstrap draws: the interval's ends then move by far less than the machine's own drift moves them."""


@dataclass(frozen=True)
class Change:
    """How a case's latency has changed from one report to another."""

    name: str
    threads: int
    source: Source
    before_ms: float
    after_ms: float
    ratio: float
    """Of the medians; above 1 is slower."""
    low: float
    high: float
    """95 % interval of the ratio."""

    def is_regression(self, limit: float) -> bool:
        """Whether the whole interval lies above a ratio."""
        return self.low > limit


@dataclass(frozen=True)
class Comparison:
    """Two reports side by side."""

    changes: tuple[Change, ...]
    differences: tuple[str, ...]
    """What makes the reports hard to compare, a line each."""
    failures: tuple[str, ...]
    """Cases that were measured before and fail now, a line each with the reason."""

    def regressions(self, limit: float) -> list[Change]:
        """The changes that are slower than a ratio with 95 % confidence."""
        return [change for change in self.changes if change.is_regression(limit)]

    def to_document(self, limit: float) -> dict[str, object]:
        """The comparison as what :mod:`json` can write."""
        changes = [{**to_document(change), "regression": change.is_regression(limit)} for change in self.changes]
        return {"schema": 1, "fail_above": limit, "changes": changes, "failures": list(self.failures)}


def compare_reports(before: Report, after: Report) -> Comparison:
    """Compare the cases that both reports have with the same number of threads.

    Raises
    ------
    TmgcError
        They have no case in common.
    """
    found = {(case.name, case.threads): case for case in after.cases}
    rounds = before.method.rounds, after.method.rounds
    changes = [
        _change(old, new, source, rounds)
        for old in before.cases
        if (new := found.get((old.name, old.threads)))
        for source in SOURCES
    ]
    if not changes:
        raise TmgcError("reports are compared by their common cases: these have none with the same number of threads")
    measured = {(case.name, case.threads) for case in before.cases}
    failures = (
        f"{failure.name}, {n_threads(failure.threads)}, fails now: {failure.error}"
        for failure in after.failures
        if (failure.name, failure.threads) in measured
    )
    return Comparison(tuple(changes), tuple(_differences(before, after)), tuple(failures))


def ratio_interval(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], *, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the ratio of two medians: the percentiles of the bootstrap (Efron, 1979) over whole rounds.

    Windows of one round share the machine's state, so a round is what is drawn; of a single round, its windows are.

    Parameters
    ----------
    before, after : sequence of sequence of float, ms
        The samples of each round.
    seed : int

    Returns
    -------
    low, high : float > 0
    """
    generator = np.random.default_rng(seed)
    first, second = (_bootstrap_medians(np.asarray(each, np.float64), generator) for each in (before, after))
    low, high = np.percentile(second / first, (2.5, 97.5))
    return float(low), float(high)


def _differences(before: Report, after: Report) -> list[str]:
    pairs = {name: (getattr(before.machine, name), getattr(after.machine, name)) for name in _MACHINE}
    pairs["load"] = before.method.load, after.method.load
    return [f"{name} differs: {first}, then {second}" for name, (first, second) in pairs.items() if first != second]


def _bootstrap_medians(rounds: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    units = rounds if len(rounds) > 1 else rounds.T
    drawn = generator.integers(0, len(units), (_RESAMPLES, len(units)))
    medians: NDArray[np.float64] = np.median(units[drawn].reshape(_RESAMPLES, -1), axis=1)
    return medians


def _change(before: CaseReport, after: CaseReport, source: Source, rounds: tuple[int, int]) -> Change:
    first, second = before.latency(source), after.latency(source)
    interval = ratio_interval(
        np.reshape(first.samples_ms, (rounds[0], -1)).tolist(), np.reshape(second.samples_ms, (rounds[1], -1)).tolist()
    )
    ratio = second.p50_ms / first.p50_ms
    return Change(before.name, before.threads, source, first.p50_ms, second.p50_ms, ratio, *interval)

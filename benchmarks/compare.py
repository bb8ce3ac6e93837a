"""Two reports of one machine: which rows have become slower, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.render import n_threads
from benchmarks.report import SAMPLES, SCHEMA
from edge_runtime.errors import TmgcError

_RESAMPLES = 2000
"""Draws: the interval's ends then move by far less than what the machine's own drift does to them."""


@dataclass(frozen=True)
class Change:
    """How a row's latency has changed from one report to another."""

    name: str
    threads: int
    source: str
    """``file`` or ``memory``."""
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

    def to_json(self) -> dict[str, Any]:
        """The change for programs; ``from`` is the source, as in a report."""
        document = asdict(self)
        return {"from": document.pop("source"), **document}


def read_report(path: Path) -> dict[str, Any]:
    """A ``bench.json``.

    Raises
    ------
    TmgcError
        There is none, or it is of another schema.
    """
    if not path.is_file():
        raise TmgcError(f"a report must exist: there is no file {path}. Make one with tmgc-bench")
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        schema, rows, rounds = report["schema"], report["rows"], report["method"]["rounds"]
        whole = all(len(row[key]) % rounds == 0 for row in rows if row["ok"] for key in SAMPLES.values())
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise TmgcError(f"a report is a bench.json of tmgc-bench: {path} cannot be read as one ({error!r})") from error
    if schema != SCHEMA or not whole:
        raise TmgcError(f"a report of schema {SCHEMA} with whole rounds is needed: {path} is another. Make it anew")
    return report


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """How every row that both reports measured has changed.

    Raises
    ------
    TmgcError
        They have no row in common.
    """
    old, new = (
        {(row["name"], row["threads"]): row for row in report["rows"] if row["ok"]} for report in (before, after)
    )
    found = [
        _change(key, source, _rounds(old[key], samples, before), _rounds(new[key], samples, after))
        for key in old
        if key in new
        for source, samples in SAMPLES.items()
    ]
    if not found:
        raise TmgcError("two reports are compared by their common rows: these measured none with the same threads")
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What makes two reports hard to compare, a line each."""
    return [
        f"{what} differs: {before[where][what]}, then {after[where][what]}"
        for where, what in (
            ("machine", "board"),
            ("machine", "cpu"),
            ("machine", "usable_cores"),
            ("machine", "governor"),
            ("method", "load"),
        )
        if before[where][what] != after[where][what]
    ]


def newly_failed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Rows that were measured before and fail now, a line each with the reason."""
    measured = {(row["name"], row["threads"]) for row in before["rows"] if row["ok"]}
    return [
        f"{row['name']}, {n_threads(row['threads'])}, fails now: {row['error']}"
        for row in after["rows"]
        if not row["ok"] and (row["name"], row["threads"]) in measured
    ]


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
    first, second = (_drawn_medians(np.asarray(each, np.float64), generator) for each in (before, after))
    low, high = np.percentile(second / first, (2.5, 97.5))
    return float(low), float(high)


def _drawn_medians(rounds: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    units = rounds if len(rounds) > 1 else rounds.T
    drawn = generator.integers(0, len(units), (_RESAMPLES, len(units)))
    return np.array([np.median(units[chosen]) for chosen in drawn])


def _change(key: tuple[str, int], source: str, before: list[list[float]], after: list[list[float]]) -> Change:
    first, second = float(np.median(before)), float(np.median(after))
    return Change(*key, source, first, second, second / first, *ratio_interval(before, after))


def _rounds(row: dict[str, Any], samples: str, report: dict[str, Any]) -> list[list[float]]:
    rounds: list[list[float]] = np.reshape(row[samples], (report["method"]["rounds"], -1)).tolist()
    return rounds

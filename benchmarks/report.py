"""The report of a benchmark: one JSON document with every raw sample, from which every figure can be had again.

:data:`REPORT_SCHEMA` says what each key holds; MB are 1e6 bytes, and a figure that a machine does not tell is null.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.row_report import SAMPLES, Surroundings, row_object
from benchmarks.rows import KERAS_PREDICT, ORIGINAL
from benchmarks.running import Plan, RowResult
from benchmarks.sound import WINDOW_SECONDS, Excerpt
from benchmarks.summary import pairwise_ratio
from benchmarks.verdict import quickest
from edge_runtime.condition import condition
from edge_runtime.errors import TmgcError
from edge_runtime.files import written_whole

SCHEMA = 1

REPORT_SCHEMA = Path(__file__).with_name("bench.schema.json")
"""The JSON Schema that every report keeps."""


@dataclass
class Measured:
    """All that was measured of a run."""

    run: str
    excerpts: Sequence[Excerpt]
    left_out: Sequence[str]
    parity: Sequence[Mapping[str, Any]]
    """The reports of the run's ``parity.json``."""
    plans: Sequence[Plan]
    """One for each number of threads; they differ in nothing else."""
    before: dict[str, Any] = field(default_factory=condition)
    """The machine's state when it began."""
    results: list[RowResult] = field(default_factory=list)
    peaks: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """By threads."""


def build_report(measured: Measured) -> dict[str, Any]:
    """The report, whose machine's state after everything is the present one."""
    around = Surroundings.of(measured.results, parity=measured.parity, peaks=measured.peaks)
    rows = [row_object(result, around) for result in measured.results]
    plan = measured.plans[0]
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": measured.run,
        "method": {
            "threads": [plan.threads for plan in measured.plans],
            "rounds": plan.rounds,
            "windows_per_round": plan.windows_per_round,
            "min_s": plan.min_seconds,
            "load": plan.load.scenario,
            "warmup_windows": plan.warmup_windows,
            "settling_windows": plan.settling_windows,
            "loading_at_once": plan.loading_at_once,
            "window_s": WINDOW_SECONDS,
            "excerpts": [excerpt.to_json() for excerpt in measured.excerpts],
        },
        "machine": describe_machine() | {"before": measured.before, "after": condition()},
        "peaks": [{"threads": threads, **peak} for threads, peak in measured.peaks.items()],
        "rows": rows,
        "ratios": _ratios(rows, plan.rounds),
        "verdict": _verdict(rows),
        "sustained": None,
        "left_out": list(measured.left_out),
    }


def to_json(report: dict[str, Any]) -> str:
    """The report as a JSON document."""
    return json.dumps(report, ensure_ascii=False, indent=1)


def made_folder(folder: Path) -> Path:
    """A folder for the report, made before anything is measured that could be lost.

    Raises
    ------
    TmgcError
        It cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
        reason = "permission denied"
    except OSError as error:
        reason = str(error.strerror)
    raise TmgcError(
        f"the report needs a folder that can be written to: {folder} cannot ({reason}). Name another: --output DIR"
    )


def write_text(text: str, path: Path) -> None:
    """Write a file of the report whole."""
    with written_whole(path) as partial:
        partial.write_text(text + "\n", "utf-8")


def _verdict(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """That of the quickest export."""
    best = quickest(rows)
    return {"row": best["name"], "threads": best["threads"], **best["verdict"]} if best else None


def _ratios(rows: Sequence[dict[str, Any]], rounds: int) -> list[dict[str, Any]]:
    """Of the original and of Keras ``predict``, to every other row that was measured with as many threads."""
    measured = [row for row in rows if row["ok"]]
    return [
        {"of": slow["name"], "to": fast["name"], "threads": slow["threads"], "from": source}
        | pairwise_ratio(slow[samples], fast[samples], rounds=rounds)
        for name in (ORIGINAL, KERAS_PREDICT)
        for slow in measured
        for fast in measured
        for source, samples in SAMPLES.items()
        if slow["name"] == name and fast["name"] not in (name, ORIGINAL) and fast["threads"] == slow["threads"]
    ]

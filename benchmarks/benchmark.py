"""A whole benchmark: choose the rows and the sound, measure, report, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import build_report, write_json, write_text
from benchmarks.rows import rows_of, select_rows
from benchmarks.running import Plan, Progress, run_rows
from benchmarks.sound import excerpts_of_file, excerpts_of_run
from benchmarks.table import markdown
from train.run import Run

RUNS = 50
QUICK_RUNS = 10
ROUNDS = 10
QUICK_ROUNDS = 5


@dataclass(frozen=True)
class BenchSettings:
    """What a user may choose."""

    audio: Path | None = None
    """An audio file; test clips of the run where there is none."""
    threads: int = 2
    runs: int | None = None
    """Windows of each row and source; :data:`RUNS` or :data:`QUICK_RUNS` where there is none."""
    quick: bool = False
    only: tuple[str, ...] = ()
    """Names of rows; all where there is none."""
    output: Path | None = None
    """Folder of the report; ``bench`` in the run where there is none."""


def benchmark(run: Run, settings: BenchSettings, *, progress: Progress) -> dict[str, Any]:
    """Measure a run's rows, write ``bench.json`` and ``bench.md``, and give the report.

    Parameters
    ----------
    run : Run
    settings : BenchSettings
    progress : callable

    Returns
    -------
    report : dict
        See :mod:`benchmarks.report`.

    Raises
    ------
    TmgcError
        There is no such run, row, export or sound.
    """
    available, left_out = rows_of(run.existing())
    rows = select_rows(available, run, only=settings.only, quick=settings.quick)
    excerpts = excerpts_of_file(settings.audio) if settings.audio else excerpts_of_run(run)
    plan = Plan.of(
        threads=settings.threads,
        runs=settings.runs or (QUICK_RUNS if settings.quick else RUNS),
        rounds=QUICK_ROUNDS if settings.quick else ROUNDS,
        loading_at_once=2 if settings.quick else 1,
    )
    results = run_rows(rows, excerpts, plan, progress=progress)
    report = build_report(results, plan=plan, excerpts=excerpts, run=run.name, left_out=left_out)
    folder = settings.output or run.bench
    write_json(report, folder)
    write_text(markdown(report), folder / "bench.md")
    return report

"""A whole benchmark: choose the rows and the sound, measure, report, write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import RowSpec, rows_of, select_rows
from benchmarks.inputs import Excerpt, excerpts_of_file, excerpts_of_run
from benchmarks.render import html_report, markdown
from benchmarks.report import HOP_SECONDS, Measured, build_report, made_folder, to_json, write_text
from benchmarks.roofline import measure_peak
from benchmarks.runner import Plan, Progress, run_rows, sustain
from benchmarks.scenarios import SINGLE, Load
from benchmarks.system_info import usable_cores
from benchmarks.worker import RowFailedError
from edge_runtime.errors import TmgcError
from export.report import read_parity_json
from train.run import Run

THREADS = (1, 2)
QUICK_THREADS = (2,)
RUNS = 50
QUICK_RUNS = 10
ROUNDS = 10
QUICK_ROUNDS = 5
MIN_SECONDS = 5.0


@dataclass(frozen=True)
class BenchSettings:
    """What a user may choose; None where it depends on ``quick``."""

    audio: Path | None = None
    """An audio file; test clips of the run where there is none."""
    threads: tuple[int, ...] | None = None
    """Every row is measured with each; :data:`THREADS` or :data:`QUICK_THREADS`, as far as there are cores."""
    runs: int | None = None
    """Windows of each row and source at least; :data:`RUNS` or :data:`QUICK_RUNS`."""
    min_seconds: float | None = None
    """How long each row and source is measured at least; :data:`MIN_SECONDS`, or 0."""
    quick: bool = False
    """Few rows and windows, and the machine's peak is not looked for."""
    only: tuple[str, ...] = ()
    """Names of rows; all where there is none."""
    scenario: str = SINGLE
    """One of :data:`benchmarks.scenarios.SCENARIOS`."""
    sustain_minutes: int = 0
    """How long the quickest export is run at full speed in the end."""
    output: Path | None = None
    """Folder of the report; ``bench`` in the run where there is none."""

    def plans(self) -> list[Plan]:
        """One for each number of threads.

        Raises
        ------
        TmgcError
            There are fewer cores than threads.
        """
        cores = usable_cores()
        usual = [threads for threads in (QUICK_THREADS if self.quick else THREADS) if threads <= cores] or [1]
        for threads in self.threads or ():
            if not 1 <= threads <= cores:
                raise TmgcError(f"threads are pinned to a core each: 1 to {cores} are possible here, got {threads}")
        runs = self.runs or (QUICK_RUNS if self.quick else RUNS)
        min_seconds = (0.0 if self.quick else MIN_SECONDS) if self.min_seconds is None else self.min_seconds
        return [
            Plan.of(
                threads=threads,
                runs=runs,
                rounds=QUICK_ROUNDS if self.quick else ROUNDS,
                min_seconds=min_seconds,
                load=Load(self.scenario, HOP_SECONDS),
                loading_at_once=2 if self.quick else 1,
            )
            for threads in dict.fromkeys(self.threads or usual)
        ]


def benchmark(run: Run, settings: BenchSettings, *, progress: Progress) -> dict[str, Any]:
    """Measure a run's rows, write ``bench.json``, ``bench.md`` and ``report.html``, and give the report.

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
    plans = settings.plans()
    excerpts = excerpts_of_file(settings.audio) if settings.audio else excerpts_of_run(run)
    folder = made_folder(settings.output or run.bench)
    measured = Measured(run.name, excerpts, left_out, read_parity_json(run.parity_json), plans)
    for plan in plans:
        if not settings.quick:
            progress("the machine", f"peak with {plan.threads} thread(s)", 0, 1)
            measured.peaks[plan.threads] = measure_peak(plan.threads)
        measured.results += run_rows(rows, excerpts, plan, progress=progress)
    report = build_report(measured)
    if settings.sustain_minutes and report["verdict"]:
        report["sustained"] = _sustained(report["verdict"], rows, excerpts, settings.sustain_minutes, progress)
    write_text(to_json(report), folder / "bench.json")
    write_text(markdown(report), folder / "bench.md")
    write_text(html_report(report), folder / "report.html")
    return report


def _sustained(
    best: dict[str, Any], rows: Sequence[RowSpec], excerpts: Sequence[Excerpt], minutes: int, progress: Progress
) -> dict[str, Any]:
    """The quickest export for minutes, or why it could not go on."""
    row = next(row for row in rows if row.name == best["row"])
    try:
        return sustain(row, excerpts, threads=best["threads"], minutes=minutes, progress=progress)
    except RowFailedError as error:
        return {"row": row.name, "threads": best["threads"], "error": str(error)}

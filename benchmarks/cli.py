"""``tmgc-bench``: the benchmark of a run, and the subcommands ``compare``, ``models`` and ``check``.

The name of a subcommand as the first argument is the subcommand; a run of that name is reachable as ``./compare``.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.checks.cli import FiniteRange
from benchmarks.scenarios import SCENARIOS, SINGLE, Scenario
from edge_runtime.cli.base import CommandWithSubcommands, OneLineCommand
from edge_runtime.errors import TmgcError
from edge_runtime.terminal import print_json, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from benchmarks.compare import Comparison
    from benchmarks.runner import Progress

log = logging.getLogger("tmgc.bench")


@click.command(
    "tmgc-bench",
    cls=CommandWithSubcommands,
    subcommands={
        "compare": "benchmarks.cli:compare",
        "models": "benchmarks.cli:models",
        "check": "benchmarks.checks.cli:check",
    },
)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--audio", type=click.Path(path_type=Path), help="Audio file to time. Default: test clips of the run.")
@click.option("--threads", metavar="N,...", help="Each case is timed with each. Default: 1,2, or 2 with --quick.")
@click.option(
    "--runs", type=click.IntRange(min=1), help="Windows of each case at least. Default: 50, or 10 with --quick."
)
@click.option(
    "--min-seconds",
    type=FiniteRange(min=0),
    help="How long each case is timed at least. Default: 5; --quick: 0.",
)
@click.option("--quick", is_flag=True, help="The reference, Keras, and the int8 and dynamic exports: under a minute.")
@click.option("--only", default="", metavar="CASE,...", help="Cases to time: reference,keras,tflite-int8,onnx,...")
@click.option(
    "--load",
    default=SINGLE,
    show_default=True,
    type=click.Choice(SCENARIOS),
    help="How windows arrive: each after the prediction before, one a second, or in batches.",
)
@click.option(
    "--sustain", default=0, metavar="MINUTES", type=click.IntRange(min=0), help="Then run the fastest export so long."
)
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the report. Default: RUN/bench.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, not as a table.")
@click.version_option(package_name="tmgc")
def main(
    run: Path | None,
    audio: Path | None,
    threads: str | None,
    runs: int | None,
    min_seconds: float | None,
    quick: bool,
    only: str,
    load: Scenario,
    sustain: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Time the reference pipeline, Keras and every export of RUN, from two seconds of audio to a prediction.

    RUN is a folder of tmgc-train; by default the newest under ./runs.

    Exit code 0: measured; 1: every case failed; 2: a file or an option was refused.
    """
    from benchmarks.benchmark import BenchConfig, benchmark
    from benchmarks.render import terminal_table
    from train.run import Run, newest_run

    config = BenchConfig(
        audio=audio,
        threads=_numbers(threads) if threads else None,
        runs=runs,
        min_seconds=min_seconds,
        quick=quick,
        only=_names(only),
        scenario=load,
        sustain_minutes=sustain,
        output=output,
    )
    chosen = Run(run or newest_run("model.keras"))
    with _shown_progress() as progress:
        report = benchmark(chosen, config, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        _print(terminal_table(report))
    log.info("report: %s/bench.json, bench.md, report.html", output or chosen.bench)
    sys.exit(0 if report.cases else 1)


@click.command(
    "compare",
    cls=OneLineCommand,
    short_help="Compare two reports.",
)
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--fail-above",
    default=1.10,
    show_default=True,
    type=FiniteRange(min=0, min_open=True),
    help="How many times as long a case may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON, not as a table.")
def compare(before: Path, after: Path, fail_above: float, as_json: bool) -> None:
    """Compare two bench.json files: the ratio of each case's medians, with its 95 % interval.

    A case has become slower where its whole interval lies above --fail-above. Cases of one report only are ignored.

    Exit code 0: none has become slower; 1: one has, or fails now; 2: a file was refused.
    """
    from benchmarks.compare import compare_reports
    from benchmarks.report import Report

    comparison = compare_reports(Report.read(before), Report.read(after))
    for line in (*comparison.differences, *comparison.failures):
        log.warning("%s", line)
    if as_json:
        print_json(json.dumps(comparison.to_document(fail_above), indent=1))
    else:
        _print_comparison(comparison, fail_above)
    slower = comparison.regressions(fail_above)
    log.info(
        "%d of %d have become slower by more than %.0f %%", len(slower), len(comparison.changes), 100 * fail_above - 100
    )
    sys.exit(1 if slower or comparison.failures else 0)


@click.command(
    "models",
    cls=OneLineCommand,
    short_help="Accuracy, latency and memory of several models in one table.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--only", default="", metavar="CASE,...", help="Exports that are measured of each RUN: tflite-int8,...")
@click.option(
    "--audio", type=click.Path(path_type=Path), help="Audio file to time. Default: test clips of the first RUN."
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Of each model.")
@click.option("--windows", type=click.IntRange(min=1), help="Of each model at least. Default: 50, or 10 with --quick.")
@click.option("--quick", is_flag=True, help="Few windows: a minute for ten models.")
@click.option("--reference", is_flag=True, help="Time the reference pipeline with the first RUN, too.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Folder of the report. Default: bench in the first RUN."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, not as a table.")
def models(
    runs: tuple[Path, ...],
    only: str,
    audio: Path | None,
    threads: int,
    windows: int | None,
    quick: bool,
    reference: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure the exports of each RUN in turn, and show what accuracy costs which latency and memory.

    A RUN is a folder of tmgc-train, that of a cross-validation whose first fold was exported, or an exported file. The
    fastest model of the first is what the others are compared with.

    Exit code 0: measured; 1: a model failed; 2: a file or an option was refused.
    """
    from benchmarks.benchmark import BenchConfig
    from benchmarks.models import benchmark_models
    from benchmarks.models_report import models_terminal

    config = BenchConfig(
        audio=audio,
        threads=(threads,),
        runs=windows,
        quick=quick,
        only=_names(only),
        output=output,
    )
    with _shown_progress() as progress:
        report = benchmark_models(runs, config, reference=reference, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        _print(models_terminal(report))
    log.info("report: %s/models.json, models.md, models.html", output or "bench in the first run")
    sys.exit(1 if report.failures else 0)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise TmgcError(
            f"threads are whole numbers with commas between them, got {text!r}: try --threads 1,2"
        ) from None


@contextmanager
def _shown_progress() -> Iterator[Progress]:
    """On standard error: a bar on a terminal, a line for each new step elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _step_lines()
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda case, step, done, steps: bar.update(
            task, description=printable(f"{case}: {step}"), completed=done, total=steps
        )


def _step_lines() -> Progress:
    last = ""

    def show(case: str, step: str, done: int, steps: int) -> None:
        nonlocal last
        if step != last:
            log.info("%s (%d/%d)", step, done, steps)
        last = step

    return show


def _print(tables: RenderableType) -> None:
    from rich.console import Console

    from benchmarks.render import WIDTH

    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print(tables)


def _print_comparison(comparison: Comparison, limit: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from benchmarks.render import number

    headings = ("case", "threads", "from", "before ms", "after ms", "ratio", "95 % CI", "")
    table = Table(*headings, box=box.SIMPLE_HEAD, padding=(0, 1))
    for change in comparison.changes:
        remark = "SLOWER" if change.is_regression(limit) else ""
        medians = number(change.before_ms), number(change.after_ms)
        interval = f"{change.low:.2f}-{change.high:.2f}"
        cells = (change.name, str(change.threads), change.source, *medians, f"{change.ratio:.2f}", interval, remark)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console(width=100, highlight=False).print(table)

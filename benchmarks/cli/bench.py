"""``tmgc-bench``: times the original pipeline and every export of a run on the same windows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.scenarios import SCENARIOS, SINGLE
from edge_runtime.commands import OneLineCommand, newest_run, one_line_errors, say
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from benchmarks.running import Progress


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--audio", type=click.Path(path_type=Path), help="Sound to time. Default: test clips of the run.")
@click.option("--threads", metavar="N,...", help="Each row is timed with each. Default: 1,2, or 2 with --quick.")
@click.option(
    "--runs", type=click.IntRange(min=1), help="Windows of each row at least. Default: 50, or 10 with --quick."
)
@click.option(
    "--min-seconds",
    type=click.FloatRange(min=0),
    help="How long each row is timed at least. Default: 5; --quick: 0.",
)
@click.option("--quick", is_flag=True, help="The original, Keras, and the int8 and dynamic exports: under a minute.")
@click.option("--only", default="", metavar="ROW,...", help="Rows to time: original,keras,tflite-int8,onnx,...")
@click.option(
    "--load",
    default=SINGLE,
    show_default=True,
    type=click.Choice(SCENARIOS),
    help="How windows come: each after the answer before, a window each second, or in batches.",
)
@click.option(
    "--sustain", default=0, metavar="MINUTES", type=click.IntRange(min=0), help="Then run the quickest export so long."
)
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the report. Default: RUN/bench.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON, not as a table.")
@click.version_option(package_name="tmgc")
@one_line_errors
def main(
    run: Path | None,
    audio: Path | None,
    threads: str | None,
    runs: int | None,
    min_seconds: float | None,
    quick: bool,
    only: str,
    load: str,
    sustain: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Time the original pipeline, Keras and every export of RUN, from two seconds of sound to an answer.

    RUN is a folder of tmgc-train; without one, the newest under ./runs. Two reports are compared by: tmgc-bench compare
    --help

    Exit code 0: measured; 1: every row failed; 2: a file or an option was refused.
    """
    from benchmarks.benchmark import BenchSettings, benchmark
    from benchmarks.report import to_json
    from train.run import Run

    settings = BenchSettings(
        audio=audio,
        threads=_numbers(threads) if threads else None,
        runs=runs,
        min_seconds=min_seconds,
        quick=quick,
        only=tuple(name.strip() for name in only.split(",") if name.strip()),
        scenario=load,
        sustain_minutes=sustain,
        output=output,
    )
    chosen = Run(run or newest_run("model.keras"))
    with _shown_progress() as progress:
        report = benchmark(chosen, settings, progress=progress)
    if as_json:
        click.echo(to_json(report))
    else:
        _print_table(report)
    say(f"report: {output or chosen.bench}/bench.json, bench.md, report.html")
    sys.exit(0 if any(row["ok"] for row in report["rows"]) else 1)


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
        yield _said_once()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda row, what, done, steps: bar.update(task, description=f"{row}: {what}", completed=done, total=steps)


def _said_once() -> Progress:
    last = ""

    def tell(row: str, what: str, done: int, steps: int) -> None:
        nonlocal last
        if what != last:
            say(f"{what} ({done}/{steps})")
        last = what

    return tell


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console

    from benchmarks.table import WIDTH, terminal_table

    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print(terminal_table(report))

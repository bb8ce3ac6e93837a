"""``tmgc-bench``: the benchmark itself, and the subcommand that compares two of its reports.

``compare`` as the first argument is the subcommand, also where a run is called so; ``./compare`` is the run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.scenarios import SCENARIOS, SINGLE
from edge_runtime.cli.base import CommandWithSubcommands, OneLineCommand, one_line_errors, say
from edge_runtime.errors import TmgcError
from edge_runtime.models import newest_run

if TYPE_CHECKING:
    from benchmarks.compare import Change
    from benchmarks.runner import Progress


@click.command(
    "tmgc-bench",
    cls=CommandWithSubcommands,
    subcommands={"compare": "benchmarks.cli:compare", "check": "benchmarks.checks:check"},
    context_settings={"help_option_names": ["-h", "--help"]},
)
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

    from benchmarks.render import WIDTH, terminal_table

    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print(terminal_table(report))


@click.command("compare", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--fail-above",
    default=1.10,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="How many times as long a row may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON, not as a table.")
@one_line_errors
def compare(before: Path, after: Path, fail_above: float, as_json: bool) -> None:
    """Compare two bench.json files: the ratio of each row's medians, with its 95 % interval.

    A row has become slower where its whole interval lies above --fail-above. Rows of one report only are passed over.

    Exit code 0: none has become slower; 1: one has, or fails now; 2: a file was refused.
    """
    from benchmarks.compare import changes, differences, newly_failed, read_report

    reports = read_report(before), read_report(after)
    found, failed = changes(*reports), newly_failed(*reports)
    for line in (*differences(*reports), *failed):
        say(f"warning: {line}")
    if as_json:
        documents = [change.to_json() | {"regression": change.is_regression(fail_above)} for change in found]
        click.echo(
            json.dumps({"schema": 1, "fail_above": fail_above, "changes": documents, "failed": failed}, indent=1)
        )
    else:
        _print_comparison(found, fail_above)
    slower = [change for change in found if change.is_regression(fail_above)]
    say(f"{len(slower)} of {len(found)} have become slower by more than {fail_above - 1:.0%}")
    sys.exit(1 if slower or failed else 0)


def _print_comparison(found: Sequence[Change], limit: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from benchmarks.render import number

    headings = ("row", "threads", "from", "before ms", "after ms", "ratio", "95 %", "")
    table = Table(*headings, box=box.SIMPLE_HEAD, padding=(0, 1))
    for each in found:
        said = "SLOWER" if each.is_regression(limit) else ""
        medians = number(each.before_ms), number(each.after_ms)
        interval = f"{each.low:.2f}-{each.high:.2f}"
        table.add_row(each.name, str(each.threads), each.source, *medians, f"{each.ratio:.2f}", interval, said)
    Console(width=100, highlight=False).print(table)

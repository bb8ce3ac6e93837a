"""``tmgc-bench compare BEFORE AFTER``: whether anything has become slower, for a CI to act upon."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.commands import OneLineCommand, one_line_errors, say

if TYPE_CHECKING:
    from benchmarks.compare import Change


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
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
def main(before: Path, after: Path, fail_above: float, as_json: bool) -> None:
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
        _print_table(found, fail_above)
    slower = [change for change in found if change.is_regression(fail_above)]
    say(f"{len(slower)} of {len(found)} have become slower by more than {fail_above - 1:.0%}")
    sys.exit(1 if slower or failed else 0)


def _print_table(found: Sequence[Change], limit: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from benchmarks.wording import number

    headings = ("row", "threads", "from", "before ms", "after ms", "ratio", "95 %", "")
    table = Table(*headings, box=box.SIMPLE_HEAD, padding=(0, 1))
    for each in found:
        said = "SLOWER" if each.is_regression(limit) else ""
        medians = number(each.before_ms), number(each.after_ms)
        interval = f"{each.low:.2f}-{each.high:.2f}"
        table.add_row(each.name, str(each.threads), each.source, *medians, f"{each.ratio:.2f}", interval, said)
    Console(width=100, highlight=False).print(table)

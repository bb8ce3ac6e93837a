"""``tmgc-listen history FILE``: hours and genres of a recorded history, as text, CSV, JSON or a chart."""

from __future__ import annotations

import csv
import json
import logging
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.cli.base import OneLineCommand
from edge_runtime.errors import TmgcError
from edge_runtime.terminal import print_json, print_line

if TYPE_CHECKING:
    from edge_runtime.history_report import HourlyTotal

SCHEMA = 1
"""Version of the JSON document."""

log = logging.getLogger("tmgc.cli")


@click.command("history", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.sqlite")
@click.option("--since", metavar="TIME", help="Local time, e.g. 2026-11-23 or 2026-11-23T18:30.")
@click.option("--until", metavar="TIME", help="Local time; excluded itself.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, a line for each hour and genre.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Write a bar chart; needs matplotlib.")
def history(file: Path, since: str | None, until: str | None, as_csv: bool, as_json: bool, png: Path | None) -> None:
    """Print how long each genre was played in each hour of local time, from tmgc-listen --history FILE.sqlite."""
    if as_csv + as_json + bool(png) > 1:
        raise TmgcError("the output has one form: --csv, --json and --png exclude each other")
    totals = _read(file, _parse_time("--since", since), _parse_time("--until", until))
    if png:
        from edge_runtime.history_report import plot_totals

        plot_totals(totals, png)
        log.info("%s: minutes of each genre by hour", png)
    elif as_json:
        print_json(json.dumps({"schema": SCHEMA, "hours": [_fields(total) for total in totals]}, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["hour", "genre", "seconds", "windows", "confidence"])
        writer.writerows(_fields(total).values() for total in totals)
    else:
        _print_totals(totals)


def _read(file: Path, since: datetime | None, until: datetime | None) -> list[HourlyTotal]:
    from edge_runtime.history_report import count_unsynchronised, hourly_totals
    from edge_runtime.outputs.sqlite import read_history

    with closing(read_history(file)) as connection:
        try:
            totals = hourly_totals(connection, since=since, until=until)
            unsynchronised = count_unsynchronised(connection, since=since, until=until)
        except sqlite3.Error as error:
            raise TmgcError(f"a history must be intact: {file} cannot be read ({error}). Name another file") from error
    if unsynchronised:
        log.warning("the clock was not synchronised for %d windows: their hours may be wrong", unsynchronised)
    return totals


def _parse_time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise TmgcError(f"{option} must be a date or a time such as 2026-11-23T18:30: got {text!r}") from None


def _fields(total: HourlyTotal) -> dict[str, str | float]:
    return {
        "hour": total.hour.isoformat(timespec="minutes"),
        "genre": total.genre,
        "seconds": round(total.seconds, 1),
        "windows": total.windows,
        "confidence": round(total.confidence, 4),
    }


def _print_totals(totals: Sequence[HourlyTotal]) -> None:
    from edge_runtime.history_report import utc_offset

    if not totals:
        print_line("no windows in that time")
        return
    print_line(f"local time, UTC{utc_offset(totals[-1].hour)}")
    for day, of_day in groupby(totals, key=lambda total: total.hour.date()):
        print_line(f"{day:%A, %Y-%m-%d}")
        for hour, of_hour in groupby(of_day, key=lambda total: total.hour):
            genres = "  ".join(f"{total.genre} {_minutes(total.seconds)}" for total in of_hour)
            print_line(f"  {hour:%H:%M}  {genres}")


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

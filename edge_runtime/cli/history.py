"""``tmgc-listen history FILE``: what played when, by hour and genre."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.cli.base import OneLineCommand, one_line_errors, say
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from edge_runtime.history_report import GenreHour

SCHEMA = 1
"""Version of the JSON document."""


@click.command("history", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.sqlite")
@click.option("--since", metavar="TIME", help="From then on: 2026-11-23, or 2026-11-23T18:30; local time.")
@click.option("--until", metavar="TIME", help="Up to then.")
@click.option("--csv", "as_csv", is_flag=True, help="A line an hour and genre, for spreadsheets.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="A picture instead; needs matplotlib.")
@one_line_errors
def history(file: Path, since: str | None, until: str | None, as_csv: bool, as_json: bool, png: Path | None) -> None:
    """Print what played when, as tmgc-listen --history FILE.sqlite has kept it: by hour of local time and genre."""
    import sqlite3

    from edge_runtime.history_report import doubtful_windows, genre_hours
    from edge_runtime.outputs.sqlite import read_history

    if as_csv + as_json + bool(png) > 1:
        raise TmgcError("one form of output is needed: --csv, --json and --png exclude each other")
    beginning, end = _time("--since", since), _time("--until", until)
    with closing(read_history(file)) as connection:
        try:
            hours = genre_hours(connection, since=beginning, until=end)
            doubtful = doubtful_windows(connection, since=beginning, until=end)
        except sqlite3.Error as error:
            raise TmgcError(f"a history must be whole: {file} cannot be read ({error}). Name another") from error
    if doubtful:
        say(f"warning: the clock was not synchronised for {doubtful} windows: their hours may be wrong")
    if png:
        from edge_runtime.history_report import write_figure

        write_figure(hours, png)
        say(f"{png}: {len({hour.hour for hour in hours})} hours")
    elif as_json:
        click.echo(json.dumps({"schema": SCHEMA, "hours": [_document(hour) for hour in hours]}, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["hour", "genre", "seconds", "windows", "confidence"])
        writer.writerows(_document(hour).values() for hour in hours)
    else:
        _print_hours(hours)


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise TmgcError(f"{option} is a date or a time such as 2026-11-23T18:30: got {text!r}") from None


def _document(hour: GenreHour) -> dict[str, str | float]:
    return {
        "hour": hour.hour.isoformat(timespec="minutes"),
        "genre": hour.genre,
        "seconds": round(hour.seconds, 1),
        "windows": hour.windows,
        "confidence": round(hour.confidence, 4),
    }


def _print_hours(hours: Sequence[GenreHour]) -> None:
    from edge_runtime.history_report import utc_offset

    if not hours:
        click.echo("nothing was heard in that time")
        return
    click.echo(f"local time, UTC{utc_offset(hours[-1].hour)}")
    for day, of_day in groupby(hours, key=lambda hour: hour.hour.date()):
        click.echo(f"{day:%A, %Y-%m-%d}")
        for hour, genres in groupby(of_day, key=lambda item: item.hour):
            click.echo(f"  {hour:%H:%M}  " + "  ".join(f"{item.genre} {_length(item.seconds)}" for item in genres))


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

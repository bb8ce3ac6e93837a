"""``tmgc-listen history FILE``: hours and genres of a recorded history, as text, CSV, JSON or a chart."""

from __future__ import annotations

import csv
import json
import logging
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
from edge_runtime.files import csv_cell
from edge_runtime.terminal import print_json, print_line

if TYPE_CHECKING:
    from edge_runtime.history.report import HourlyTotal

SCHEMA = 1
"""Version of the JSON document."""

log = logging.getLogger("tmgc.cli")


@click.command("history", cls=OneLineCommand)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.sqlite")
@click.option("--since", metavar="TIME", help="Local time, e.g. 2026-11-23 or 2026-11-23T18:30.")
@click.option("--until", metavar="TIME", help="Local time; excluded itself.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, a line for each hour and genre.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Write a bar chart; needs matplotlib.")
@click.option("--repair", is_flag=True, help="Save what is whole of a damaged history, to a new file.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Of --repair. Default: NAME.repaired.sqlite."
)
def history(
    file: Path,
    since: str | None,
    until: str | None,
    as_csv: bool,
    as_json: bool,
    png: Path | None,
    repair: bool,
    output: Path | None,
) -> None:
    """Print how long each genre was played in each hour of local time, from tmgc-listen --history FILE.sqlite."""
    if as_csv + as_json + bool(png) + repair > 1:
        raise TmgcError("the output has one form: --csv, --json, --png and --repair exclude each other")
    if output and not repair:
        raise TmgcError("--output names the file of --repair: add --repair, or send the output there with >")
    if repair:
        _repair(file, output or file.with_name(f"{_stem(file)}.repaired.sqlite"))
        return
    totals = _read(file, _parse_time("--since", since), _parse_time("--until", until))
    if png:
        from edge_runtime.history.report import plot_totals

        plot_totals(totals, png)
        log.info("%s: minutes of each genre by hour", png)
    elif as_json:
        print_json(json.dumps({"schema": SCHEMA, "hours": [_fields(total) for total in totals]}, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["hour", "genre", "seconds", "windows", "confidence"])
        writer.writerows(map(csv_cell, _fields(total).values()) for total in totals)
    else:
        _print_totals(totals)


def _read(file: Path, since: datetime | None, until: datetime | None) -> list[HourlyTotal]:
    from edge_runtime.history.database import SQLITE_ERRORS, lacks_its_log, read_history, reading_failed
    from edge_runtime.history.report import doubtful_times, hourly_totals, last_time

    with closing(read_history(file)) as connection:
        try:
            totals = hourly_totals(connection, since=since, until=until)
            doubt = doubtful_times(connection, since=since, until=until)
            last = last_time(connection)
        except SQLITE_ERRORS as error:
            raise reading_failed(file, error) from error
    if lacks_its_log(file):
        after = f"what was heard after {last.astimezone():%Y-%m-%d %H:%M:%S}" if last else "all of it"
        log.warning(
            "%s was in use when it was copied, and its %s-wal is not beside it: %s may be missing",
            file,
            file.name,
            after,
        )
    if doubt.windows:
        log.warning(
            "the clock was not synchronised for %d windows, in %d starts of the machine: their order is right, "
            "their hours may be wrong",
            doubt.windows,
            doubt.boots,
        )
    return totals


def _repair(file: Path, repaired: Path) -> None:
    from edge_runtime.history.repair import repair

    if not file.is_file():
        raise TmgcError(f"a history must exist: there is no file {file}")
    result = repair(file, repaired)
    log.info("%s: %d windows and %d events of %s are saved", repaired, result.windows, result.events, file)
    if result.damaged_pages:
        log.info("%d of its %d pages are damaged: what was on them is lost", result.damaged_pages, result.pages)
    else:
        log.info("none of its %d pages is damaged", result.pages)
    if result.without_segment:
        log.warning("%d windows are left out: nothing is left of their times", result.without_segment)
    if result.unknown_sources:
        log.warning("the genres of %d sources are guessed: their names are lost", result.unknown_sources)


def _stem(file: Path) -> str:
    return file.stem if file.suffix in (".sqlite", ".db") else file.name


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
    from edge_runtime.history.report import utc_offset

    if not totals:
        print_line("no windows in that time")
        return
    offsets = {utc_offset(total.hour) for total in totals}
    is_one = len(offsets) == 1  # otherwise an hour may be there twice, in autumn
    print_line(f"local time, UTC{offsets.pop()}" if is_one else "local time, with its offset from UTC")
    for day, of_day in groupby(totals, key=lambda total: total.hour.date()):
        print_line(f"{day:%A, %Y-%m-%d}")
        for hour, of_hour in groupby(of_day, key=lambda total: total.hour):
            genres = "  ".join(f"{total.genre} {_minutes(total.seconds)}" for total in of_hour)
            print_line(f"  {hour:%H:%M}{'' if is_one else utc_offset(hour)}  {genres}")


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

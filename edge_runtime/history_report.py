"""Hourly totals of a history, and their bar chart, drawn with the matplotlib of the ``train`` extra."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.predictions import SILENCE, UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_QUARTER_SECONDS = 900
"""The database aggregates by quarters of an hour: the offset of every time zone is a multiple of one."""


@dataclass(frozen=True)
class HourlyTotal:
    """How long one genre was predicted in one hour."""

    hour: datetime
    """Beginning of the hour, local time with its offset from UTC."""
    genre: str
    """Smoothed genre of the windows: a genre of the model, ``unknown`` or ``silence``."""
    seconds: float
    """Number of windows times their hop."""
    windows: int
    confidence: float
    """Mean smoothed confidence of the windows, in [0, 1]."""


def hourly_totals(
    connection: sqlite3.Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo | None = None,
) -> list[HourlyTotal]:
    """Totals by hour and genre, in order of time and, within an hour, of falling duration.

    Parameters
    ----------
    connection : sqlite3.Connection
        From :func:`edge_runtime.outputs.sqlite.read_history`.
    since, until : datetime, optional
        With an offset from UTC; ``until`` itself is excluded.
    zone : tzinfo, optional
        Time zone of the hours; the system's by default.

    Returns
    -------
    totals : list of HourlyTotal
    """
    rows = connection.execute(
        "SELECT CAST(time / ? AS INTEGER), smoothed_genre, SUM(hop_s), COUNT(*), SUM(smoothed_confidence) "
        "FROM windows JOIN sources ON sources.id = source WHERE time >= ? AND time < ? GROUP BY 1, 2",
        (_QUARTER_SECONDS, *_limits(since, until)),
    )
    sums: defaultdict[tuple[datetime, str], list[float]] = defaultdict(lambda: [0.0, 0, 0.0])
    for quarter, genre, *of_quarter in rows:
        of_hour = sums[_local_hour(quarter * _QUARTER_SECONDS, zone), genre]
        of_hour[:] = [one + other for one, other in zip(of_hour, of_quarter, strict=True)]
    totals = [
        HourlyTotal(hour, genre, seconds, int(windows), confidence / windows)
        for (hour, genre), (seconds, windows, confidence) in sums.items()
    ]
    return sorted(totals, key=lambda total: (total.hour, -total.seconds, total.genre))


def count_unsynchronised(
    connection: sqlite3.Connection, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Windows that were recorded before the clock was synchronised with a time server: their times may be wrong."""
    query = "SELECT COUNT(*) FROM windows WHERE clock_synchronised = 0 AND time >= ? AND time < ?"
    return int(connection.execute(query, _limits(since, until)).fetchone()[0])


def _limits(since: datetime | None, until: datetime | None) -> tuple[float, float]:
    return since.timestamp() if since else 0.0, until.timestamp() if until else 1e12


def utc_offset(time: datetime) -> str:
    """The offset of an aware time from UTC, such as ``+03:00``."""
    return time.isoformat(timespec="minutes")[-6:]


def _local_hour(timestamp: float, zone: tzinfo | None) -> datetime:
    """The hour of a time, with a fixed offset: otherwise the hour that is repeated in autumn would be one."""
    local = datetime.fromtimestamp(timestamp, zone).astimezone(zone)
    offset = timezone(local.utcoffset() or timedelta(0))
    return local.replace(minute=0, second=0, microsecond=0, tzinfo=offset)


_COLOURS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "navy", "C8", "C9")
"""matplotlib's, without its grey."""
_NO_GENRE_COLOURS = {SILENCE: "0.8", UNKNOWN: "0.6"}


def plot_totals(totals: Sequence[HourlyTotal], path: Path) -> None:
    """Write a PNG file with a bar of minutes for each hour, stacked by genre.

    Parameters
    ----------
    totals : sequence of HourlyTotal
    path : Path
        Ends in ``.png``.

    Raises
    ------
    TmgcError
        matplotlib is not installed, there are no totals, or the path has another ending.
    """
    if not totals:
        raise TmgcError("a chart needs at least one window: there is none in that time. Leave out --since and --until")
    if path.suffix.lower() != ".png":
        raise TmgcError(f"a chart is written as PNG: got {path}. Name it {path.with_suffix('.png')}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise TmgcError(
            "--png needs matplotlib, which is not installed: pip install matplotlib, or use --csv and plot elsewhere"
        ) from None
    hours = sorted({total.hour for total in totals})
    figure = Figure(figsize=(max(6.0, min(24.0, 2 + len(hours) * 0.25)), 4.0), layout="constrained")
    axes = figure.subplots()
    _stack_bars(axes, totals, hours)
    axes.set_ylabel("minutes")
    axes.set_xlabel(f"local time, UTC{utc_offset(hours[-1])}")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.autofmt_xdate()
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=120)


def _stack_bars(axes: Axes, totals: Sequence[HourlyTotal], hours: Sequence[datetime]) -> None:
    # Naive local times: an axis of aware times would be drawn in UTC.
    centres: list[datetime] = [hour.replace(tzinfo=None) + timedelta(minutes=30) for hour in hours]
    bottom = dict.fromkeys(hours, 0.0)
    for number, genre in enumerate(sorted({total.genre for total in totals})):
        minutes = {total.hour: total.seconds / 60 for total in totals if total.genre == genre}
        heights = [minutes.get(hour, 0.0) for hour in hours]
        colour = _NO_GENRE_COLOURS.get(genre, _COLOURS[number % len(_COLOURS)])
        bottoms = [bottom[hour] for hour in hours]
        axes.bar(centres, heights, bottom=bottoms, width=1 / 26, label=genre, color=colour)  # type: ignore[arg-type]
        bottom = {hour: bottom[hour] + height for hour, height in zip(hours, heights, strict=True)}

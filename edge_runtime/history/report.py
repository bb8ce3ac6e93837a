"""Hourly totals of a history, and their bar chart, drawn with the matplotlib of the ``train`` extra."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import TmgcError, pip_install
from edge_runtime.files import atomic_write
from edge_runtime.history.schema import (
    NOT_SYNCHRONISED,
    SMOOTHED_CODE,
    SMOOTHED_PERCENT,
    SPANS,
    WINDOW_TIME_MS,
    WINDOWS_BETWEEN,
    time_limits,
)
from edge_runtime.predictions import SILENCE, UNKNOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger("tmgc.history")

_END_MS = 4_102_444_800_000  # the year 2100
_LONGEST_HOP = 86_400.0
_QUARTER_SECONDS = 900
"""The database aggregates by quarters of an hour: the offset of every time zone is a multiple of one."""
_LAST_QUARTER = _END_MS // 1000 // _QUARTER_SECONDS


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
        From :func:`edge_runtime.history.database.read_history`.
    since, until : datetime, optional
        With an offset from UTC; ``until`` itself is excluded.
    zone : tzinfo, optional
        Time zone of the hours; the system's by default.

    Returns
    -------
    totals : list of HourlyTotal
    """
    sums: defaultdict[tuple[datetime, str], list[float]] = defaultdict(lambda: [0.0, 0, 0.0])
    names = _genre_names(connection)
    for quarter, source, code, *of_quarter in connection.execute(_BY_QUARTER, time_limits(since, until)):
        genres, hop_seconds = names[source]
        windows, percent = of_quarter
        genre = genres[code] if code < len(genres) else f"genre {code - 1}"
        if not 0 <= quarter < _LAST_QUARTER:
            continue
        of_hour = sums[_local_hour(quarter * _QUARTER_SECONDS, zone), genre]
        for index, value in enumerate((windows * hop_seconds, windows, percent / 100)):
            of_hour[index] += value
    totals = [
        HourlyTotal(hour, genre, seconds, int(windows), confidence / windows)
        for (hour, genre), (seconds, windows, confidence) in sums.items()
    ]
    if since is until is None:
        _warn_of_others(connection, sum(total.windows for total in totals))
    return sorted(totals, key=lambda total: (total.hour, -total.seconds, total.genre))


def _warn_of_others(connection: sqlite3.Connection, counted: int) -> None:
    (windows,) = connection.execute("SELECT count(*) FROM window_rows").fetchone()
    if windows > counted:
        log.warning(
            "%d windows have no source, or times before 1970 or after 2100: they are left out. --repair finds sources",
            windows - counted,
        )


@dataclass(frozen=True)
class Doubt:
    """What a history does not know about its times."""

    windows: int
    """Recorded while the clock was not synchronised with a time server, and never put right."""
    boots: int
    """Starts of the machine in which that was so to the end."""


def doubtful_times(
    connection: sqlite3.Connection, *, since: datetime | None = None, until: datetime | None = None
) -> Doubt:
    """Windows whose times may be wrong; their order is right.

    Parameters
    ----------
    connection : sqlite3.Connection
    since, until : datetime, optional
        As in :func:`hourly_totals`.
    """
    windows, boots = connection.execute(_DOUBTFUL, time_limits(since, until)).fetchone()
    return Doubt(int(windows), int(boots))


def last_time(connection: sqlite3.Connection) -> datetime | None:
    """Time of the last window, UTC; None where there is none or it is impossible."""
    row = connection.execute(
        f"SELECT {WINDOW_TIME_MS} FROM window_rows, segments WHERE id = (SELECT max(id) FROM window_rows) "
        "AND first_id = (SELECT max(first_id) FROM segments WHERE first_id <= (SELECT max(id) FROM window_rows))"
    ).fetchone()
    is_possible = row and isinstance(row[0], int) and 0 <= row[0] < _END_MS
    return datetime.fromtimestamp(row[0] / 1000, UTC) if is_possible else None


_BY_QUARTER = f"""{SPANS}
SELECT ({WINDOW_TIME_MS}) / {_QUARTER_SECONDS * 1000}, source,
    CASE WHEN answer IS NULL THEN 0 ELSE {SMOOTHED_CODE.format(bits="bits")} END,
    count(*), sum(ifnull({SMOOTHED_PERCENT}, 0))
FROM {WINDOWS_BETWEEN}
WHERE boot_id IS NOT NULL
GROUP BY 1, 2, 3
"""

_DOUBTFUL = f"""{SPANS}
SELECT count(*), count(DISTINCT boot_id)
FROM {WINDOWS_BETWEEN}
WHERE clock_synchronised = {NOT_SYNCHRONISED}
"""


def _genre_names(connection: sqlite3.Connection) -> dict[int, tuple[list[str], float]]:
    """What the codes of each source mean, and its hop in seconds."""
    names: dict[int, tuple[list[str], float]] = {}
    unnamed = 0
    for number, genres, hop in connection.execute("SELECT id, genres, hop_s FROM sources"):
        found = _names_of(genres)
        unnamed += not found
        is_possible = isinstance(hop, float) and 0 < hop <= _LONGEST_HOP
        names[number] = found or [SILENCE, UNKNOWN], hop if is_possible else 0.0
    if unnamed:
        log.warning("the genres of %d sources are damaged: they are numbered", unnamed)
    return names


def _names_of(genres: str) -> list[str]:
    """None where they are no list of names, each of one line."""
    try:
        names = json.loads(genres)
        if isinstance(names, list) and all(isinstance(name, str) and name.isprintable() for name in names):
            return names
    except (ValueError, TypeError, RecursionError):
        pass
    return []


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
_MAX_BARS = 2500
"""Of a hundred days; each is a pixel wide, and drawing ten times as many would take minutes."""
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
        matplotlib is not installed, there are no totals, or more hours than can be seen, or the path has another
        ending.
    """
    if not totals:
        raise TmgcError("a chart needs at least one window: there is none in that time. Leave out --since and --until")
    if path.suffix.lower() != ".png":
        raise TmgcError(f"a chart is written as PNG: got {path}. Name it {path.with_suffix('.png')}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise TmgcError(
            f"--png needs matplotlib, which is not installed: {pip_install('matplotlib')}, or use --csv and plot "
            "elsewhere"
        ) from None
    hours = sorted({total.hour for total in totals})
    if len(hours) > _MAX_BARS:
        raise TmgcError(
            f"a chart shows at most {_MAX_BARS} hours: there are {len(hours)}. Name a shorter time: --since, --until"
        )
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
    # Naive times: an axis of aware ones would be drawn in UTC. All have the offset of the last hour, so that an hour
    # that is repeated in autumn does not cover the first.
    zone = hours[-1].tzinfo
    centres: list[datetime] = [hour.astimezone(zone).replace(tzinfo=None) + timedelta(minutes=30) for hour in hours]
    bottom = dict.fromkeys(hours, 0.0)
    for number, genre in enumerate(sorted({total.genre for total in totals})):
        minutes = {total.hour: total.seconds / 60 for total in totals if total.genre == genre}
        heights = [minutes.get(hour, 0.0) for hour in hours]
        colour = _NO_GENRE_COLOURS.get(genre, _COLOURS[number % len(_COLOURS)])
        bottoms = [bottom[hour] for hour in hours]
        axes.bar(centres, heights, bottom=bottoms, width=1 / 26, label=genre, color=colour)  # type: ignore[arg-type]
        bottom = {hour: bottom[hour] + height for hour, height in zip(hours, heights, strict=True)}

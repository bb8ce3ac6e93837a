"""What played when: a history added up by hour of local time and by genre."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

_QUARTER_SECONDS = 900
"""The database adds up by it: every time zone's hours are whole quarters."""


@dataclass(frozen=True)
class HourOfGenre:
    """How long one answer was heard in one hour."""

    hour: datetime
    """Its beginning, local time with its offset from UTC."""
    genre: str
    """The smoothed answer: a genre, ``unknown`` or ``silence``."""
    seconds: float
    windows: int
    confidence: float
    """Mean of its windows, in [0, 1]."""


def hours_of(
    connection: sqlite3.Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo | None = None,
) -> list[HourOfGenre]:
    """A history by hour, and within an hour the most heard first.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of :func:`edge_runtime.outputs.history_file.read_history`.
    since, until : datetime, optional
        With an offset from UTC; ``until`` itself is left out.
    zone : tzinfo, optional
        The system's by default.
    """
    rows = connection.execute(
        "SELECT CAST(time / ? AS INTEGER), smoothed_genre, SUM(hop_s), COUNT(*), SUM(smoothed_confidence) "
        "FROM windows JOIN sources ON sources.id = source WHERE time >= ? AND time < ? GROUP BY 1, 2",
        (_QUARTER_SECONDS, *_limits(since, until)),
    )
    sums: defaultdict[tuple[datetime, str], list[float]] = defaultdict(lambda: [0.0, 0, 0.0])
    for quarter, genre, *figures in rows:
        total = sums[_hour(quarter * _QUARTER_SECONDS, zone), genre]
        total[:] = [one + other for one, other in zip(total, figures, strict=True)]
    hours = [
        HourOfGenre(hour, genre, seconds, int(windows), confidence / windows)
        for (hour, genre), (seconds, windows, confidence) in sums.items()
    ]
    return sorted(hours, key=lambda item: (item.hour, -item.seconds, item.genre))


def doubtful_windows(
    connection: sqlite3.Connection, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Windows that were heard before the clock was set by a time server, so that their time may be wrong."""
    query = "SELECT COUNT(*) FROM windows WHERE clock_synchronised = 0 AND time >= ? AND time < ?"
    return int(connection.execute(query, _limits(since, until)).fetchone()[0])


def _limits(since: datetime | None, until: datetime | None) -> tuple[float, float]:
    return since.timestamp() if since else 0.0, until.timestamp() if until else 1e12


def utc_offset(time: datetime) -> str:
    """Such as ``+03:00``."""
    return time.isoformat(timespec="minutes")[-6:]


def _hour(timestamp: float, zone: tzinfo | None) -> datetime:
    """The local hour; its offset is fixed, since two hours of a night in autumn else are the same."""
    local = datetime.fromtimestamp(timestamp, zone).astimezone(zone)
    offset = timezone(local.utcoffset() or timedelta(0))
    return local.replace(minute=0, second=0, microsecond=0, tzinfo=offset)

"""Single windows and events of a history, for a page that shows an hour, and for a stream that was interrupted."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from edge_runtime.history.schema import SPANS, UNPACKED, WINDOW_TIME_MS, WINDOWS_BETWEEN, time_limits

MAX_ROWS = 4000
"""Rows of one answer: more than the windows of an hour, one a second."""

_LATEST_MS = 4_102_444_800_000  # the year 2100


@dataclass(frozen=True)
class StoredWindow:
    """What a history keeps of a window."""

    time: datetime
    """UTC."""
    source: str
    genre: str
    confidence: float
    """In [0, 1]."""
    smoothed_genre: str
    smoothed_confidence: float
    level_dbfs: float


@dataclass(frozen=True)
class StoredEvent:
    """What a history keeps of an event."""

    time: datetime
    source: str
    event: str
    reason: str


def stored_windows(
    connection: sqlite3.Connection, *, since: datetime | None, until: datetime | None, limit: int = MAX_ROWS
) -> list[StoredWindow]:
    """The last windows of a time, in order of time.

    Parameters
    ----------
    connection : sqlite3.Connection
        From :func:`edge_runtime.history.database.read_history`.
    since, until : datetime or None
        With an offset from UTC; ``until`` itself is excluded.
    limit : int > 0
        Rows at most.
    """
    rows = connection.execute(_WINDOWS, {**time_limits(since, until), "limit": limit}).fetchall()
    return [StoredWindow(_utc(time_ms), *fields) for time_ms, *fields in reversed(rows) if _is_possible(time_ms)]


def stored_events(
    connection: sqlite3.Connection, *, since: datetime | None, until: datetime | None, limit: int = MAX_ROWS
) -> list[StoredEvent]:
    """The last events of a time, in order of time.

    Parameters
    ----------
    connection, since, until, limit
        As in :func:`stored_windows`.
    """
    rows = connection.execute(_EVENTS, {**time_limits(since, until), "limit": limit}).fetchall()
    return [StoredEvent(_utc(time_ms), *fields) for time_ms, *fields in reversed(rows) if _is_possible(time_ms)]


_WINDOWS = f"""{SPANS},
packed AS (
    SELECT window_rows.id, answer, measured, name, genres, bits, {WINDOW_TIME_MS} AS time_ms
    FROM {WINDOWS_BETWEEN}
    WHERE boot_id IS NOT NULL
    ORDER BY window_rows.id DESC LIMIT :limit
)
SELECT time_ms, name, {UNPACKED["genre"]}, {UNPACKED["confidence"]}, {UNPACKED["smoothed_genre"]},
    {UNPACKED["smoothed_confidence"]}, {UNPACKED["level_dbfs"]}
FROM packed ORDER BY id DESC
"""

_EVENTS = """
SELECT time_ms, name, event, reason FROM event_rows JOIN sources ON sources.id = source
WHERE time_ms >= :since AND time_ms < :until
ORDER BY event_rows.id DESC LIMIT :limit
"""


def _utc(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _is_possible(time_ms: object) -> bool:
    return isinstance(time_ms, int) and 0 <= time_ms < _LATEST_MS

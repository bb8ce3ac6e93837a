"""What a history keeps: rows up to an age and a size; the oldest are deleted in steps, and their space is freed."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edge_runtime.errors import TmgcError
from edge_runtime.history.recorder import SEGMENT_TABLES, SOURCE_TABLES
from edge_runtime.history.schema import NOT_SYNCHRONISED

STEP_ROWS = 20_000
"""Most rows that a step deletes: a fraction of a second on a Raspberry Pi."""

STEP_PAGES = 500
"""Most pages that one step moves to free others: 2 MB."""

_DAY_MS = 86_400_000
_LIKELY_ROW_BYTES = 64  # more than a window takes: rather delete too few in a step than too many
_FEWEST_ROWS = 500

_NTH_OLDEST = """SELECT id FROM (SELECT id FROM window_rows UNION ALL SELECT id FROM event_rows)
    ORDER BY id LIMIT 1 OFFSET ?"""

_UNUSED_SOURCE = """id NOT IN (SELECT source FROM segments UNION SELECT source FROM event_rows)
    AND id < (SELECT max(id) FROM sources)"""


@dataclass(frozen=True)
class Retention:
    """How much of the history is kept."""

    days: float = 90.0
    """Age at which rows are deleted."""
    megabytes: float = 500.0
    """Size of the file, MB (1e6 bytes), from which the oldest rows are deleted."""

    def __post_init__(self) -> None:
        if not 0 < self.days <= 36_500:
            raise TmgcError(f"--keep-days must be above 0 and at most 36500, got {self.days:g}: try --keep-days 90")
        if not 1 <= self.megabytes <= 1e6:
            raise TmgcError(f"--keep-mb must be 1 to 1000000, got {self.megabytes:g}: try --keep-mb 500")


def prune(
    connection: sqlite3.Connection, retention: Retention, *, now_ms: int | None, step_rows: int = STEP_ROWS
) -> bool:
    """Do one step of bounded time: delete the oldest rows that are not kept, and give the space of some back.

    Parameters
    ----------
    connection : sqlite3.Connection
        From :func:`edge_runtime.history.database.open_history`.
    retention : Retention
    now_ms : int or None
        Since 1970, UTC; None while the clock is not synchronised. Then the age of a row is the time that was recorded
        after it, which is never more than its true age.
    step_rows : int > 0
        Most rows to delete. Deleting needs room itself: about 50 bytes a row, until the next checkpoint.

    Returns
    -------
    unfinished : bool
        Whether there is more to do.
    """
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        wanted = max(
            _first_young(connection, retention.days, now_ms), _first_that_fits(connection, retention.megabytes)
        )
        most = _nth_oldest(connection, step_rows)
        first_kept = wanted if most is None else min(wanted, most)
        _delete_before(connection, first_kept)
        if now_ms is not None:  # an event may lie behind windows of other files, with times of their own
            oldest = now_ms - retention.days * _DAY_MS
            query = f"DELETE FROM event_rows WHERE time_ms < ? AND clock_synchronised IS NOT {NOT_SYNCHRONISED}"
            connection.execute(query, (oldest,))
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free:
        # execute would free a single page; the file becomes smaller with the checkpoint
        connection.executescript(f"PRAGMA incremental_vacuum({STEP_PAGES}); PRAGMA wal_checkpoint(TRUNCATE)")
    is_too_large = size_mb(connection) > retention.megabytes
    return first_kept < wanted or free > STEP_PAGES or (is_too_large and first_kept > 0)


def size_mb(connection: sqlite3.Connection) -> float:
    """Size of what the history holds, MB (1e6 bytes)."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    return float((pages - free) * page_bytes / 1e6)


def _first_that_fits(connection: sqlite3.Connection, megabytes: float) -> int:
    """Id of the first row that is kept, or a row before it: deleting is repeated until the size fits."""
    excess = (size_mb(connection) - megabytes) * 1e6
    if excess <= 0:
        return 0
    number = max(_FEWEST_ROWS, round(excess / _LIKELY_ROW_BYTES))
    while number:
        if (row_id := _nth_oldest(connection, number)) is not None:
            return row_id
        number //= 2  # there are fewer, and larger, rows
    return 0


def _nth_oldest(connection: sqlite3.Connection, number: int) -> int | None:
    row = connection.execute(_NTH_OLDEST, (number,)).fetchone()
    return None if row is None else int(row[0])


def _first_young(connection: sqlite3.Connection, days: float, now_ms: int | None) -> int:
    """Id of the first row that is not too old, in the order in which rows were recorded."""
    segments = connection.execute(
        "SELECT first_id, ifnull(time_ms + 0, 0), ifnull(boot_ms + 0, 0), clock_synchronised, live = 1, boot_id "
        "FROM segments JOIN sources ON sources.id = source ORDER BY first_id DESC"
    )
    (end_id,) = connection.execute("SELECT ifnull(max(id), 0) + 1 FROM window_rows").fetchone()
    boot: str | None = None
    recorded_later, boot_end, boot_begin, age = 0, 0, 0, 0.0
    for first_id, time_ms, boot_ms, clock, live, boot_id in segments:
        if boot_id != boot:
            recorded_later += max(0, boot_end - boot_begin)
            boot, boot_end = boot_id, boot_ms + live * (end_id - first_id)
        boot_begin = boot_ms
        by_clock = 0 if now_ms is None or clock == NOT_SYNCHRONISED else now_ms - time_ms
        age = max(age, recorded_later + boot_end - boot_ms, by_clock)  # at least that of every later row
        too_long = age - days * _DAY_MS
        if too_long > 0:
            return int(min(end_id, first_id + too_long + 1)) if live else int(end_id)
        end_id = first_id
    return 0


def _delete_before(connection: sqlite3.Connection, first_kept: int) -> None:
    for table in ("window_rows", "event_rows"):
        connection.execute(f"DELETE FROM {table} WHERE id < ?", (first_kept,))
    for table in SEGMENT_TABLES:  # the last one that begins before may reach beyond
        connection.execute(
            f"DELETE FROM {table} WHERE first_id < (SELECT max(first_id) FROM segments WHERE first_id <= ?)",
            (first_kept,),
        )
    if first_kept:
        for table in SOURCE_TABLES:
            connection.execute(f"DELETE FROM {table} WHERE {_UNUSED_SOURCE}")

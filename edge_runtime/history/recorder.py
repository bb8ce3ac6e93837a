"""Writes the rows of one process: gives them ids, begins segments, and puts times right once the clock is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from edge_runtime.history.schema import NOT_SYNCHRONISED, PUT_RIGHT, SYNCHRONISED, EventRow, WindowRow

TIME_TOLERANCE_MS = 1000
"""Longest distance of a window's time from that which its segment gives."""

POSITION_TOLERANCE_MS = 100
"""The same for its position in the source: an id that is taken already is the next one."""

SEGMENT_TABLES = ("segments", "segments_copy")
SOURCE_TABLES = ("sources", "sources_copy")

_LAST_ID = """SELECT max(ifnull((SELECT max(id) FROM window_rows), 0), ifnull((SELECT max(id) FROM event_rows), 0),
    ifnull((SELECT max(first_id) FROM segments), 0))"""


@dataclass(frozen=True)
class _Segment:
    first_id: int
    source: int
    time_ms: int
    boot_ms: int
    clock: int | None
    start_ms: int
    live: int

    def id_of(self, row: WindowRow, last_id: int) -> int | None:
        """The id of the next window; None where it needs a segment of its own."""
        expected = self.first_id + row.start_ms - self.start_ms
        number = max(expected, last_id + 1)
        time_ms = self.time_ms + self.live * (number - self.first_id)
        is_near = number - expected <= POSITION_TOLERANCE_MS and abs(row.time_ms - time_ms) <= TIME_TOLERANCE_MS
        return number if is_near and row.clock == self.clock else None


@dataclass(frozen=True)
class SourceDescription:
    """What is stored with the name of each source."""

    model: str
    """Name of the model file."""
    names: tuple[str, ...]
    """What the codes of genres mean, :attr:`edge_runtime.history.schema.Codes.names`."""
    hop_seconds: float
    """From one window to the next."""
    boot_id: str
    """Equal for rows whose ``boot_ms`` can be compared."""


class Recorder:
    """Writes rows to an open history.

    Other processes may write to it as well: a transaction that finds rows of theirs begins a new segment.

    Parameters
    ----------
    connection : sqlite3.Connection
        From :func:`edge_runtime.history.database.open_history`.
    description : SourceDescription
    """

    def __init__(self, connection: sqlite3.Connection, description: SourceDescription) -> None:
        self._connection = connection
        self._description = description
        self._source_ids: dict[str, int] = {}
        self._last_id = 0
        self._segment: _Segment | None = None
        self._previous: WindowRow | None = None
        self._some_times_are_wrong = True  # those of an earlier process may be

    def write(self, rows: Sequence[WindowRow | EventRow]) -> None:
        """Commit rows in one transaction, all or none.

        Parameters
        ----------
        rows : sequence of WindowRow or EventRow

        Raises
        ------
        sqlite3.Error
            They cannot be written; nothing is.
        """
        before = dict(self._source_ids), self._segment, self._previous, self._last_id, self._some_times_are_wrong
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                (last_id,) = self._connection.execute(_LAST_ID).fetchone()
                if last_id != self._last_id:
                    self._last_id, self._segment = last_id, None
                self._forget_deleted({row.source for row in rows})
                for row in rows:
                    self._insert(row)
        except BaseException:
            self._source_ids, self._segment, self._previous, self._last_id, self._some_times_are_wrong = before
            raise

    def shrink_log(self) -> None:
        """Copy the write-ahead log into the database, and give its space back."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _insert(self, row: WindowRow | EventRow) -> None:
        source = self._source_id(row.source)
        self._some_times_are_wrong |= row.clock == NOT_SYNCHRONISED
        if isinstance(row, EventRow):
            self._last_id += 1
            values = (self._last_id, source, row.time_ms, row.boot_ms, row.clock, row.event, row.reason)
            self._connection.execute("INSERT INTO event_rows VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        else:
            self._last_id = self._window_id(row, source)
            window = (self._last_id, row.answer, row.measured)
            self._connection.execute("INSERT INTO window_rows VALUES (?, ?, ?)", window)
            self._previous = row
        if row.clock == SYNCHRONISED and self._some_times_are_wrong:
            self._put_times_right(row.time_ms - row.boot_ms)
            self._some_times_are_wrong = False

    def _forget_deleted(self, sources: set[str]) -> None:
        """Pruning deletes a source with its last row."""
        for name in sources & self._source_ids.keys():
            if not self._connection.execute("SELECT 1 FROM sources WHERE id = ?", (self._source_ids[name],)).fetchone():
                del self._source_ids[name]

    def _source_id(self, name: str) -> int:
        """Adds the source where this process has not met it yet."""
        if name not in self._source_ids:
            what = self._description
            genres = json.dumps(what.names, ensure_ascii=False)
            values = (name, what.model, genres, what.hop_seconds, what.boot_id)
            added = self._connection.execute("INSERT INTO sources VALUES (NULL, ?, ?, ?, ?, ?)", values)
            number = self._source_ids[name] = int(added.lastrowid or 0)
            self._connection.execute("INSERT INTO sources_copy SELECT * FROM sources WHERE id = ?", (number,))
        return self._source_ids[name]

    def _window_id(self, row: WindowRow, source: int) -> int:
        segment = self._segment
        if segment and segment.source == source and (number := segment.id_of(row, self._last_id)):
            return number
        number = self._last_id + 1
        self._segment = _Segment(number, source, row.time_ms, row.boot_ms, row.clock, row.start_ms, self._is_live(row))
        for table in SEGMENT_TABLES:
            self._connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(self._segment))
        return number

    def _is_live(self, row: WindowRow) -> bool:
        """Whether time runs with the sound: not where a file is read faster than it plays."""
        before = self._previous
        if before is None or before.source != row.source:
            return True
        elapsed_ms = max(row.time_ms - before.time_ms, row.boot_ms - before.boot_ms)  # the first may be adjusted
        return elapsed_ms >= (row.start_ms - before.start_ms) / 2

    def _put_times_right(self, boot_time_ms: int) -> None:
        """Correct the rows of this boot from before its clock was synchronised.

        Parameters
        ----------
        boot_time_ms : int
            When the machine was started, since 1970, UTC, by the clock that is right now.
        """
        of_this_boot = "source IN (SELECT id FROM sources WHERE boot_id = ?)"
        for table in (*SEGMENT_TABLES, "event_rows"):
            self._connection.execute(
                f"UPDATE {table} SET time_ms = boot_ms + ?, clock_synchronised = {PUT_RIGHT} "
                f"WHERE clock_synchronised = {NOT_SYNCHRONISED} AND {of_this_boot}",
                (boot_time_ms, self._description.boot_id),
            )

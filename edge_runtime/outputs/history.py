"""Every window and event in a SQLite file: what was heard and when, and never a sound.

A thread of its own writes, so that a slow card never delays an answer, in batches that spare it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import deque
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from threading import Event as Signal
from threading import Thread

from edge_runtime.answers import Answer, Event, Summary
from edge_runtime.clock import clock_synchronised
from edge_runtime.commands import say, sayable
from edge_runtime.errors import TmgcError
from edge_runtime.outputs.history_file import open_history

BATCH_SECONDS = 8.0
"""From one commit to the next. With the commit itself less than the ten seconds that a power cut may cost."""

PRUNE_SECONDS = 86_400.0
"""From one pruning to the next."""

MOST_WAITING = 20_000
"""Rows that are kept for a file that cannot be written for a while: hours of them, in some megabytes."""

_INSERT = {
    "windows": f"INSERT INTO windows VALUES ({', '.join('?' * 14)})",
    "events": f"INSERT INTO events VALUES ({', '.join('?' * 6)})",
}


class History:
    """Keeps windows and events in a file.

    Parameters
    ----------
    path : Path
    model : str
        Name of the model file.
    genres : sequence of str
    hop_seconds : float > 0
        Seconds that a window stands for.
    keep_days : float > 0

    Raises
    ------
    TmgcError
        The file cannot be written, is no history, or one of another schema.
    """

    def __init__(
        self, path: Path, *, model: str, genres: tuple[str, ...], hop_seconds: float, keep_days: float = 90.0
    ) -> None:
        self._path, self._keep_days = path, keep_days
        self._about = (model, json.dumps(genres, ensure_ascii=False), hop_seconds, _boot_id())
        self._genres = genres
        self._sources: dict[str, int] = {}
        self._waiting: deque[tuple[str, str, tuple[object, ...]]] = deque()
        self._lost, self._failing = 0, False
        with closing(open_history(path)) as connection:
            try:
                _prune(connection, keep_days)
            except sqlite3.Error as error:
                raise TmgcError(
                    f"a history must be whole and have room to grow: {path} cannot be pruned ({error}). Make room, or "
                    "name another file"
                ) from error
        self._ended = Signal()
        self._thread = Thread(target=self._write_batches, name="history", daemon=True)
        self._thread.start()

    def window(self, answer: Answer) -> None:
        shares = [round(answer.probabilities[genre], 3) for genre in self._genres if answer.probabilities]
        self._keep(
            "windows",
            answer.source,
            answer.time,
            round(answer.start_seconds, 3),
            answer.genre,
            round(answer.confidence, 4),
            answer.smoothed_genre,
            round(answer.smoothed_confidence, 4),
            json.dumps(shares, separators=(",", ":")),
            round(answer.level_dbfs, 1),
            round(answer.spectrogram_ms + answer.model_ms, 1),
            round(answer.delay_ms, 1),
            answer.dropped_windows,
        )

    def event(self, event: Event) -> None:
        self._keep("events", event.source, event.time, event.event, sayable(event.reason))

    def summary(self, summary: Summary) -> None:
        """A summary follows from its windows and is not kept."""

    def close(self) -> None:
        """Write what waits, and say what could not be written."""
        self._ended.set()
        self._thread.join()
        if self._waiting or self._lost:
            say(f"warning: {self._path} lacks {len(self._waiting) + self._lost} rows that could not be written")

    def _keep(self, table: str, source: str, at: datetime, *values: object) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        times = (at.timestamp(), round(time.monotonic(), 3), clock_synchronised())
        self._waiting.append((table, sayable(source), (*times, *values)))

    def _write_batches(self) -> None:
        connection: sqlite3.Connection | None = None
        pruned = time.monotonic()
        ended = False
        while not ended:
            ended = self._ended.wait(BATCH_SECONDS)
            try:
                if connection is None or not self._path.exists():  # taken away: what comes goes to a new one
                    _close(connection)
                    connection, self._sources = open_history(self._path), {}
                self._write(connection)
                if time.monotonic() - pruned > PRUNE_SECONDS:
                    _prune(connection, self._keep_days)
                    pruned = time.monotonic()
                self._failing = False
            except (TmgcError, sqlite3.Error) as error:
                self._warn(error)
                _close(connection)
                connection = None
        _close(connection)

    def _warn(self, error: Exception) -> None:
        if not self._failing:
            say(f"warning: the history waits, since it cannot be written: {error}. Listening goes on")
        self._failing = True

    def _write(self, connection: sqlite3.Connection) -> None:
        """Commit all that waits; it is forgotten only once it is in the file."""
        count = len(self._waiting)
        if not count:
            return
        known = dict(self._sources)
        with connection:
            for table, source, values in [self._waiting[number] for number in range(count)]:
                if source not in known:
                    row = connection.execute("INSERT INTO sources VALUES (NULL, ?, ?, ?, ?, ?)", (source, *self._about))
                    known[source] = int(row.lastrowid or 0)
                connection.execute(_INSERT[table], (*values[:3], known[source], *values[3:]))
        self._sources = known
        for _ in range(count):
            self._waiting.popleft()


def _prune(connection: sqlite3.Connection, keep_days: float) -> None:
    """Take away what is too old, and give its room back; not by a clock that is known to be wrong."""
    if clock_synchronised() is False:
        return
    oldest = time.time() - keep_days * 86_400
    with connection:
        for table in ("windows", "events"):
            connection.execute(f"DELETE FROM {table} WHERE time < ?", (oldest,))
    connection.executescript("PRAGMA incremental_vacuum")  # execute would take a single page


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None

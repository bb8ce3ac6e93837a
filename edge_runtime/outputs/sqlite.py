"""The history: every prediction and event in a SQLite file, and never any audio.

A thread of its own writes, so that a slow memory card never delays a prediction, in batches that spare it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections import deque
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from threading import Event as Signal
from threading import Thread

from edge_runtime.errors import TmgcError
from edge_runtime.files import to_utf8
from edge_runtime.outputs import Output
from edge_runtime.predictions import Event, Prediction
from edge_runtime.system_info import clock_synchronised

SCHEMA = 1
"""Version of the tables, stored as ``user_version``."""

APPLICATION_ID = 0x746D6763
"""``tmgc`` in ASCII, stored as ``application_id``: distinguishes the file from databases of other programs."""

log = logging.getLogger("tmgc.outputs")

# In WAL mode with synchronous=NORMAL a commit reaches the card only at a checkpoint, minutes later: a power cut would
# lose it. FULL is one fsync a batch.
_CONFIGURE = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
"""

_TABLES = f"""
PRAGMA auto_vacuum = INCREMENTAL;
{_CONFIGURE}
BEGIN IMMEDIATE;
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    genres TEXT NOT NULL,     -- JSON array
    hop_s REAL NOT NULL,      -- seconds from one window to the next
    boot_id TEXT              -- monotonic times are comparable within one boot
);
CREATE TABLE windows (
    time REAL NOT NULL,       -- seconds since 1970, UTC
    monotonic REAL NOT NULL,  -- seconds of a clock that is never adjusted
    clock_synchronised INTEGER,  -- 1, 0, or NULL where unknown
    source INTEGER NOT NULL REFERENCES sources,
    start_s REAL NOT NULL,
    genre TEXT NOT NULL,
    confidence REAL NOT NULL,
    smoothed_genre TEXT NOT NULL,
    smoothed_confidence REAL NOT NULL,
    probabilities TEXT NOT NULL,  -- JSON array in the order of the source's genres; empty for silence
    level_dbfs REAL NOT NULL,
    latency_ms REAL NOT NULL,
    delay_ms REAL NOT NULL,
    dropped_windows INTEGER NOT NULL
);
CREATE INDEX windows_by_time ON windows (time);
CREATE TABLE events (
    time REAL NOT NULL,
    monotonic REAL NOT NULL,
    clock_synchronised INTEGER,
    source INTEGER NOT NULL REFERENCES sources,
    event TEXT NOT NULL,
    reason TEXT NOT NULL
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA};
COMMIT;
"""


def open_history(path: Path) -> sqlite3.Connection:
    """Connect for writing, and create the tables where the file is new.

    Raises
    ------
    TmgcError
        The file cannot be written, is not a history, or has another schema.
    """
    return _connect(path, "rwc", "written")


def read_history(path: Path) -> sqlite3.Connection:
    """Connect for reading, also while another process writes.

    Raises
    ------
    TmgcError
        The file does not exist, cannot be read, is not a history, or has another schema.
    """
    if not path.is_file():
        raise TmgcError(f"a history must exist: there is no file {path}. Record one: tmgc-listen --history {path}")
    return _connect(path, "ro", "read")


def _connect(path: Path, mode: str, verb: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=5.0)
        try:
            if mode == "rwc" and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                connection.executescript(_TABLES)
            _check(connection, path)
            if mode == "rwc":
                connection.executescript(_CONFIGURE)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise TmgcError(
            f"a history must be a SQLite file that can be {verb}: {path} cannot ({error}). Check its folder, its "
            "permissions and the free space, or name another file"
        ) from error
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise TmgcError(
            f"a history must be a file of tmgc-listen --history: {path} belongs to another program. Name another file"
        )
    if version != SCHEMA:
        raise TmgcError(f"a history must have schema {SCHEMA}: {path} has {version}. Update tmgc, or name another file")


BATCH_SECONDS = 8.0
"""From one commit to the next; with the commit itself less than the ten seconds that a power cut may cost."""

PRUNE_SECONDS = 86_400.0
"""From one pruning to the next."""

MAX_QUEUED_ROWS = 20_000
"""Rows that are queued while the file cannot be written: hours of them, in some megabytes."""

_INSERT = {
    "windows": f"INSERT INTO windows VALUES ({', '.join('?' * 14)})",
    "events": f"INSERT INTO events VALUES ({', '.join('?' * 6)})",
}


class History(Output):
    """Writes predictions and events to a SQLite file.

    Parameters
    ----------
    path : Path
    model : str
        Name of the model file.
    genres : tuple of str
    hop_seconds : float > 0
        From one window to the next.
    keep_days : float > 0
        Older rows are deleted, once at the start and then once a day.

    Raises
    ------
    TmgcError
        The file cannot be written, is not a history, or has another schema.
    """

    def __init__(
        self, path: Path, *, model: str, genres: tuple[str, ...], hop_seconds: float, keep_days: float = 90.0
    ) -> None:
        self._path, self._keep_days = path, keep_days
        self._source_row = (model, json.dumps(genres, ensure_ascii=False), hop_seconds, _boot_id())
        self._genres = genres
        self._source_ids: dict[str, int] = {}
        self._queue: deque[tuple[str, str, tuple[object, ...]]] = deque()
        self._discarded, self._failing = 0, False
        with closing(open_history(path)) as connection:
            try:
                _prune(connection, keep_days)
            except sqlite3.Error as error:
                raise TmgcError(
                    f"a history must be intact and have room to grow: {path} cannot be pruned ({error}). Make room, or "
                    "name another file"
                ) from error
        self._closing = Signal()
        self._thread = Thread(target=self._write_batches, name="history", daemon=True)
        self._thread.start()

    def window(self, prediction: Prediction) -> None:
        in_order = [round(prediction.probabilities[genre], 3) for genre in self._genres if prediction.probabilities]
        self._enqueue(
            "windows",
            prediction.source,
            prediction.time,
            round(prediction.start_seconds, 3),
            prediction.genre,
            round(prediction.confidence, 4),
            prediction.smoothed_genre,
            round(prediction.smoothed_confidence, 4),
            json.dumps(in_order, separators=(",", ":")),
            round(prediction.level_dbfs, 1),
            round(prediction.latency_ms, 1),
            round(prediction.delay_ms, 1),
            prediction.dropped_windows,
        )

    def event(self, event: Event) -> None:
        self._enqueue("events", event.source, event.time, event.event, to_utf8(event.reason))

    def close(self) -> None:
        """Write the queued rows, and warn of those that could not be written."""
        self._closing.set()
        self._thread.join()
        if self._queue or self._discarded:
            log.warning("%s lacks %d rows that could not be written", self._path, len(self._queue) + self._discarded)

    def _enqueue(self, table: str, source: str, at: datetime, *values: object) -> None:
        if len(self._queue) >= MAX_QUEUED_ROWS:
            self._discarded += 1
            return
        times = (at.timestamp(), round(time.monotonic(), 3), clock_synchronised())
        self._queue.append((table, to_utf8(source), (*times, *values)))

    def _write_batches(self) -> None:
        connection: sqlite3.Connection | None = None
        pruned = time.monotonic()
        is_last = False
        while not is_last:
            is_last = self._closing.wait(BATCH_SECONDS)
            try:
                if connection is None or not self._path.exists():  # deleted: the next rows go to a new file
                    _close(connection)
                    connection, self._source_ids = open_history(self._path), {}
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
            log.warning("the history cannot be written: %s. Listening goes on, and its rows are queued", error)
        self._failing = True

    def _write(self, connection: sqlite3.Connection) -> None:
        """Commit the queued rows; they leave the queue only once they are in the file."""
        count = len(self._queue)
        if not count:
            return
        ids = dict(self._source_ids)
        with connection:
            for table, source, values in [self._queue[number] for number in range(count)]:
                if source not in ids:
                    row = connection.execute(
                        "INSERT INTO sources VALUES (NULL, ?, ?, ?, ?, ?)", (source, *self._source_row)
                    )
                    ids[source] = int(row.lastrowid or 0)
                connection.execute(_INSERT[table], (*values[:3], ids[source], *values[3:]))
        self._source_ids = ids
        for _ in range(count):
            self._queue.popleft()


def _prune(connection: sqlite3.Connection, keep_days: float) -> None:
    """Delete rows that are too old, and free their space; not while the clock is known to be wrong."""
    if clock_synchronised() is False:
        return
    oldest = time.time() - keep_days * 86_400
    with connection:
        for table in ("windows", "events"):
            connection.execute(f"DELETE FROM {table} WHERE time < ?", (oldest,))
    connection.executescript("PRAGMA incremental_vacuum")  # execute would free a single page


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None

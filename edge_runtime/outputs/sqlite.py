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

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.files import to_utf8
from edge_runtime.predictions import Event, Prediction, Summary
from edge_runtime.system_info import clock_synchronised

SCHEMA = 1
"""Version of the tables, in ``user_version``."""

APPLICATION_ID = 0x746D6763
"""``tmgc`` in ASCII: tells the file from databases of other programs."""

# In WAL with synchronous=NORMAL a commit reaches the card only at a checkpoint, minutes later: a power cut would cost
# these. FULL is one fsync a batch.
_PREPARE = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
"""

_TABLES = f"""
PRAGMA auto_vacuum = INCREMENTAL;
{_PREPARE}
BEGIN IMMEDIATE;
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    genres TEXT NOT NULL,     -- JSON array
    hop_s REAL NOT NULL,      -- seconds that a window stands for
    boot_id TEXT              -- monotonic times of one boot can be compared
);
CREATE TABLE windows (
    time REAL NOT NULL,       -- seconds since 1970, UTC
    monotonic REAL NOT NULL,  -- seconds of a clock that is never set
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
    """A connection that writes; the tables are made where the file is new.

    Raises
    ------
    TmgcError
        The file cannot be written, is no history, or one of another schema.
    """
    return _opened(path, "rwc", "written")


def read_history(path: Path) -> sqlite3.Connection:
    """A connection that only reads, also while another process writes.

    Raises
    ------
    TmgcError
        There is no such file, it cannot be read, is no history, or one of another schema.
    """
    if not path.is_file():
        raise TmgcError(f"a history must exist: there is no file {path}. Make one: tmgc-listen --history {path}")
    return _opened(path, "ro", "read")


def _opened(path: Path, mode: str, verb: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=5.0)
        try:
            if mode == "rwc" and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                connection.executescript(_TABLES)
            _check(connection, path)
            if mode == "rwc":
                connection.executescript(_PREPARE)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise TmgcError(
            f"a history is a SQLite file that can be {verb}: {path} cannot ({error}). Check its folder, its "
            "permissions and the room that is left, or name another file"
        ) from error
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise TmgcError(f"a history is a file of tmgc-listen --history: {path} is another program's. Name another file")
    if version != SCHEMA:
        raise TmgcError(f"a history of schema {SCHEMA} is needed: {path} has {version}. Update tmgc, or name another")


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

    def window(self, prediction: Prediction) -> None:
        split_ratios = [round(prediction.probabilities[genre], 3) for genre in self._genres if prediction.probabilities]
        self._keep(
            "windows",
            prediction.source,
            prediction.time,
            round(prediction.start_seconds, 3),
            prediction.genre,
            round(prediction.confidence, 4),
            prediction.smoothed_genre,
            round(prediction.smoothed_confidence, 4),
            json.dumps(split_ratios, separators=(",", ":")),
            round(prediction.level_dbfs, 1),
            round(prediction.spectrogram_ms + prediction.model_ms, 1),
            round(prediction.delay_ms, 1),
            prediction.dropped_windows,
        )

    def event(self, event: Event) -> None:
        self._keep("events", event.source, event.time, event.event, to_utf8(event.reason))

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
        self._waiting.append((table, to_utf8(source), (*times, *values)))

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

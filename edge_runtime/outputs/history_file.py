"""The SQLite file that keeps what was heard: its tables, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge_runtime.errors import TmgcError

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

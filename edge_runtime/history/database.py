"""Opens the file of a history: for writing, where a damaged one is set aside, and for reading, wherever it lies."""

from __future__ import annotations

import logging
import shlex
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_runtime.errors import TmgcError
from edge_runtime.history.schema import APPLICATION_ID, MAX_ID, SCHEMA, TABLES, create_tables, has_expected_tables

log = logging.getLogger("tmgc.history")

READ_SECONDS = 300.0
"""A query that takes longer is ended: a history of 500 MB takes a Raspberry Pi some tens of seconds."""

BUSY_SECONDS = 5.0
"""How long another process may hold the file."""

WAL_PAGES = 256
"""The write-ahead log is copied into the database at a megabyte, and never stays larger."""

# In WAL mode with synchronous=NORMAL a commit reaches the card only at a checkpoint, minutes later: a power cut would
# lose it. FULL is one fsync a batch.
_CONFIGURE = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = {WAL_PAGES};
PRAGMA journal_size_limit = {WAL_PAGES * 4096};
"""

# What a foreign file defines must not run, and a damaged cell must be an error and no wrong row.
_CAREFUL = "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"

MAGIC = b"SQLite format 3\0"
"""How every database of SQLite begins."""

_WAL_MODE = b"\2\2"
_SUFFIXES = (".sqlite", ".sqlite3", ".db", ".db3", "")
_NEWEST_FORMAT = 2
# The last four are what else the damage of a page may look like, since every statement is tmgc's own.
_DAMAGED = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
)
_PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR)


class UnwritableNowError(TmgcError):
    """The file is a history, or may become one, but the disk is full or failing, or another process holds it."""


class _UnusableError(Exception):
    """A history that this version cannot continue, with the label of the name under which it is set aside."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(reason)
        self.label = label


SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What a statement raises; the second where SQLite's message quotes what it found in a damaged file."""


def is_damage(error: Exception) -> bool:
    """Whether the file itself is what SQLite cannot use."""
    return isinstance(error, UnicodeDecodeError) or primary_code(error) in _DAMAGED


def primary_code(error: Exception) -> int:
    """SQLite's primary result code; -1 for errors of Python's module."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def open_history(path: Path) -> sqlite3.Connection:
    """Connect for writing, and create the tables where the file is new.

    A damaged history, and one of another schema, is set aside under a dated name, and a new one is begun.

    Raises
    ------
    UnwritableNowError
        The disk is full or failing, or another process holds the file.
    TmgcError
        The file cannot be written, or is something else than a history.
    """
    path = path.resolve()
    try:
        return _open_for_writing(path)
    except _UnusableError as unusable:
        set_aside(path, str(unusable), label=unusable.label)
    try:
        return _open_for_writing(path)
    except _UnusableError as again:
        raise TmgcError(f"a history must be a file that can be written: {path} is {again}. Name another file") from None


def set_aside(path: Path, reason: str, *, label: str = "damaged") -> Path:
    """Rename a history, together with its write-ahead log, and say so.

    Parameters
    ----------
    path : Path
    reason : str
        What is wrong with it.
    label : str
        Part of the new name.

    Returns
    -------
    aside : Path
        ``FILE.<label>-<local time>``.

    Raises
    ------
    TmgcError
        The folder does not allow it.
    """
    name = f"{path.name}.{label}-{datetime.now():%Y-%m-%dT%H%M%S}"
    aside, number = path.with_name(name), 2
    while aside.exists():
        aside, number = path.with_name(f"{name}-{number}"), number + 1
    try:
        # The log goes first: beside a new file SQLite would delete it.
        for ending in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    except OSError as error:
        raise TmgcError(
            f"a history must be intact: {path} is {reason}, and cannot be renamed ({error.strerror}). Name another file"
        ) from error
    saved = f"; {_repair_hint(aside)}" if label == "damaged" else ""
    log.warning(
        "the history %s is %s: it is set aside as %s, and a new one is begun%s", path, reason, aside.name, saved
    )
    return aside


def _open_for_writing(path: Path) -> sqlite3.Connection:
    if path.exists() and not path.is_file():
        raise _cannot(path, "written", "it is no file")
    _refuse_what_is_no_database(path)
    connection = None
    try:
        connection = _connect(path, "mode=rwc")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (definitions,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not definitions and application in (0, APPLICATION_ID):
            create_tables(connection)
        _check(connection, path)
        connection.executescript(f"BEGIN IMMEDIATE; COMMIT; {_CONFIGURE}")
    except BaseException as error:
        close(connection)
        if not isinstance(error, SQLITE_ERRORS):
            raise
        if is_damage(error):
            if _application_id(path) not in (APPLICATION_ID, None):
                raise _of_another_program(path) from error
            raise _UnusableError("damaged", f"damaged ({error})") from error
        kind = UnwritableNowError if primary_code(error) in _PASSING else TmgcError
        raise _cannot(path, "written", str(error), kind) from error
    return connection


def _refuse_what_is_no_database(path: Path) -> None:
    """Another kind of file was named by mistake; a history whose beginning is lost is set aside."""
    try:
        with path.open("rb") as file:
            beginning = file.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot(path, "written", error.strerror or str(error)) from error
    if not beginning and _size(path.with_name(path.name + "-wal")):  # which SQLite would delete
        raise _UnusableError("damaged", "empty, and its write-ahead log is not")
    if not beginning or beginning.startswith(MAGIC):
        if max(beginning[18:20], default=0) > _NEWEST_FORMAT and beginning[68:72] == APPLICATION_ID.to_bytes(4, "big"):
            raise _UnusableError("damaged", "of a format that SQLite cannot write")
        return
    if any(beginning) and path.suffix.lower() not in _SUFFIXES:
        raise _cannot(path, "written", "it is another kind of file")
    raise _UnusableError("damaged", "not a database")


def _check(connection: sqlite3.Connection, path: Path, verb: str = "written") -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise _of_another_program(path)
    if version != SCHEMA:
        raise _UnusableError(f"schema-{version}", f"of schema {version} and not {SCHEMA}")
    if not has_expected_tables(connection):
        raise _UnusableError("damaged", "not as tmgc makes it: its tables were changed")
    if verb == "written":  # the pages that the next rows go to
        for table in TABLES:
            (last_id,) = connection.execute(f"SELECT ifnull(max(rowid), 0) FROM {table}").fetchone()
            if last_id > MAX_ID:  # there would be no room for further ones
                raise _UnusableError("damaged", f"damaged: {table} has a row {last_id}")


def _application_id(path: Path) -> int | None:
    """As the file's header has it; None where there is no such header."""
    with suppress(OSError), path.open("rb") as file:
        header = file.read(100)
        if header.startswith(MAGIC) and len(header) == 100:
            return int.from_bytes(header[68:72], "big")
    return None


def read_history(path: Path, *, ended: Callable[[], bool] = lambda: False) -> sqlite3.Connection:
    """Connect for reading: also while another process writes, from a read-only file system, and without the ``-wal``.

    Parameters
    ----------
    path : Path
    ended : callable
        Whether nobody waits for what is read any more: asked while a statement runs, which then ends.

    Raises
    ------
    TmgcError
        The file does not exist, cannot be read, is damaged, is not a history, or has another schema.
    """
    if not path.is_file():
        raise TmgcError(f"a history must exist: there is no file {path}. Record one: tmgc-listen --history {path}")
    path = path.resolve()
    repair = _repair_hint(path)
    if not _size(path):
        raise TmgcError(f"a history must have rows: {path} is empty. If there is a {path.name}-wal, {repair}")
    connection = None
    try:
        connection = _open_for_reading(path)
        _check(connection, path, "read")
    except SQLITE_ERRORS as error:
        close(connection)
        raise reading_failed(path, error) from error
    except _UnusableError as unusable:
        close(connection)
        next_step = repair if unusable.label == "damaged" else "Read it with the version of tmgc that wrote it"
        raise TmgcError(
            f"a history must have the tables of schema {SCHEMA}: {path} is {unusable}. {next_step}"
        ) from None
    except BaseException:
        close(connection)
        raise
    _limit_time(connection, ended)
    return connection


def reading_failed(path: Path, error: Exception) -> TmgcError:
    """The refusal of a history that SQLite cannot read to its end."""
    repair = _repair_hint(path)
    if primary_code(error) == sqlite3.SQLITE_NOTADB:
        return TmgcError(
            f"a history must be a SQLite file that can be read: {path} cannot ({error}). If it was, {repair}"
        )
    if is_damage(error):
        return TmgcError(f"a history must be intact: {path} is damaged ({error}). {repair}")
    if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
        return TmgcError(
            f"a history must be read in {READ_SECONDS:g} s: {path} took longer. Name a shorter time: --since, --until"
        )
    return _cannot(path, "read", str(error))


def _open_for_reading(path: Path) -> sqlite3.Connection:
    if not any(_size(path.with_name(path.name + ending)) for ending in ("-wal", "-journal")):
        # Otherwise SQLite would create a log and shared memory beside it, and needs a folder that it may write to.
        return _first_read(_connect(path, "mode=ro&immutable=1"))
    try:
        return _first_read(_connect(path, "mode=ro"))
    except sqlite3.OperationalError as error:
        if primary_code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    return _open_copy(path)


def _open_copy(path: Path) -> sqlite3.Connection:
    """A copy, for a log that can only be read in a folder that can be written; it is deleted when it is open."""
    try:
        with TemporaryDirectory(prefix="tmgc-history-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder) / "history.sqlite"
            for ending in ("", "-wal", "-journal"):
                with suppress(FileNotFoundError):
                    shutil.copyfile(path.with_name(path.name + ending), copy.with_name(copy.name + ending))
            return _first_read(_connect(copy, "mode=rw"))
    except OSError as error:
        raise _cannot(path, "read", f"its copy in the temporary folder fails: {error.strerror}") from error


def _first_read(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except SQLITE_ERRORS:
        connection.close()
        raise
    return connection


def lacks_its_log(path: Path) -> bool:
    """Whether this is a copy, without the ``-wal``, of a history that was open for writing: its end may be missing."""
    with path.open("rb") as file:
        in_wal_mode = file.read(20)[18:20] == _WAL_MODE
    return in_wal_mode and not path.with_name(path.name + "-wal").exists()


def close_after_writing(connection: sqlite3.Connection | None) -> None:
    """Close and leave a single file, which is marked as complete: not in WAL mode."""
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.executescript("PRAGMA busy_timeout = 200; PRAGMA journal_mode = DELETE")
    close(connection)


def close(connection: sqlite3.Connection | None) -> None:
    """Close, whatever the state of the file."""
    if connection is not None:
        with suppress(sqlite3.Error):
            connection.close()


def _connect(path: Path, parameters: str) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?{parameters}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    connection.text_factory = lambda content: content.decode("utf-8", "replace")
    with closing(connection.cursor()) as cursor:
        cursor.executescript(_CAREFUL)
    return connection


def _size(path: Path) -> int:
    """Of a file, bytes; 0 where there is none."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _repair_hint(path: Path) -> str:
    return f"tmgc-listen history {shlex.quote(str(path))} --repair saves what is whole"


def _limit_time(connection: sqlite3.Connection, ended: Callable[[], bool]) -> None:
    end = time.monotonic() + READ_SECONDS
    connection.set_progress_handler(lambda: ended() or time.monotonic() > end, 1_000_000)


def _of_another_program(path: Path) -> TmgcError:
    return TmgcError(
        f"a history must be a file of tmgc-listen --history: {path} belongs to another program. Name another file"
    )


def _cannot(path: Path, verb: str, why: str, kind: type[TmgcError] = TmgcError) -> TmgcError:
    return kind(
        f"a history must be a SQLite file that can be {verb}: {path} cannot ({why}). Check its folder, its permissions "
        "and the free space, or name another file"
    )

"""The history as an output: a thread writes it, so that a slow memory card never delays a prediction.

It writes in batches that spare the card. Whatever happens to the file, listening goes on.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from collections import deque
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from threading import Event as Signal
from threading import Thread

from edge_runtime.files import to_utf8
from edge_runtime.history.database import (
    SQLITE_ERRORS,
    UnwritableNowError,
    close,
    close_after_writing,
    is_damage,
    open_history,
    primary_code,
    set_aside,
)
from edge_runtime.history.recorder import Recorder, SourceDescription
from edge_runtime.history.retention import Retention, prune, size_mb
from edge_runtime.history.schema import Codes, EventRow, WindowRow, pack_measured
from edge_runtime.outputs import Output
from edge_runtime.predictions import Event, Prediction
from edge_runtime.system_info import boot_id, clock_synchronised, seconds_since_boot

log = logging.getLogger("tmgc.outputs")

BATCH_SECONDS = 8.0
"""From one commit to the next; with the commit itself less than the ten seconds that a power cut may cost."""

PRUNE_SECONDS = 600.0
"""From one pruning to the next; one that is not finished goes on with the next batch."""

MAX_QUEUED_ROWS = 20_000
"""Rows that are queued while the file cannot be written: hours of them, in some megabytes."""

MAX_ROWS = 2000
"""Rows of one transaction; fewer where the disk is almost full, so that what fits is kept."""

FEW_ROWS = 200
"""Rows that are pruned at a time on a disk that is too full to prune more."""


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
    keep_days, keep_mb : float > 0
        Age and size, in MB (1e6 bytes), from which the oldest rows are deleted.

    Raises
    ------
    TmgcError
        The file cannot be written, or is something else than a history.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: str,
        genres: tuple[str, ...],
        hop_seconds: float,
        keep_days: float = 90.0,
        keep_mb: float = 500.0,
    ) -> None:
        self._path, self._retention = path, Retention(keep_days, keep_mb)
        self._codes = Codes(genres)
        self._description = SourceDescription(
            model=to_utf8(model),
            names=self._codes.names,
            hop_seconds=hop_seconds,
            boot_id=boot_id() or str(uuid.uuid4()),
        )
        self._queue: deque[WindowRow | EventRow] = deque()
        self._discarded, self._failing = 0, False
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._next_prune = 0.0
        self._begin()
        self._closing = Signal()
        self._thread = Thread(target=self._write_batches, name="history", daemon=True)
        self._thread.start()

    def window(self, prediction: Prediction) -> None:
        moment = _moment(prediction.source, prediction.time)
        start_ms = round(prediction.start_seconds * 1000)
        self._enqueue(WindowRow(*moment, start_ms, self._codes.answer(prediction), pack_measured(prediction)))

    def event(self, event: Event) -> None:
        self._enqueue(EventRow(*_moment(event.source, event.time), event.event, to_utf8(event.reason)))

    def close(self) -> None:
        """Write the queued rows, and warn of those that could not be written."""
        self._closing.set()
        self._thread.join()
        if self._queue or self._discarded:
            log.warning("%s lacks %d rows that could not be written", self._path, len(self._queue) + self._discarded)

    def _begin(self) -> None:
        """Refuse what is no history, set aside what is damaged, and say what is kept."""
        kept = f"{self._retention.days:g} days and {self._retention.megabytes:g} MB"
        if clock_synchronised() is False:
            kept += "; until the clock is synchronised, days are those of recording"
        try:
            connection = open_history(self._path)
        except UnwritableNowError as error:
            self._warn(error)
            return
        try:
            log.info("the history %s has %.1f MB; it keeps at most %s", self._path, size_mb(connection), kept)
        finally:
            close_after_writing(connection)

    def _enqueue(self, row: WindowRow | EventRow) -> None:
        if len(self._queue) >= MAX_QUEUED_ROWS:
            self._discarded += 1
        else:
            self._queue.append(row)

    def _write_batches(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._closing.wait(BATCH_SECONDS)
            try:
                self._write_batch()
                self._failing = False
            except Exception as error:  # whatever it is, an ended thread would lose rows without a word
                self._warn(error)
                self._disconnect()
        close_after_writing(self._connection)

    def _write_batch(self) -> None:
        try:
            self._try_batch()
        except SQLITE_ERRORS as error:
            if not is_damage(error):
                raise
            self._disconnect()
            set_aside(self._path.resolve(), f"damaged ({error})")
            self._try_batch()

    def _try_batch(self) -> None:
        if self._connection is None or self._identity != _identity(self._path):  # or another file has its name by now
            self._disconnect()
            with suppress(OSError):
                self._path.touch()  # a file that replaces it from now on has another identity
            self._identity = _identity(self._path)
            self._connection = open_history(self._path)
            self._recorder = Recorder(self._connection, self._description)
        self._prune(self._connection)  # first: it may meet damage, and makes room
        self._write(self._recorder)

    def _disconnect(self) -> None:
        close(self._connection)
        self._connection = None

    def _warn(self, error: Exception) -> None:
        if not self._failing:
            log.warning("the history cannot be written: %s. Listening goes on, and its rows are queued", error)
        self._failing = True

    def _write(self, recorder: Recorder) -> None:
        """Commit the queued rows; they leave the queue only once they are in the file."""
        most = MAX_ROWS
        while rows := list(islice(self._queue, most)):
            try:
                recorder.write(rows)
            except sqlite3.Error as error:
                if primary_code(error) != sqlite3.SQLITE_FULL or len(rows) == 1:
                    raise
                recorder.shrink_log()
                most = len(rows) // 2
            else:
                for _ in rows:
                    self._queue.popleft()

    def _prune(self, connection: sqlite3.Connection) -> None:
        if time.monotonic() < self._next_prune:
            return
        now_ms = None if clock_synchronised() is False else round(time.time() * 1000)
        try:
            unfinished = prune(connection, self._retention, now_ms=now_ms)
        except sqlite3.Error as error:
            if primary_code(error) != sqlite3.SQLITE_FULL:
                raise
            unfinished = prune(connection, self._retention, now_ms=now_ms, step_rows=FEW_ROWS)
        if not unfinished:
            self._next_prune = time.monotonic() + PRUNE_SECONDS


def _moment(source: str, at: datetime) -> tuple[str, int, int, int | None]:
    clock = clock_synchronised()
    boot_ms = round(seconds_since_boot() * 1000)
    return to_utf8(source), round(at.timestamp() * 1000), boot_ms, None if clock is None else int(clock)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

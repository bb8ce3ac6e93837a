"""What the history of the listener holds, for HTTP clients: read in a thread, since a memory card is slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime, time
from pathlib import Path
from sqlite3 import Connection, ProgrammingError
from typing import Any, TypeVar

from edge_runtime.errors import TmgcError
from edge_runtime.history.database import SQLITE_ERRORS, read_history, reading_failed
from edge_runtime.history.report import HourlyTotal, hourly_totals
from edge_runtime.history.rows import MAX_ROWS, StoredEvent, StoredWindow, stored_events, stored_windows
from edge_runtime.outputs.json_lines import event_json, iso8601
from edge_runtime.predictions import Event
from edge_runtime.server.refusals import RefusedError

BUCKETS = ("hour", "day", "window")
"""What ``/v1/history`` sums up: windows of an hour, of a day, or each by itself."""

MAX_WAITING = 8
"""Readings that wait while another is under way: each may take a memory card a minute, whoever still waits for it."""

Answer = TypeVar("Answer")


class Past:
    """Reads the history.

    Parameters
    ----------
    path : Path or None
        None where none is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="past")
        self._readings: set[Future[Any]] = set()
        self._connection: Connection | None = None
        self._closed = False

    def close(self) -> None:
        """End the thread, and what it reads: the end of the process waits for it."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        if connection := self._connection:
            with suppress(ProgrammingError):  # it was closed meanwhile
                connection.interrupt()

    async def rows(self, bucket: str, since: datetime | None, until: datetime | None) -> list[dict[str, Any]]:
        """Rows of ``/v1/history``.

        Parameters
        ----------
        bucket : str
            One of :data:`BUCKETS`.
        since, until : datetime or None
            With an offset from UTC; ``until`` itself is excluded.

        Raises
        ------
        RefusedError
            No history is kept, it cannot be read, or too many wait for it.
        """
        if bucket == "window":
            windows = await self._read(lambda connection: stored_windows(connection, since=since, until=until))
            return [window_fields(window) for window in windows]
        totals = await self._read(lambda connection: hourly_totals(connection, since=since, until=until))
        return list(_summed(totals, bucket))

    async def events(self, since: datetime | None, until: datetime | None) -> list[dict[str, Any]]:
        """Events as ``--json`` prints them."""
        events = await self._read(lambda connection: stored_events(connection, since=since, until=until))
        return [_event_fields(event) for event in events]

    async def between(self, since: datetime, until: datetime) -> dict[str, Any]:
        """Windows and events, for a stream that was interrupted."""
        windows = await self.rows("window", since, until)
        return {"windows": windows, "events": await self.events(since, until), "truncated": len(windows) >= MAX_ROWS}

    async def _read(self, read: Callable[[Connection], Answer]) -> Answer:
        path = self.path
        if path is None:
            raise RefusedError(
                404,
                "the past is kept with --history",
                "this listener keeps none",
                "start it with --history FILE.sqlite",
            )

        if len(self._readings) > MAX_WAITING:
            raise RefusedError(
                429,
                f"at most {MAX_WAITING} requests wait for the history",
                "as many do",
                "try again later",
                {"Retry-After": "10"},
            )
        reading = self._thread.submit(self._work, path, read)
        self._readings.add(reading)
        reading.add_done_callback(self._readings.discard)
        try:
            return await asyncio.wrap_future(reading)
        except TmgcError as error:
            raise RefusedError(
                503, "the history must be readable", str(error).replace(str(path), path.name), "try again later"
            ) from error

    def _work(self, path: Path, read: Callable[[Connection], Answer]) -> Answer:
        """Read in the thread."""
        with closing(read_history(path, ended=lambda: self._closed)) as connection:
            self._connection = connection
            try:
                if self._closed:
                    raise TmgcError(f"a history is read as long as the server runs: {path} is not read any more")
                return read(connection)
            except SQLITE_ERRORS as error:
                raise reading_failed(path, error) from error
            finally:
                self._connection = None


def window_fields(window: StoredWindow) -> dict[str, Any]:
    """A window of the history as JSON."""
    return {
        "time": iso8601(window.time),
        "genre": str(window.genre),
        "confidence": window.confidence,
        "smoothed": {"genre": str(window.smoothed_genre), "confidence": window.smoothed_confidence},
        "level_dbfs": window.level_dbfs,
        "source": window.source,
    }


def _event_fields(event: StoredEvent) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(event_json(Event(event.time, event.source, event.event, event.reason)))
    return fields


def _summed(totals: Iterable[HourlyTotal], bucket: str) -> Iterable[dict[str, Any]]:
    sums: dict[tuple[datetime, str], tuple[float, int, float]] = {}
    for total in totals:
        # by its date: the offset from UTC of its hours may change in the course of a day
        start = datetime.combine(total.hour, time()).astimezone() if bucket == "day" else total.hour
        seconds, windows, confidence = sums.get((start, total.genre), (0.0, 0, 0.0))
        windows_after = windows + total.windows
        mean = (confidence * windows + total.confidence * total.windows) / windows_after
        sums[start, total.genre] = seconds + total.seconds, windows_after, mean
    for (start, genre), (seconds, windows, confidence) in sorted(sums.items(), key=lambda item: item[0][0]):
        yield {
            "start": start.isoformat(timespec="minutes"),
            "genre": genre,
            "seconds": round(seconds, 1),
            "windows": windows,
            "confidence": round(confidence, 4),
        }

"""What the history of the listener holds, for HTTP clients: read in a thread, since a memory card is slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
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

    def close(self) -> None:
        """End the thread after its present work."""
        self._thread.shutdown(wait=False, cancel_futures=True)

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
            No history is kept, or it cannot be read.
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

    async def _read(self, read: Callable[[Any], Answer]) -> Answer:
        path = self.path
        if path is None:
            raise RefusedError(
                404,
                "the past is kept with --history",
                "this listener keeps none",
                "start it with --history FILE.sqlite",
            )

        def work() -> Answer:
            with closing(read_history(path)) as connection:
                try:
                    return read(connection)
                except SQLITE_ERRORS as error:
                    raise reading_failed(path, error) from error

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TmgcError as error:
            raise RefusedError(
                503, "the history must be readable", str(error).replace(str(path), path.name), "try again later"
            ) from error


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
        start = total.hour.replace(hour=0) if bucket == "day" else total.hour
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

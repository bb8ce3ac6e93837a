"""Histories that the tests write: by the recorder, at any time of any clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_runtime.history.database import close_after_writing, open_history, read_history
from edge_runtime.history.recorder import Recorder, SourceDescription
from edge_runtime.history.schema import Codes, EventRow, WindowRow, pack_measured
from tests.edge_runtime.factories import GENRES, make_prediction

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def window_row(
    genre: str = "Halk",
    *,
    at: datetime = NOON,
    start: float = 0.0,
    boot: float = 0.0,
    clock: int | None = 1,
    **other: Any,
) -> WindowRow:
    """A window of 0.8 confidence, ``boot`` seconds after the machine was started."""
    genres = other.pop("genres", GENRES)
    prediction = make_prediction(genre if genre in GENRES else "Halk")
    if genre not in GENRES:
        probabilities = {} if genre == "silence" else {name: 0.8 if name == genre else 0.1 for name in genres}
        prediction = replace(prediction, genre=genre, smoothed_genre=genre, probabilities=probabilities)
    times = round(at.timestamp() * 1000), round(boot * 1000), clock, round(start * 1000)
    return WindowRow("microphone", *times, Codes(genres).answer(prediction), pack_measured(prediction))


def event_row(*, at: datetime = NOON, boot: float = 0.0, clock: int | None = 1, reason: str = "it is gone") -> EventRow:
    """A lost device."""
    return EventRow("microphone", round(at.timestamp() * 1000), round(boot * 1000), clock, "device lost", reason)


def evening(minutes: float, *, at: datetime = NOON, boot: float = 0.0, clock: int | None = 1) -> list[WindowRow]:
    """A window each second of a live source; the genre changes every minute."""
    first = [window_row(genre, at=at, boot=boot, clock=clock) for genre in GENRES]
    later = [(first[number // 60 % 3], 1000 * number) for number in range(round(minutes * 60))]
    return [
        replace(row, time_ms=row.time_ms + ms, boot_ms=row.boot_ms + ms, start_ms=row.start_ms + ms)
        for row, ms in later
    ]


def write(path: Path, rows: Iterable[WindowRow | EventRow], *, boot_id: str = "boot", **description: Any) -> None:
    """Write rows as one process does that is started and ended."""
    connection = open_history(path)
    genres = description.pop("genres", GENRES)
    described = {"model": "m", "names": Codes(genres).names, "hop_seconds": 1.0, "boot_id": boot_id, **description}
    Recorder(connection, SourceDescription(**described)).write(list(rows))
    close_after_writing(connection)


def query(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a history answers."""
    with closing(read_history(path)) as connection:
        return connection.execute(sql).fetchall()


def change(path: Path, script: str) -> None:
    """Edit the file as another program might."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def overwrite(path: Path, page: int, content: bytes = bytes(4096)) -> None:
    """Damage a page, counted from 1."""
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(content)


def leaf_pages(path: Path, table: str) -> list[int]:
    """Numbers of the pages that hold rows of a table, in their order."""
    content = path.read_bytes()
    root = int(query(path, f"SELECT rootpage FROM sqlite_master WHERE name = '{table}'")[0][0])

    def leaves(number: int) -> list[int]:
        page = content[(number - 1) * 4096 : number * 4096]
        if page[0] == 0x0D:
            return [number]
        cells = [int.from_bytes(page[12 + 2 * n : 14 + 2 * n], "big") for n in range(int.from_bytes(page[3:5], "big"))]
        children = [int.from_bytes(page[cell : cell + 4], "big") for cell in cells]
        return [leaf for child in (*children, int.from_bytes(page[8:12], "big")) for leaf in leaves(child)]

    return leaves(root)

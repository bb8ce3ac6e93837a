"""Saves the rows of a damaged history page by page, as the ``.recover`` of the sqlite3 shell does.

SQLite follows pointers from page to page, and loses everything behind a damaged one. Here every page is looked at by
itself: the rows of a table lie on its leaf pages (https://www.sqlite.org/fileformat2.html), and the number and types of
their values tell to which table they belong.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.history.database import MAGIC, open_history
from edge_runtime.history.schema import APPLICATION_ID, PAGE_BYTES, SCHEMA

Value = int | float | str | None
Record = tuple[Value, ...]

_WHOLE, _OPTIONAL, _TEXT, _NUMBER = (int,), (int, type(None)), (str,), (float, int)
_SHAPES: dict[str, tuple[tuple[type, ...], ...]] = {
    "window_rows": (_WHOLE, _OPTIONAL, _WHOLE),
    "segments": (_WHOLE, _WHOLE, _WHOLE, _WHOLE, _OPTIONAL, _WHOLE, _WHOLE),
    "event_rows": (_WHOLE, _WHOLE, _WHOLE, _WHOLE, _OPTIONAL, _TEXT, _TEXT),
    "sources": (_WHOLE, _TEXT, _TEXT, _TEXT, _NUMBER, _TEXT),
    "sqlite_schema": (_TEXT, _TEXT, _TEXT, _WHOLE, _TEXT),
}
"""Types of the values of each table; the copies hold rows of the same."""

_DEFINITIONS = "sqlite_schema"
_LEAF, _INNER_PAGES = 0x0D, (0x02, 0x05, 0x0A)
_FREE, _OVERFLOW = 2, (3, 4)
_PAGES_A_MAP = PAGE_BYTES // 5 + 1  # a page of the pointer map and the pages that it describes
_MAX_ROW_BYTES = 1_000_000


@dataclass(frozen=True)
class Repair:
    """What was saved."""

    windows: int
    events: int
    pages: int
    """Of the damaged file."""
    damaged_pages: int
    """Pages that could not be read, or only in part."""
    without_segment: int
    """Windows that were left out, because nothing is left of their times."""
    unknown_sources: int
    """Sources of which neither name nor genres are left."""


class _DamageError(Exception):
    """A cell does not have the form of a row."""


def repair(path: Path, repaired: Path) -> Repair:
    """Write the rows of undamaged pages to a new history; the damaged file and its ``-wal`` are only read.

    Parameters
    ----------
    path : Path
    repaired : Path
        Must not exist.

    Raises
    ------
    TmgcError
        There is no row to save, the file is of another program or schema, or the new one cannot be written.
    """
    if repaired.exists():
        raise TmgcError(f"a repaired history is a new file: {repaired} exists. Name another one with --output")
    with path.open("rb") as file:
        _refuse_foreign(file.read(100), path)
        pages = _Pages(file, path)
        with atomic_write(repaired) as partial, closing(open_history(partial)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # of a new file it stays small
            result = _save(pages, connection)
            if not result.windows + result.events:
                raise TmgcError(
                    f"a history to be repaired has a page that is whole: {path} has none, of {result.pages}"
                )
    return result


def _refuse_foreign(header: bytes, path: Path) -> None:
    application, version = int.from_bytes(header[68:72], "big"), int.from_bytes(header[60:64], "big")
    if header.startswith(MAGIC) and (application, version) != (APPLICATION_ID, SCHEMA):
        raise TmgcError(
            f"a history of schema {SCHEMA} can be repaired: {path} is of another schema or program. Name another file"
        )


def _save(pages: _Pages, connection: sqlite3.Connection) -> Repair:
    damaged = 0
    connection.execute("BEGIN")
    for number in range(1, len(pages) + 1):
        rows, is_whole = pages.rows(number)
        damaged += not is_whole
        for table, records in rows.items():
            marks = ", ".join("?" * len(records[0]))
            connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", records)
    unknown = _complete_sources(connection)
    without_segment = connection.execute(
        "DELETE FROM window_rows WHERE id < (SELECT ifnull(min(first_id), 9e18) FROM segments)"
    ).rowcount
    for table in ("sources", "segments"):
        connection.execute(f"INSERT INTO {table}_copy SELECT * FROM {table}")
    connection.execute("COMMIT")
    windows, events = (_count(connection, table) for table in ("window_rows", "event_rows"))
    return Repair(windows, events, len(pages), damaged, without_segment, unknown)


def _complete_sources(connection: sqlite3.Connection) -> int:
    """Add sources of which only rows are left, with the genres of another source if there is one."""
    other = connection.execute("SELECT genres, hop_s FROM sources ORDER BY id DESC LIMIT 1").fetchone()
    genres, hop = other or (json.dumps(["silence", "unknown", *(f"genre {n}" for n in range(1, 255))]), 1.0)
    added = connection.execute(
        "INSERT INTO sources SELECT source, 'lost source ' || source, 'lost', ?, ?, 'lost ' || source "
        "FROM (SELECT source FROM segments UNION SELECT source FROM event_rows) "
        "WHERE source NOT IN (SELECT id FROM sources)",
        (genres, hop),
    )
    return added.rowcount


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class _Pages:
    """The pages of a database, with those that its write-ahead log has newer."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._count = _page_count(file, path.stat().st_size)
        self._newer: dict[int, int] = {}
        self._log: Path = path.with_name(path.name + "-wal")
        if self._log.is_file():
            self._index_log()

    def __len__(self) -> int:
        return self._count

    def rows(self, number: int) -> tuple[dict[str, list[Record]], bool]:
        """The rows of a page by table, and whether the page is whole; none where it holds something else than rows."""
        rows: dict[str, list[Record]] = {}
        if number == 1:
            return rows, self._read(1).startswith(MAGIC)
        is_other = _is_map(number) or self._use(number) in (_FREE, *_OVERFLOW)
        if is_other or (page := self._read(number))[0] in _INNER_PAGES:
            return rows, True
        if page[0] != _LEAF:
            return rows, False
        is_whole = True
        for position in range(8, 8 + 2 * int.from_bytes(page[3:5], "big"), 2):
            try:
                values = self._row(page, int.from_bytes(page[position : position + 2], "big"))
                table = next(table for table, shape in _SHAPES.items() if _has_shape(values, shape))
            except (_DamageError, IndexError, ValueError, struct.error, StopIteration):
                is_whole = False
            else:
                rows.setdefault(table, []).append(values)
        rows.pop(_DEFINITIONS, None)
        return rows, is_whole

    def _row(self, page: bytes, offset: int) -> Record:
        size, offset = _varint(page, offset)
        row_id, offset = _varint(page, offset)
        if not 0 < size <= _MAX_ROW_BYTES:
            raise _DamageError
        first, *others = _values(self._payload(page, offset, size))
        return row_id if first is None else first, *others

    def _payload(self, page: bytes, offset: int, size: int) -> bytes:
        """The bytes of a row, with those on overflow pages."""
        most, least = PAGE_BYTES - 35, (PAGE_BYTES - 12) * 32 // 255 - 23
        if size <= most:
            return page[offset : offset + size]
        here = least + (size - least) % (PAGE_BYTES - 4)
        here = here if here <= most else least
        parts, rest = [page[offset : offset + here]], size - here
        number = int.from_bytes(page[offset + here : offset + here + 4], "big")
        while rest > 0:
            if not 0 < number <= self._count:
                raise _DamageError
            further = self._read(number)
            parts.append(further[4 : 4 + rest])
            rest -= PAGE_BYTES - 4
            number = int.from_bytes(further[:4], "big")
        return b"".join(parts)

    def _use(self, number: int) -> int:
        """What the pointer map says of a page."""
        in_map = (number - 2) % _PAGES_A_MAP
        if number == 1 or in_map == 0:
            return 0
        return self._read(number - in_map)[5 * (in_map - 1)]

    def _read(self, number: int) -> bytes:
        if number in self._newer:
            with self._log.open("rb") as log:
                log.seek(self._newer[number])
                return log.read(PAGE_BYTES).ljust(PAGE_BYTES, b"\0")
        self._file.seek((number - 1) * PAGE_BYTES)
        return self._file.read(PAGE_BYTES).ljust(PAGE_BYTES, b"\0")

    def _index_log(self) -> None:
        """Remember where the last version of each page lies, up to the last commit."""
        with self._log.open("rb") as log:
            salts, offset = log.read(32)[16:24], 32
            pending: dict[int, int] = {}
            while len(frame := log.read(24)) == 24 and frame[8:16] == salts:
                pending[int.from_bytes(frame[:4], "big")] = offset + 24
                if pages := int.from_bytes(frame[4:8], "big"):
                    self._newer.update(pending)
                    self._count, pending = pages, {}
                offset += 24 + PAGE_BYTES
                log.seek(offset)


def _has_shape(values: Record, shape: tuple[tuple[type, ...], ...]) -> bool:
    return len(values) == len(shape) and all(map(isinstance, values, shape))


def _is_map(number: int) -> bool:
    return number >= 2 and (number - 2) % _PAGES_A_MAP == 0


def _page_count(file: BinaryIO, size: int) -> int:
    """Of the file, or what its header says where that is plausible: the end may be cut off."""
    file.seek(28)
    count = -(-size // PAGE_BYTES)
    in_header = int.from_bytes(file.read(4), "big")
    return in_header if count < in_header < 10 * count + 1000 else count


def _varint(content: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for position in range(offset, offset + 8):
        value = value << 7 | content[position] & 0x7F
        if content[position] < 0x80:
            return value, position + 1
    return _signed(value << 8 | content[offset + 8]), offset + 9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _values(payload: bytes) -> list[Value]:
    """The values of a record."""
    header_size, offset = _varint(payload, 0)
    types = []
    while offset < header_size:
        kind, offset = _varint(payload, offset)
        types.append(kind)
    values: list[Value] = []
    for kind in types:
        value, offset = _value(payload, offset, kind)
        values.append(value)
    if offset != len(payload):
        raise _DamageError
    return values


def _value(payload: bytes, offset: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, offset
    if kind in (8, 9):
        return kind - 8, offset
    if kind == 7:
        return float(struct.unpack(">d", payload[offset : offset + 8])[0]), offset + 8
    if kind in _INTEGER_BYTES:
        end = offset + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[offset:end], "big", signed=True), end
    if kind >= 13 and kind % 2:
        end = offset + (kind - 13) // 2
        return payload[offset:end].decode("utf-8"), end
    raise _DamageError

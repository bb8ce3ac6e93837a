"""Tables of the history, and how a prediction is packed into them: 21 bytes a window.

A window's time and position are not stored with it. A segment holds those of its first window; ids count milliseconds
of sound, so that the id of every other window gives both. A new segment begins where this would be wrong by a second.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edge_runtime.errors import TmgcError
from edge_runtime.predictions import SILENCE, UNKNOWN, Prediction

SCHEMA = 2
"""Version of the tables, stored as ``user_version``."""

APPLICATION_ID = 0x746D6763
"""``tmgc`` in ASCII, stored as ``application_id``: distinguishes the file from databases of other programs."""

PAGE_BYTES = 4096

MAX_ID = 1 << 53
"""Highest id of a row that is no damage: 285,000 years of sound."""

NOT_SYNCHRONISED = 0
"""``clock_synchronised`` of rows whose time may be wrong; NULL where the system does not tell."""
SYNCHRONISED = 1
PUT_RIGHT = 2
"""The clock was wrong when the row was written, and its time was put right after the synchronisation."""

_SOURCES = """CREATE TABLE {} (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    model TEXT NOT NULL,
    genres TEXT NOT NULL,  -- JSON array: what codes mean: silence, unknown, then the genres of the model
    hop_s REAL NOT NULL,   -- seconds from one window to the next
    boot_id TEXT NOT NULL  -- times since boot are comparable within one
) STRICT"""

_SEGMENTS = """CREATE TABLE {} (
    first_id INTEGER PRIMARY KEY,  -- of its first window
    source INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,      -- of its first window, since 1970, UTC
    boot_ms INTEGER NOT NULL,      -- the same since boot, by a clock that is never adjusted
    clock_synchronised INTEGER,    -- 0 no, 1 yes, 2 put right afterwards, NULL unknown
    start_ms INTEGER NOT NULL,     -- of its first window, from the beginning of the source
    live INTEGER NOT NULL          -- 1: time runs with the sound; 0: all of it was read within a second
) STRICT"""

TABLES = {
    "sources": _SOURCES.format("sources"),
    "segments": _SEGMENTS.format("segments"),
    "sources_copy": _SOURCES.format("sources_copy"),
    "segments_copy": _SEGMENTS.format("segments_copy"),
    "window_rows": """CREATE TABLE window_rows (
    id INTEGER PRIMARY KEY,    -- milliseconds of sound before it; belongs to the last segment that begins at or before
    answer INTEGER,            -- genres and confidences; NULL for silence
    measured INTEGER NOT NULL  -- level, latency and delay
) STRICT""",
    "event_rows": """CREATE TABLE event_rows (
    id INTEGER PRIMARY KEY,  -- in one sequence with windows
    source INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    clock_synchronised INTEGER,
    event TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT""",
}
"""Definitions by name. The copies are what ``--repair`` uses where a damaged page held the originals."""

# The lowest bits hold what has a fixed width, so that a code may have as many bits as the genres need.
_CONFIDENCE_BITS, _SECOND_BITS = 7, 6
_SMOOTHED_SHIFT = _CONFIDENCE_BITS
_SECOND_SHIFT = 2 * _CONFIDENCE_BITS
_UNKNOWN_SHIFT = _SECOND_SHIFT + _SECOND_BITS
_CODES_SHIFT = _UNKNOWN_SHIFT + 1
_CODE_BITS, _MANY_CODE_BITS = 8, 14
_MAX_SECOND = 50  # percent: a second probability is at most a half

_LEVEL_SHIFT, _LATENCY_SHIFT = 23, 11
_MAX_LEVEL, _MAX_LATENCY, _MAX_DELAY = 255, 4095, 2047

SMOOTHED_CODE = f"answer >> {_CODES_SHIFT} & (1 << {{bits}}) - 1"
_NAMES = "iif(json_valid(genres), json_array_length(genres), 0)"  # the length of what is no JSON would be an error
CODE_BITS = f"CASE WHEN {_NAMES} <= {1 << _CODE_BITS} THEN {_CODE_BITS} ELSE {_MANY_CODE_BITS} END"
SMOOTHED_PERCENT = f"min(answer >> {_SMOOTHED_SHIFT} & 127, 100)"
WINDOW_TIME_MS = "segments.time_ms + (segments.live = 1) * (window_rows.id - segments.first_id)"

SPANS = f"""
WITH spans AS MATERIALIZED (
    SELECT segments.*, sources.name, genres, hop_s, boot_id, {CODE_BITS} AS bits,
        lead(first_id, 1, 9223372036854775807) OVER (ORDER BY first_id) AS next_id
    FROM segments LEFT JOIN sources ON sources.id = source
)
"""
"""Each segment with the end of its ids, and what its source says of them."""

WINDOWS_BETWEEN = f"""spans AS segments
CROSS JOIN window_rows ON window_rows.id >= max(first_id, iif(live = 1, first_id + :since - time_ms, first_id))
    AND window_rows.id < min(next_id, iif(live = 1, first_id + :until - time_ms, next_id))
    AND {WINDOW_TIME_MS} >= :since AND {WINDOW_TIME_MS} < :until
"""
"""Windows of a time, in ms since 1970; that of a live segment grows with the id, by which the table is sorted."""


def _genre(code: str) -> str:
    return f"json_extract(genres, '$[' || ({code}) || ']')"


UNPACKED = {
    "genre": f"""CASE WHEN answer IS NULL THEN '{SILENCE}' WHEN answer >> {_UNKNOWN_SHIFT} & 1 THEN '{UNKNOWN}'
        ELSE {_genre(f"answer >> ({_CODES_SHIFT} + bits) & (1 << bits) - 1")} END""",
    "confidence": "ifnull(answer & 127, 0) / 100.0",
    "smoothed_genre": f"CASE WHEN answer IS NULL THEN '{SILENCE}' ELSE {_genre(SMOOTHED_CODE.format(bits='bits'))} END",
    "smoothed_confidence": f"ifnull({SMOOTHED_PERCENT}, 0) / 100.0",
    "level_dbfs": f"-(measured >> {_LEVEL_SHIFT}) / 2.0",
}
"""What a packed window holds, as SQL over its columns, the genres of its source, and the bits of their codes."""

VIEWS = {
    "windows": f"""CREATE VIEW windows AS
WITH packed AS (
    SELECT window_rows.id, answer, measured, name, genres, {CODE_BITS} AS bits, clock_synchronised,
        {WINDOW_TIME_MS} AS time_ms, start_ms + window_rows.id - first_id AS start_ms
    FROM window_rows
    JOIN segments ON first_id = (SELECT max(first_id) FROM segments WHERE first_id <= window_rows.id)
    JOIN sources ON sources.id = source
)
SELECT id, datetime(time_ms / 1000.0, 'unixepoch') AS utc, time_ms / 1000.0 AS time, clock_synchronised, name AS source,
    start_ms / 1000.0 AS start_s,
    {UNPACKED["genre"]} AS genre,
    {UNPACKED["confidence"]} AS confidence,
    {_genre(f"answer >> ({_CODES_SHIFT} + bits) & (1 << bits) - 1")} AS most_probable,
    {_genre(f"answer >> ({_CODES_SHIFT} + 2 * bits) & (1 << bits) - 1")} AS second_genre,
    (answer >> {_SECOND_SHIFT} & 63) / 100.0 AS second_probability,
    {UNPACKED["smoothed_genre"]} AS smoothed_genre,
    {UNPACKED["smoothed_confidence"]} AS smoothed_confidence,
    {UNPACKED["level_dbfs"]} AS level_dbfs,
    (measured >> {_LATENCY_SHIFT} & {_MAX_LATENCY}) / 2.0 AS latency_ms,
    measured & {_MAX_DELAY} AS delay_ms
FROM packed""",
    "events": """CREATE VIEW events AS
SELECT event_rows.id, datetime(time_ms / 1000.0, 'unixepoch') AS utc, time_ms / 1000.0 AS time, clock_synchronised,
    name AS source, event, reason
FROM event_rows JOIN sources ON sources.id = source""",
}
"""What a person reads in the sqlite3 shell. tmgc itself reads the tables: a view of a foreign file may do anything."""


def time_limits(since: datetime | None, until: datetime | None) -> dict[str, float]:
    """Parameters of :data:`WINDOWS_BETWEEN`; without limits even impossible times are selected, to be counted."""
    return {
        "since": since.timestamp() * 1000 if since else -math.inf,
        "until": until.timestamp() * 1000 if until else math.inf,
    }


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window as it is stored, with the times that its segment may need."""

    source: str
    time_ms: int
    boot_ms: int
    clock: int | None
    start_ms: int
    answer: int | None
    measured: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is stored."""

    source: str
    time_ms: int
    boot_ms: int
    clock: int | None
    event: str
    reason: str


class Codes:
    """The numbers of a model's genres.

    Parameters
    ----------
    genres : tuple of str

    Raises
    ------
    TmgcError
        There are more than 16,382 genres.
    """

    def __init__(self, genres: tuple[str, ...]) -> None:
        self.names = (SILENCE, UNKNOWN, *genres)
        self._bits = _CODE_BITS if len(self.names) <= 1 << _CODE_BITS else _MANY_CODE_BITS
        if len(self.names) > 1 << _MANY_CODE_BITS:
            raise TmgcError(f"a history holds at most 16382 genres, the model has {len(genres)}: leave out --history")
        self._by_name = {name: code for code, name in enumerate(self.names)}

    def answer(self, prediction: Prediction) -> int | None:
        """Genres and confidences in whole percent, in one integer; None for silence."""
        probabilities: Mapping[str, float] = prediction.probabilities
        if prediction.genre == SILENCE and prediction.smoothed_genre == SILENCE:
            return None
        ordered = sorted(probabilities, key=probabilities.__getitem__, reverse=True)[:2]
        first, second = (*ordered, SILENCE, SILENCE)[:2]
        is_unknown = prediction.genre == UNKNOWN
        codes = [prediction.smoothed_genre, first if is_unknown else prediction.genre, second]
        packed = (
            _percent(prediction.confidence)
            | _percent(prediction.smoothed_confidence) << _SMOOTHED_SHIFT
            | min(_percent(probabilities.get(second, 0.0)), _MAX_SECOND) << _SECOND_SHIFT
            | is_unknown << _UNKNOWN_SHIFT
        )
        for number, name in enumerate(codes):
            packed |= self._by_name.get(name, 1) << _CODES_SHIFT + number * self._bits
        return packed


def pack_measured(prediction: Prediction) -> int:
    """Level to 0.5 dB (0 to -127.5 dBFS), latency to 0.5 ms (up to 2047.5) and delay to 1 ms (up to 2047)."""
    level = _clamped(-2 * prediction.level_dbfs, _MAX_LEVEL)
    latency = _clamped(2 * prediction.latency_ms, _MAX_LATENCY)
    return level << _LEVEL_SHIFT | latency << _LATENCY_SHIFT | _clamped(prediction.delay_ms, _MAX_DELAY)


def _percent(probability: float) -> int:
    return _clamped(100 * probability, 100)


def _clamped(value: float, most: int) -> int:
    return 0 if math.isnan(value) else round(min(max(value, 0), most))


def create_tables(connection: sqlite3.Connection) -> None:
    """Make a new file a history, in one transaction."""
    connection.executescript(f"PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; BEGIN IMMEDIATE;")
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):  # another process may be faster
            for definition in (*TABLES.values(), *VIEWS.values()):
                connection.execute(definition)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def has_expected_tables(connection: sqlite3.Connection) -> bool:
    """Whether every table is one as tmgc defines it, and not a view, and no trigger and no index acts on them.

    Other tables and views are nobody's business, but views are trusted only where all are as tmgc defines them.
    """
    found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    tables = {name: sql for kind, name, sql in found if kind == "table"}
    views = {name: sql for kind, name, sql in found if kind == "view"}
    if any(tables.get(name) != sql for name, sql in TABLES.items()) or len(found) > len(tables) + len(views):
        return False
    if views == VIEWS:
        connection.execute("PRAGMA trusted_schema = ON")
    return True

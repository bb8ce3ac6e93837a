"""A history by hour as a picture, drawn with the matplotlib of the ``train`` extra."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.predictions import SILENCE, UNKNOWN

_QUARTER_SECONDS = 900
"""The database adds up by it: every time zone's hours are whole quarters."""


@dataclass(frozen=True)
class GenreHour:
    """How long one answer was heard in one hour."""

    hour: datetime
    """Its beginning, local time with its offset from UTC."""
    genre: str
    """The smoothed answer: a genre, ``unknown`` or ``silence``."""
    seconds: float
    windows: int
    confidence: float
    """Mean of its windows, in [0, 1]."""


def genre_hours(
    connection: sqlite3.Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo | None = None,
) -> list[GenreHour]:
    """A history by hour, and within an hour the most heard first.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of :func:`edge_runtime.outputs.sqlite.read_history`.
    since, until : datetime, optional
        With an offset from UTC; ``until`` itself is left out.
    zone : tzinfo, optional
        The system's by default.
    """
    rows = connection.execute(
        "SELECT CAST(time / ? AS INTEGER), smoothed_genre, SUM(hop_s), COUNT(*), SUM(smoothed_confidence) "
        "FROM windows JOIN sources ON sources.id = source WHERE time >= ? AND time < ? GROUP BY 1, 2",
        (_QUARTER_SECONDS, *_limits(since, until)),
    )
    sums: defaultdict[tuple[datetime, str], list[float]] = defaultdict(lambda: [0.0, 0, 0.0])
    for quarter, genre, *figures in rows:
        total = sums[_hour(quarter * _QUARTER_SECONDS, zone), genre]
        total[:] = [one + other for one, other in zip(total, figures, strict=True)]
    hours = [
        GenreHour(hour, genre, seconds, int(windows), confidence / windows)
        for (hour, genre), (seconds, windows, confidence) in sums.items()
    ]
    return sorted(hours, key=lambda item: (item.hour, -item.seconds, item.genre))


def doubtful_windows(
    connection: sqlite3.Connection, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Windows that were heard before the clock was set by a time server, so that their time may be wrong."""
    query = "SELECT COUNT(*) FROM windows WHERE clock_synchronised = 0 AND time >= ? AND time < ?"
    return int(connection.execute(query, _limits(since, until)).fetchone()[0])


def _limits(since: datetime | None, until: datetime | None) -> tuple[float, float]:
    return since.timestamp() if since else 0.0, until.timestamp() if until else 1e12


def utc_offset(time: datetime) -> str:
    """Such as ``+03:00``."""
    return time.isoformat(timespec="minutes")[-6:]


def _hour(timestamp: float, zone: tzinfo | None) -> datetime:
    """The local hour; its offset is fixed, since two hours of a night in autumn else are the same."""
    local = datetime.fromtimestamp(timestamp, zone).astimezone(zone)
    offset = timezone(local.utcoffset() or timedelta(0))
    return local.replace(minute=0, second=0, microsecond=0, tzinfo=offset)


_COLOURS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "navy", "C8", "C9")
"""matplotlib's own but for its grey."""
_GREYS = {SILENCE: "0.8", UNKNOWN: "0.6"}


def write_figure(hours: Sequence[GenreHour], path: Path) -> None:
    """Write a PNG: a bar an hour, in minutes, with a colour for each genre.

    Raises
    ------
    TmgcError
        matplotlib is not installed, or there is nothing to draw.
    """
    if not hours:
        raise TmgcError("a picture needs at least one window: nothing was heard in that time. Leave out --since")
    if path.suffix.lower() != ".png":
        raise TmgcError(f"a picture is written as PNG: got {path}. Name it {path.with_suffix('.png')}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise TmgcError(
            "--png needs matplotlib, which is not installed: pip install matplotlib, or use --csv and draw elsewhere"
        ) from None
    times = sorted({hour.hour for hour in hours})
    figure = Figure(figsize=(max(6.0, min(24.0, 2 + len(times) * 0.25)), 4.0), layout="constrained")
    axes = figure.subplots()
    below = dict.fromkeys(times, 0.0)
    # Wall time: an axis of aware times would be drawn in UTC.
    places: list[datetime] = [time.replace(tzinfo=None) + timedelta(minutes=30) for time in times]
    for number, genre in enumerate(sorted({hour.genre for hour in hours})):
        minutes = {hour.hour: hour.seconds / 60 for hour in hours if hour.genre == genre}
        heights, bottom = [minutes.get(time, 0.0) for time in times], [below[time] for time in times]
        colour = _GREYS.get(genre, _COLOURS[number % len(_COLOURS)])
        axes.bar(places, heights, bottom=bottom, width=1 / 26, label=genre, color=colour)  # type: ignore[arg-type]
        below = {time: below[time] + height for time, height in zip(times, heights, strict=True)}
    axes.set_ylabel("minutes")
    axes.set_xlabel(f"local time, UTC{utc_offset(times[-1])}")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.autofmt_xdate()
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=120)

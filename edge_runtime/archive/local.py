"""The engine of one machine: a process for each core, without any service."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from edge_runtime.archive.results import NOT_READ
from edge_runtime.archive.song import Row, Song
from edge_runtime.workers import Lost, work_through

HANG_SECONDS = 60.0
"""Without a window, after which a process is ended."""


def tag_locally(
    songs: Iterable[Song],
    tagger: Callable[[Song, Callable[[], None]], Row],
    *,
    workers: int,
    hang_seconds: float = HANG_SECONDS,
) -> Generator[tuple[Song, Row], None, None]:
    """Classify songs in processes of this machine.

    Parameters
    ----------
    songs : iterable of Song
    tagger : callable
        As :class:`~edge_runtime.archive.song.Tagger`; it is sent to the processes.
    workers : int > 0
    hang_seconds : float > 0

    Yields
    ------
    song : Song
    row : Row
    """
    for song, row in work_through(tagger, songs, workers=workers, hang_seconds=hang_seconds):
        yield song, Row(error=NOT_READ * row.killed + row.reason) if isinstance(row, Lost) else row

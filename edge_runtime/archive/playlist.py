"""Songs of a genre as a playlist: extended M3U in UTF-8."""

from __future__ import annotations

import heapq
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

from edge_runtime.archive.remote import is_address
from edge_runtime.archive.results import Archive, local_path
from edge_runtime.errors import TmgcError
from edge_runtime.predictions import SILENCE, UNKNOWN
from edge_runtime.terminal import printable

log = logging.getLogger("tmgc.archive")

_COLUMNS = ("path", "root", "duration", "genre", "confidence")


def playlist(
    archive: Archive,
    genre: str,
    *,
    min_confidence: float = 0.0,
    limit: int | None = None,
    relative_to: Path | None = None,
) -> Iterator[str]:
    """Lines of a playlist, in the order of the library.

    Parameters
    ----------
    archive : Archive
    genre : str
        Of the model, ``unknown`` or ``silence``.
    min_confidence : float in [0, 1]
    limit : int > 0, optional
        The songs of the highest confidence, at most so many.
    relative_to : Path, optional
        The folder that paths are relative to; they are absolute by default.

    Raises
    ------
    TmgcError
        There is no such genre.
    """
    genres = (*archive.genres, UNKNOWN, SILENCE)
    if genre not in genres:
        raise TmgcError(f"--genre is one of {', '.join(genres)}, got {genre!r}")
    songs: Iterable[tuple[float, int, dict[str, Any]]] = (
        (row["confidence"], number, row)
        for number, row in enumerate(archive.rows(_COLUMNS))
        if row["genre"] == genre and row["confidence"] >= min_confidence
    )
    if limit is not None:
        best = heapq.nlargest(limit, songs, key=lambda song: (song[0], -song[1]))
        songs = sorted(best, key=lambda song: song[1])
    yield "#EXTM3U"
    left_out = 0
    for _, _, row in songs:
        line = _place(row, relative_to)
        if line.isprintable() and line == line.strip():
            yield f"#EXTINF:{round(row['duration'] or -1)},{_title(row)}"
            yield line
        else:
            left_out += 1
    if left_out:
        log.warning("songs left out, whose names do not fit into a line of UTF-8: %d", left_out)


def _title(row: dict[str, Any]) -> str:
    return printable(PurePath(local_path(row["path"])).stem)


def _place(row: dict[str, Any], relative_to: Path | None) -> str:
    root, path = local_path(row["root"]), local_path(row["path"])
    if is_address(root):
        return f"{root}/{path}"
    place = os.path.abspath(Path(root, path))  # noqa: PTH100, resolve() would follow links
    if relative_to is None:
        return place
    relative = os.path.relpath(place, relative_to)
    return f"./{relative}" if relative.startswith("#") else relative

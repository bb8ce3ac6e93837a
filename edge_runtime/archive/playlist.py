"""Songs of a genre as a playlist: extended M3U in UTF-8."""

from __future__ import annotations

import heapq
import logging
import os
import re
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

_BREAKS_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\s$")
"""What no line of a playlist can hold: control characters and separators, at some of which each player divides lines,
blanks at the end, which players remove, and bytes of a name that are no UTF-8."""

_READ_OTHERWISE = re.compile(r"[#\s]")
"""At the beginning of a line: of a comment, and what players remove."""

_NAMED = 3
"""Songs that a notice names."""


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
        The folder that the playlist will lie in, to which paths are relative then; they are absolute by default.

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
    # as roots are, and as the system takes each ".."
    base = None if relative_to is None else os.path.realpath(relative_to)
    yield "#EXTM3U"
    left_out = list[str]()
    for _, _, row in songs:
        line = _place(row, base)
        if _BREAKS_LINE.search(line):
            left_out.append(line)
        else:
            yield f"#EXTINF:{round(row['duration'] or -1)},{PurePath(line).stem}"
            yield line
    if left_out:
        log.warning(
            "songs left out, since a line of a playlist cannot hold their paths (control characters, a blank at the "
            "end, or no UTF-8; rename them): %d: %s",
            len(left_out),
            ", ".join([*map(printable, left_out[:_NAMED]), *["..."] * (len(left_out) > _NAMED)]),
        )


def _place(row: dict[str, Any], base: str | None) -> str:
    """The line of a song."""
    root, path = local_path(row["root"]), local_path(row["path"])
    if is_address(root):
        return f"{root}/{path}"
    place = os.path.abspath(Path(root, path))  # noqa: PTH100, resolve() would follow links
    if base is None:
        return place
    relative = os.path.relpath(place, base)
    return f"./{relative}" if _READ_OTHERWISE.match(relative) else relative

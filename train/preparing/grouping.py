"""Which songs stay on one side of the split: parts of one, those of an artist, and those with the same sound."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edge_runtime.errors import TmgcError, first_line
from train.preparing.songs import GROUPS_NAME, Song, nfc

_NOBODY = {
    "",
    "unknown",
    "unknown artist",
    "various",
    "various artists",
    "va",
    "bilinmeyen",
    "bilinmeyen sanatçi",
    "çeşitli sanatçilar",
}
"""What programs write where they know no artist, as :func:`same_artist` spells it."""

_GUEST = re.compile(r"\s[(\[]?(?:feat|ft|featuring)\b.*", re.IGNORECASE | re.DOTALL)


def same_artist(artist: str) -> str:
    """What two spellings of an artist have in common; nothing where the artist is not known.

    Case, Unicode form, spaces and guests (``feat. somebody``) do not count, nor do the dots of i: I is the capital of
    ı in Turkish and of i elsewhere, and no tag says which it is.
    """
    spelling = " ".join(_GUEST.sub("", nfc(artist)).split()).casefold().replace("i\u0307", "i").replace("ı", "i")
    return "" if spelling in _NOBODY else spelling


def read_groups(folder: Path, songs: Iterable[Song]) -> dict[str, str] | None:
    """The group of each song that ``groups.csv`` names.

    Parameters
    ----------
    folder : Path
        Of the songs, with ``groups.csv`` in it: UTF-8, columns ``path`` (below the folder, forward slashes, in any
        Unicode form) and ``group``.
    songs : iterable of Song

    Returns
    -------
    groups : dict of str to str
        By the path that the system spells. None where there is no ``groups.csv``.

    Raises
    ------
    TmgcError
        The file is damaged, or names a song that is not there.
    """
    path = folder / GROUPS_NAME
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise TmgcError(f"{path} must be a file: it is something else, or a link to nowhere. Correct or remove it")
    rows = _rows(path)
    groups = {song.below: rows[nfc(song.below)] for song in songs if nfc(song.below) in rows}
    if strangers := sorted(set(rows) - {nfc(below) for below in groups}):
        raise TmgcError(
            f"{path} must name songs by their path below {folder}: there is no song {strangers[0]} "
            f"({len(strangers)} such rows). Correct the spelling, or take the rows out"
        )
    return groups


def _rows(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames is None or not {"path", "group"} <= set(reader.fieldnames):
                raise TmgcError(f"{path} must have the columns path and group, got {reader.fieldnames}: correct it")
            rows: dict[str, str] = {}
            for row in reader:
                name, group = nfc(row["path"] or ""), nfc(row["group"] or "")
                if rows.setdefault(name, group) != group:
                    raise TmgcError(
                        f"{path} must name one group for each path: {name} has {rows[name]!r} and {group!r}. "
                        "Take one of the rows out"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise TmgcError(f"{path} must be CSV in UTF-8 ({first_line(error)}): save it again as that") from error
    if nameless := [name for name, group in rows.items() if not group]:
        raise TmgcError(f"{path} must name a group for each path: {nameless[0]} has none. Correct the row")
    return rows


def tie(count: int, kinds: Iterable[Iterable[str]], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Sets of songs that hang together, directly or through others.

    Parameters
    ----------
    count : int
        Of songs.
    kinds : iterable of iterable of str [length=count]
        Of each kind a key for every song. Songs with the same key of one kind hang together; an empty one ties nothing.
    pairs : iterable of (int, int)
        Songs that hang together, by their index.

    Returns
    -------
    sets : list of list of int
        Every song is in one. Sorted.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = list(pairs)
    for keys in kinds:
        first: dict[str, int] = {}
        edges += [(first.setdefault(key, song), song) for song, key in enumerate(keys) if key]
    one, other = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges), np.int8), (one, other)), shape=(count, count))
    sets: dict[int, list[int]] = defaultdict(list)
    for song, number in enumerate(connected_components(graph, directed=False)[1].tolist()):
        sets[number].append(song)
    return sorted(sets.values())

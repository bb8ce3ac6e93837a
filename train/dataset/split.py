"""Divides songs among train, validation and test: stratified by genre; artists, groups and duplicates stay together."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_runtime.errors import TmgcError, first_line
from train.dataset.discover import GROUPS_NAME, Song, nfc
from train.dataset.extract import ExtractedSong
from train.dataset.fingerprint import same_recordings
from train.run import SPLITS

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
    groups = {song.relative_path: rows[nfc(song.relative_path)] for song in songs if nfc(song.relative_path) in rows}
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


def connected_groups(count: int, kinds: Iterable[Iterable[str]], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
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


_NOTABLE = 0.02
"""A split that is further from its share than this part of a genre's songs, and a whole song, is spoken of."""


class Unit(NamedTuple):
    """Songs that stay on one side of the split."""

    name: str
    """Whatever tells it from others."""
    genres: Counter[str]
    """How many songs of each genre it holds."""


def split_units(units: Sequence[Unit], *, split_ratios: tuple[float, float, float], seed: int, kind: str) -> list[str]:
    """The split of every unit.

    The largest units come first and those of one size in an order drawn from the seed; each goes where its genres lack
    most songs, and the last units of a genre go to the splits that have none of it. A unit's place in the drawing
    hangs on its name and the seed alone, so that more songs change little.

    Parameters
    ----------
    units : sequence of Unit
    shares : three floats that add up to 1
        Of each genre's songs; each split gets at least one unit of each genre.
    seed : int
    kind : str
        What the units are called in an error.

    Returns
    -------
    splits : list of str

    Raises
    ------
    TmgcError
        A genre has fewer units than there are splits, or units that span genres leave a split without one.
    """
    songs = _songs(units)
    left = Counter(genre for unit in units for genre in unit.genres)
    for genre, count in sorted(left.items()):
        if count < len(SPLITS):
            raise too_few(genre, count, kind)
    lacking = {genre: _wanted(count, split_ratios) for genre, count in songs.items()}
    filled: dict[str, set[str]] = {genre: set() for genre in songs}
    splits = [""] * len(units)
    for index in sorted(range(len(units)), key=lambda index: _turn(units[index], seed)):
        genres = units[index].genres
        pressing = [genre for genre in genres if left[genre] <= len(SPLITS) - len(filled[genre])]
        open_splits = [split for split in SPLITS if all(split not in filled[genre] for genre in pressing)] or SPLITS
        split = max(open_splits, key=lambda split: sum(n * lacking[genre][split] for genre, n in genres.items()))
        splits[index] = split
        for genre, count in genres.items():
            lacking[genre][split] -= count
            filled[genre].add(split)
            left[genre] -= 1
    if unfilled := sorted(genre for genre in songs if len(filled[genre]) < len(SPLITS)):
        raise TmgcError(
            f"every genre needs songs in every split: {unfilled[0]} cannot have them, since its {kind} also stand in "
            "other genres. Move songs, or split by song: --group-by song"
        )
    return splits


def shortfalls(
    units: Sequence[Unit], splits: Sequence[str], *, split_ratios: tuple[float, float, float], kind: str
) -> list[str]:
    """A line for each genre whose songs could not be shared as asked for, because units stay together."""
    lines = []
    for genre, count in sorted(_songs(units).items()):
        wanted = _wanted(count, split_ratios)
        got = {
            name: sum(u.genres[genre] for u, split in zip(units, splits, strict=True) if split == name)
            for name in SPLITS
        }
        if max(abs(wanted[split] - got[split]) for split in SPLITS) > max(1, _NOTABLE * count):
            have, asked = ("/".join(str(counts[split]) for split in SPLITS) for counts in (got, wanted))
            lines.append(f"{genre} is split into {have} songs, not {asked}, since its {kind} stay whole")
    return lines


def too_few(genre: str, count: int, kind: str) -> TmgcError:
    """The error of a genre that cannot be split."""
    advice = "Add songs" if kind == "songs" else f"Add other {kind}, split by song (--group-by song)"
    return TmgcError(
        f"a genre needs at least {len(SPLITS)} {kind}, one for each of {', '.join(SPLITS)}: {genre} has {count} "
        f"(those with the same sound count once). {advice}, or take the folder away"
    )


def _songs(units: Sequence[Unit]) -> Counter[str]:
    return sum((unit.genres for unit in units), Counter())


def _wanted(songs: int, split_ratios: tuple[float, float, float]) -> dict[str, int]:
    test, validation = (max(1, round(share * songs)) for share in (split_ratios[2], split_ratios[1]))
    return {"train": songs - validation - test, "validation": validation, "test": test}


def _turn(unit: Unit, seed: int) -> tuple[int, str]:
    """Its turn when units are given out: by size, and by lot."""
    return -unit.genres.total(), hashlib.sha256(f"{seed} ".encode() + os.fsencode(unit.name)).hexdigest()


@dataclass(frozen=True)
class Duplicates:
    """Songs with the same audio, by their index in the list of songs."""

    songs: Sequence[tuple[Song, ExtractedSong]]
    pairs: list[tuple[int, int]]
    """Pairs that connect all songs with the same audio."""
    sets: list[list[int]]
    """Sets of two or more songs with the same audio."""

    @classmethod
    def among(cls, songs: Sequence[tuple[Song, ExtractedSong]]) -> Duplicates:
        """Find exact copies by their SHA-256, and other encodings of a recording by their audio fingerprints.

        Parameters
        ----------
        songs : sequence of (Song, ExtractedSong)
        """
        first: dict[str, int] = {}
        pairs = [(first.setdefault(extracted.sha256, index), index) for index, (_, extracted) in enumerate(songs)]
        distinct = list(first.values())
        recordings = same_recordings([[clip.fingerprint for clip in songs[index][1].clips] for index in distinct])
        pairs = [pair for pair in pairs if pair[0] != pair[1]]
        pairs += [(distinct[one], distinct[other]) for one, other in recordings]
        sets = connected_groups(len(songs), (), pairs)
        return cls(songs, pairs, [found for found in sets if len(found) > 1])

    def rows(self, splits: Mapping[int, str]) -> list[tuple[object, ...]]:
        """``duplicates.csv``, header first: a row for each song of a set, with the number of the set.

        Parameters
        ----------
        splits : mapping of int to str
            The split of each song.
        """
        rows: list[tuple[object, ...]] = [("sound", "song", "genre", "split", "same")]
        for number, found in enumerate(self.sets, start=1):
            copies = Counter(self.songs[index][1].sha256 for index in found)
            for index in found:
                song, extracted = self.songs[index]
                same = "exact copy" if copies[extracted.sha256] > 1 else "same recording"
                rows.append((number, song.relative_path, song.genre, splits[index], same))
        return rows

    def warnings(self) -> list[str]:
        """How many songs are duplicates, and which of them are under two genres."""
        if not self.sets:
            return []
        count = sum(len(found) for found in self.sets)
        warnings = [f"{count} songs have the same audio as another and are in the same split as it: see duplicates.csv"]
        two_genres = [found for found in self.sets if len({self.songs[index][0].genre for index in found}) > 1]
        for found in two_genres[:_SHOWN]:
            names = ", ".join(self.songs[index][0].relative_path for index in found[:_SHOWN])
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            warnings.append(f"the same audio is under two genres: {names}{more}")
        if len(two_genres) > _SHOWN:
            warnings.append(f"and {len(two_genres) - _SHOWN} more are under two genres")
        return warnings


_SHOWN = 5
"""Names in a message, and messages of a kind."""

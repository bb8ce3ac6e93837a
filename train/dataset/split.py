"""Divides songs among train, validation and test: stratified by genre; artists, groups and duplicates stay together.

A split that folders give is taken as it is, with a report of what is in two of its splits.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_runtime.errors import TmgcError, first_line
from train.dataset.discover import GROUPS_NAME, Song
from train.dataset.extract import ExtractedSong
from train.dataset.file_names import nfc
from train.dataset.fingerprint import same_recordings
from train.run import SPLITS

_log = getLogger("tmgc.dataset")


def read_groups(folder: Path, songs: Iterable[Song]) -> dict[str, str] | None:
    """Read ``groups.csv``, which names groups of songs that must be in the same split.

    Parameters
    ----------
    folder : Path
        Folder of songs. ``groups.csv`` in it is UTF-8 with the columns ``path`` (relative to the folder, with forward
        slashes, in any Unicode form) and ``group``.
    songs : iterable of Song

    Returns
    -------
    groups : dict of str to str
        Group by relative path, for the songs that have one. None if there is no ``groups.csv``.

    Raises
    ------
    TmgcError
        The file is damaged, or names a song that does not exist.
    """
    path = folder / GROUPS_NAME
    if not os.path.lexists(path):
        return None
    if not path.is_file():
        raise TmgcError(f"{path} must be a file: it is something else, or a broken link. Correct or remove it")
    rows = _rows(path)
    groups = {song.relative_path: rows[nfc(song.relative_path)] for song in songs if nfc(song.relative_path) in rows}
    if unknown := sorted(set(rows) - {nfc(relative_path) for relative_path in groups}):
        raise TmgcError(
            f"{path} must name songs by their path relative to {folder}: there is no song {unknown[0]} "
            f"({len(unknown)} such rows). Correct the spelling, or remove the rows"
        )
    return groups


def _rows(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames is None or not {"path", "group"} <= set(reader.fieldnames):
                raise TmgcError(
                    f"{path} must have the columns path and group, with a comma between, got {reader.fieldnames}: "
                    "correct it"
                )
            rows: dict[str, str] = {}
            for row in reader:
                name, group = nfc(row["path"] or ""), nfc(row["group"] or "")
                if rows.setdefault(name, group) != group:
                    raise TmgcError(
                        f"{path} must name one group for each path: {name} has {rows[name]!r} and {group!r}. "
                        "Remove one of the rows"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise TmgcError(f"{path} must be CSV in UTF-8 ({first_line(error)}): save it as that") from error
    if without_group := [name for name, group in rows.items() if not group]:
        raise TmgcError(f"{path} must name a group for each path: {without_group[0]} has none. Correct the row")
    return rows


def connected_groups(
    count: int, kinds: Iterable[Iterable[Collection[str]]], pairs: Iterable[tuple[int, int]]
) -> list[list[int]]:
    """Connected components of songs, where songs with a common key and the songs of a pair are connected.

    Parameters
    ----------
    count : int >= 0
        Number of songs.
    kinds : iterable of iterable of collection of str [length=count]
        For each kind of key, such as artist, the keys of every song.
    pairs : iterable of (int, int), in [0, count)
        Connected songs, by index.

    Returns
    -------
    groups : list of list of int
        Sorted. Every song is in exactly one group, often alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = list(pairs)
    for of_songs in kinds:
        first: dict[str, int] = {}
        edges += [(first.setdefault(key, song), song) for song, keys in enumerate(of_songs) for key in keys]
    one, other = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges), np.int8), (one, other)), shape=(count, count))
    groups: dict[int, list[int]] = defaultdict(list)
    for song, number in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups[number].append(song)
    return sorted(groups.values())


_NOTABLE = 0.02
"""A split is reported if it differs from its ratio by more than this fraction of a genre's songs, and by a song."""


class Unit(NamedTuple):
    """A group of songs that must be in the same split."""

    name: str
    """Unique: it decides the order in which the seed draws."""
    genres: Counter[str]
    """Number of songs by genre."""


def split_units(
    units: Sequence[Unit], *, split_ratios: Sequence[float], seed: int, kind: str, names: Sequence[str] = SPLITS
) -> list[str]:
    """Assign every unit to a split, stratified by genre.

    Units are assigned from the largest to the smallest, those of equal size in an order drawn from the seed. Each goes
    to the split that lacks most songs of its genres; the last units of a genre go to splits that have none of it. The
    order depends on names and seed alone, so that adding songs moves few others.

    Parameters
    ----------
    units : sequence of Unit
    split_ratios : sequence of float > 0, with sum 1
        Fractions of each genre's songs; each split gets at least one unit of each genre.
    seed : int
    kind : str
        Name of the units in error messages: ``songs`` or ``artists``.
    names : sequence of str
        Of the splits, those of ``split_ratios``.

    Returns
    -------
    splits : list of str [length=len(units)]
        One of ``names`` for each unit.

    Raises
    ------
    TmgcError
        A genre has fewer units than there are splits, or units of several genres leave a split without it.
    """
    songs = _songs(units)
    left = Counter(genre for unit in units for genre in unit.genres)
    for genre, count in sorted(left.items()):
        if count < len(names):
            raise too_few(genre, count, kind, names=names)
    lacking = {genre: _wanted(count, dict(zip(names, split_ratios, strict=True))) for genre, count in songs.items()}
    filled: dict[str, set[str]] = {genre: set() for genre in songs}
    splits = [""] * len(units)
    for index in sorted(range(len(units)), key=lambda index: _order(units[index], seed)):
        genres = units[index].genres
        urgent = [genre for genre in genres if left[genre] <= len(names) - len(filled[genre])]
        open_splits = [split for split in names if all(split not in filled[genre] for genre in urgent)] or names
        split = max(open_splits, key=lambda split: sum(n * lacking[genre][split] for genre, n in genres.items()))
        splits[index] = split
        for genre, count in genres.items():
            lacking[genre][split] -= count
            filled[genre].add(split)
            left[genre] -= 1
    if unfilled := sorted(genre for genre in songs if len(filled[genre]) < len(names)):
        raise TmgcError(
            f"every genre needs songs in every split: {unfilled[0]} cannot have them, since its {kind} also have songs "
            "of other genres. Move songs, or split by song: --group-by song"
        )
    return splits


def given_split(
    songs: Sequence[Song], groups: Sequence[Sequence[int]], *, split_ratios: tuple[float, float, float], seed: int
) -> list[str]:
    """The split of each song by its folder.

    Where no folder is that of validation, songs of train become those: as many as ``split_ratios`` ask for, stratified
    by genre, the songs of a group together.

    Parameters
    ----------
    songs : sequence of Song
        With their splits.
    groups : sequence of sequence of int
        Songs that should be in one split, by index: each song is in one group.
    split_ratios : (float, float, float), each > 0
        Of train, validation and test.
    seed : int

    Returns
    -------
    splits : list of str [length=len(songs)]
        ``train``, ``validation`` or ``test``.

    Raises
    ------
    TmgcError
        A genre has no songs in a split.
    """
    splits = [song.split for song in songs]
    if "validation" not in splits:
        _log.info("songs of train become those of validation, for which there is no folder")
        parts = [part for group in groups if (part := [song for song in group if splits[song] == "train"])]
        units = [Unit(songs[part[0]].relative_path, Counter(songs[song].genre for song in part)) for part in parts]
        ratios = [ratio / sum(split_ratios[:2]) for ratio in split_ratios[:2]]
        assigned = split_units(units, split_ratios=ratios, seed=seed, kind="groups", names=SPLITS[:2])
        for part, split in zip(parts, assigned, strict=True):
            for song in part:
                splits[song] = split
    present = {(song.genre, split) for song, split in zip(songs, splits, strict=True)}
    for genre in sorted({song.genre for song in songs}):
        if missing := [split for split in SPLITS if (genre, split) not in present]:
            raise TmgcError(
                f"every genre needs songs in every split: {genre} has none that give clips in {' and '.join(missing)}. "
                "Add songs, or remove the folders of the genre"
            )
    return splits


def leaks(songs: Sequence[Song], splits: Sequence[str], keys: Mapping[str, Sequence[Collection[str]]]) -> list[str]:
    """A message for each kind of key, such as artists, of which one has songs in two splits.

    Parameters
    ----------
    songs : sequence of Song
    splits : sequence of str [length=len(songs)]
    keys : mapping of str to sequence of collection of str [length=len(songs)]
        By kind, the keys of each song.
    """
    messages = []
    for kind, of_songs in keys.items():
        groups = connected_groups(len(songs), [of_songs], ())
        divided = [group for group in groups if len({splits[song] for song in group}) > 1]
        if divided:
            one = divided[0][0]
            other = next(song for song in divided[0] if splits[song] != splits[one])
            where = " and ".join(f"{songs[song].relative_path} ({splits[song]})" for song in (one, other))
            messages.append(
                f"the same {kind} are in two splits ({len(divided)} of them, such as {where}): the test is too easy"
            )
    return messages


def shortfalls(
    units: Sequence[Unit], splits: Sequence[str], *, split_ratios: tuple[float, float, float], kind: str
) -> list[str]:
    """A message for each genre whose split differs from the ratios because units stay together."""
    lines, together = [], "duplicates" if kind == "songs" else kind
    for genre, count in sorted(_songs(units).items()):
        wanted = _wanted(count, dict(zip(SPLITS, split_ratios, strict=True)))
        got = {
            name: sum(u.genres[genre] for u, split in zip(units, splits, strict=True) if split == name)
            for name in SPLITS
        }
        if max(abs(wanted[split] - got[split]) for split in SPLITS) > max(1, _NOTABLE * count):
            have, asked = ("/".join(str(counts[split]) for split in SPLITS) for counts in (got, wanted))
            lines.append(f"{genre} is split into {have} songs, not {asked}, since its {together} stay together")
    return lines


_LARGE, _FEW = 1 / 3, 5
"""A group is reported if it holds more than this fraction of a genre's songs, and more songs than that."""


def large_groups(
    members: Iterable[Sequence[int]], genres: Sequence[str], kinds: Iterable[Sequence[Collection[str]]]
) -> list[str]:
    """A message for each genre of which one group holds so many songs that it decides the split, with its keys.

    Parameters
    ----------
    members : iterable of sequence of int
        The songs of each group, by index.
    genres : sequence of str
        The genre of each song.
    kinds : iterable of sequence of collection of str
        As for :func:`connected_groups`.
    """
    total, kinds, lines = Counter(genres), list(kinds), []
    for group in members:
        for genre, count in sorted(Counter(genres[song] for song in group).items()):
            if count > _FEW and count > _LARGE * total[genre]:
                keys = Counter(key for of_songs in kinds for song in group for key in of_songs[song])
                named = ", ".join(f"{key} ({songs})" for key, songs in keys.most_common(_SHOWN) if songs > 1)
                why = f": they share {named}. If these are several artists, correct the songs' tags" if named else ""
                lines.append(f"{count} of {total[genre]} songs of {genre} are one group and in one split{why}")
    return lines


def too_few(genre: str, count: int, kind: str, *, names: Sequence[str] = SPLITS) -> TmgcError:
    """The error for a genre that cannot be divided among the splits."""
    advice = "Add songs" if kind == "songs" else f"Add other {kind}, split by song (--group-by song)"
    return TmgcError(
        f"a genre needs at least {len(names)} {kind}, one for each of {', '.join(names)}: {genre} has {count} "
        f"(those with the same audio count once). {advice}, or remove the folder"
    )


def _songs(units: Sequence[Unit]) -> Counter[str]:
    return sum((unit.genres for unit in units), Counter())


def _wanted(songs: int, ratios: Mapping[str, float]) -> dict[str, int]:
    """Number of a genre's songs by split: at least one, and what is left for the first split."""
    first, *others = ratios
    counts = {split: max(1, round(ratios[split] * songs)) for split in others}
    return {first: songs - sum(counts.values()), **counts}


def _order(unit: Unit, seed: int) -> tuple[int, str]:
    """Sort key of a unit: by size, then by the seed."""
    return -unit.genres.total(), hashlib.sha256(f"{seed} {unit.name}".encode()).hexdigest()


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

    def rows(self, splits: Sequence[str]) -> list[tuple[object, ...]]:
        """``duplicates.csv``, header first: a row for each song of a set, with the number of the set.

        Parameters
        ----------
        splits : sequence of str
            The split of each song.
        """
        rows: list[tuple[object, ...]] = [("set", "song", "genre", "split", "same")]
        for number, found in enumerate(self.sets, start=1):
            copies = Counter(self.songs[index][1].sha256 for index in found)
            for index in found:
                song, extracted = self.songs[index]
                same = "exact copy" if copies[extracted.sha256] > 1 else "same recording"
                rows.append((number, song.relative_path, song.genre, splits[index], same))
        return rows

    def warnings(self, splits: Sequence[str]) -> list[str]:
        """How many songs are duplicates, whether they are in two splits, and which of them are under two genres.

        Parameters
        ----------
        splits : sequence of str
            The split of each song.
        """
        if not self.sets:
            return []
        count = sum(len(found) for found in self.sets)
        divided = any(len({splits[index] for index in found}) > 1 for found in self.sets)
        where = "are not all in the same split as it" if divided else "are in the same split as it"
        warnings = [f"{count} songs have the same audio as another and {where}: see duplicates.csv"]
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

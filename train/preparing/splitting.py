"""Gives songs to train, validation and test: by genre in the shares asked for, and never parts those of a unit."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from edge_runtime.errors import TmgcError
from train.run import SPLITS

_NOTABLE = 0.02
"""A split that is further from its share than this part of a genre's songs, and a whole song, is spoken of."""


class Unit(NamedTuple):
    """Songs that stay on one side of the split."""

    name: str
    """Whatever tells it from others."""
    genres: Counter[str]
    """How many songs of each genre it holds."""


def split_units(units: Sequence[Unit], *, shares: tuple[float, float, float], seed: int, kind: str) -> list[str]:
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
    lacking = {genre: _wanted(count, shares) for genre, count in songs.items()}
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
    units: Sequence[Unit], splits: Sequence[str], *, shares: tuple[float, float, float], kind: str
) -> list[str]:
    """A line for each genre whose songs could not be shared as asked for, because units stay together."""
    lines = []
    for genre, count in sorted(_songs(units).items()):
        wanted = _wanted(count, shares)
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


def _wanted(songs: int, shares: tuple[float, float, float]) -> dict[str, int]:
    test, validation = (max(1, round(share * songs)) for share in (shares[2], shares[1]))
    return {"train": songs - validation - test, "validation": validation, "test": test}


def _turn(unit: Unit, seed: int) -> tuple[int, str]:
    """Its turn when units are given out: by size, and by lot."""
    return -unit.genres.total(), hashlib.sha256(f"{seed} ".encode() + os.fsencode(unit.name)).hexdigest()

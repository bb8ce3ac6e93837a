"""From songs that are cut to the list of clips: which stay together, which come to which split, which sound alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from train.corpus import Clip
from train.preparing.cutting import CutSong
from train.preparing.duplicates import Duplicates
from train.preparing.grouping import same_artist, tie
from train.preparing.settings import PrepareSettings
from train.preparing.songs import Song
from train.preparing.splitting import Unit, shortfalls, split_units


class Arranged(NamedTuple):
    """What a corpus is put together from."""

    clips: tuple[Clip, ...]
    duplicates: list[tuple[object, ...]]
    """Rows of ``duplicates.csv``, the first of them its heading."""
    notes: list[str]
    """What a person should know, a line each."""


def arrange(
    songs: Sequence[Song], cut: Sequence[CutSong], groups: Mapping[str, str] | None, settings: PrepareSettings
) -> Arranged:
    """Split songs, and list their clips.

    Parameters
    ----------
    songs : sequence of Song
    cut : sequence of CutSong [length=len(songs)]
        What came of each.
    groups : mapping of str to str, or None
        The group of each song that has one; None if groups do not count.
    settings : PrepareSettings

    Raises
    ------
    TmgcError
        A genre cannot be split.
    """
    kinds = _held_together(songs, cut, groups, settings)
    kind = " and ".join(kinds) or "songs"
    duplicates = Duplicates.among(songs, cut)
    units = tie(len(songs), kinds.values(), duplicates.pairs)
    named = [Unit(songs[unit[0]].below, Counter(songs[song].genre for song in unit)) for unit in units]
    sides = split_units(named, shares=settings.shares, seed=settings.seed, kind=kind)
    splits = {song: side for unit, side in zip(units, sides, strict=True) for song in unit}
    group_of = {song: songs[unit[0]].below for unit in units for song in unit}
    clips = [
        _clip(song, cut_song, number, split=splits[index], group=group_of[index])
        for index, (song, cut_song) in enumerate(zip(songs, cut, strict=True))
        for number in range(len(cut_song.clips))
    ]
    notes = shortfalls(named, sides, shares=settings.shares, kind=kind) + duplicates.notes()
    return Arranged(tuple(clips), duplicates.rows(splits), notes)


def _held_together(
    songs: Sequence[Song], cut: Sequence[CutSong], groups: Mapping[str, str] | None, settings: PrepareSettings
) -> dict[str, list[str]]:
    """What each song shares with those that it stays with, or nothing, by what to call it."""
    kinds = {}
    if settings.group_by in (None, "artist"):
        kinds["artists"] = [same_artist(song.artist) for song in cut]
    if settings.group_by in (None, "groups"):
        kinds["groups"] = [(groups or {}).get(song.below, "") for song in songs]
    return {kind: keys for kind, keys in kinds.items() if any(keys)}


def _clip(song: Song, cut: CutSong, number: int, *, split: str, group: str) -> Clip:
    clip = cut.clips[number]
    return Clip(
        name=clip.name,
        song=song.below,
        genre=song.genre,
        split=split,
        offset_seconds=clip.offset_seconds,
        lead_seconds=clip.lead_seconds,
        level_dbfs=clip.level_dbfs,
        group=group,
        artist=cut.artist,
        content_sha256=cut.sha256,
    )

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
    keys, kind = _held_together(songs, cut, groups, settings)
    duplicates = Duplicates.among(songs, cut)
    units = tie(len(songs), keys, duplicates.pairs)
    named = [Unit(songs[unit[0]].below, Counter(songs[song].genre for song in unit)) for unit in units]
    sides = split_units(named, shares=settings.shares, seed=settings.seed, kind=kind)
    splits = {song: side for unit, side in zip(units, sides, strict=True) for song in unit}
    clips = [
        _clip(song, cut_song, number, split=splits[index], group=(groups or {}).get(song.below, song.below))
        for index, (song, cut_song) in enumerate(zip(songs, cut, strict=True))
        for number in range(len(cut_song.clips))
    ]
    notes = shortfalls(named, sides, shares=settings.shares, kind=kind) + duplicates.notes()
    return Arranged(tuple(clips), duplicates.rows(splits), notes)


def _held_together(
    songs: Sequence[Song], cut: Sequence[CutSong], groups: Mapping[str, str] | None, settings: PrepareSettings
) -> tuple[list[str], str]:
    """What each song shares with those that it stays with, or nothing, and what to call it."""
    if groups is not None:
        return [groups.get(song.below, "") for song in songs], "groups"
    artists = [same_artist(song.artist) for song in cut]
    if settings.group_by == "song" or not any(artists):
        return [""] * len(songs), "songs"
    return artists, "artists"


def _clip(song: Song, cut: CutSong, number: int, *, split: str, group: str) -> Clip:
    clip = cut.clips[number]
    return Clip(
        name=clip.name,
        song=group,
        genre=song.genre,
        split=split,
        offset_seconds=clip.offset_seconds,
        lead_seconds=clip.lead_seconds,
        level_dbfs=clip.level_dbfs,
        file=song.below,
        artist=cut.artist,
        content_sha256=cut.sha256,
    )

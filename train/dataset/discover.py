"""Finds the songs in a folder, and the reason why each other file is not one."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_runtime.audio_file import AUDIO_SUFFIXES
from edge_runtime.errors import TmgcError
from edge_runtime.model_card import check_genres
from edge_runtime.walk import SAME_AS, Found, no_music, walk
from train.dataset.file_names import quoted, readable, readable_paths
from train.dataset.genres import check_genre_names, genre_name
from train.dataset.layout import Layout, check_split_folders, warn_of_genres_inside
from train.run import SPLITS

_log = getLogger("tmgc.dataset")

MARKER = "demo_corpus.json"
"""File in a folder of songs that marks them as synthesised by :mod:`train.demo_corpus`."""


class Song(NamedTuple):
    """A file whose name is that of an audio file."""

    path: Path
    relative_path: str
    """Path relative to the folder of songs, with forward slashes: see :mod:`train.dataset.file_names`."""
    genre: str
    """What its genre's folder is called after: see :func:`train.dataset.genres.genre_name`."""
    split: str = ""
    """``train``, ``validation`` or ``test`` where folders are splits, else empty."""


class Skipped(NamedTuple):
    """A file, a song or a clip that is not in the dataset."""

    song: str
    """Path relative to the folder of songs."""
    reason: str


def find_songs(folder: Path, *, split_folders: bool = False) -> tuple[list[Song], list[Skipped]]:
    """Find all files in a folder of songs, ``folder/<genre>/**``, and tell songs from other files.

    Every folder is read once, by its own path if it has one: a symbolic link to a folder that is read already, or that
    contains the folder of songs, is skipped. Hidden files, and folders of operating systems and network disks (recycle
    bins, snapshots, thumbnails), are no songs. ``groups.csv`` and the marker of a demonstration corpus are ignored.

    The genres with their numbers of songs, and what is skipped, are logged to ``tmgc.dataset``, before a refusal too.

    Parameters
    ----------
    folder : Path
    split_folders : bool
        Whether folders are splits, with those of genres in them or around them: see :mod:`train.dataset.layout`.

    Returns
    -------
    songs : list of Song
        Sorted by path.
    skipped : list of Skipped
        All other files.

    Raises
    ------
    TmgcError
        The folder does not exist, cannot be read, holds more than :data:`edge_runtime.walk.MOST_FILES` files, or
        does not hold songs of at least two genres; genres have names that cannot stand side by side; or folders are
        splits and ``split_folders`` is not set, or the other way round.
    """
    _check_readable(folder)
    found = list(walk(folder))
    name_of = readable_paths([path for path, _ in found])
    named, skipped = _named_as_songs(found, name_of)
    recognised = Layout.of(named)
    layout = recognised if split_folders else Layout()
    songs, genre_folders = [], Counter[str]()
    outside = f"not in the folder of a genre{' and a split' * (layout.split is not None)}"
    for path in named:
        name, place = name_of[str(path)], layout.place(path)
        if place:
            genre_folders[place[0]] += 1
            songs.append(Song(folder / path, name, genre_name(place[0]), place[1]))
        else:
            skipped.append(Skipped(name, outside))
    _report(folder, songs, skipped, layout)
    check_split_folders(folder, recognised, named, split_folders=split_folders)
    if not split_folders:
        warn_of_genres_inside(named)
    check_genre_names(genre_folders)
    _check_genres(folder, songs, named, layout)
    return songs, sorted(skipped)


def _check_readable(folder: Path) -> None:
    try:
        next(folder.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TmgcError(
            f"songs must be in a folder with a folder for each genre: there is no folder {folder}. Check the path"
        ) from error
    except OSError as error:
        raise TmgcError(
            f"a folder of songs must be readable: {folder} is not ({error.strerror}). Check its permissions"
        ) from error


def _named_as_songs(found: Sequence[Found], name_of: Mapping[str, str]) -> tuple[list[PurePosixPath], list[Skipped]]:
    """Relative paths of the files with a song's name, sorted, and all other files."""
    named, skipped = list[PurePosixPath](), list[Skipped]()
    for path, reason in found:
        if reason or not path.lower().endswith(AUDIO_SUFFIXES):
            if path not in _IGNORED:
                skipped.append(Skipped(name_of[path], readable(reason) or NOT_AUDIO))
        else:
            named.append(PurePosixPath(path))
    return sorted(named), skipped


def _report(folder: Path, songs: Sequence[Song], skipped: Sequence[Skipped], layout: Layout) -> None:
    """Log the genres with their numbers of songs, folders without songs, and what is skipped, by kind."""
    counts = Counter(song.genre or "(no name)" for song in songs)
    found = ", ".join(f"{genre} {count}" for genre, count in sorted(counts.items())) or "none"
    _log.info("%d songs in %s/%s; genres: %s", len(songs), folder, layout, found)
    if splits := Counter(song.split for song in songs if song.split):
        _log.info("splits: %s", ", ".join(f"{split} {splits[split]}" for split in SPLITS))
    if empty := _without_songs(folder, songs):
        names = ", ".join(map(quoted, empty[:_SHOWN])) + f" and {len(empty) - _SHOWN} more" * (len(empty) > _SHOWN)
        _log.warning("no songs are taken from the folders %s", names)
    if skipped:
        _log.info("not songs: %d files: %s", len(skipped), by_kind(skipped))


def by_kind(skipped: Sequence[Skipped]) -> str:
    """The reasons with their numbers, those that differ only in a number or a folder counted together."""
    kinds = Counter(_SPECIFIC.sub("...", item.reason) for item in skipped)
    ordered = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    shown = "; ".join(f"{count} {kind}" for kind, count in ordered[:_SHOWN])
    return shown + f"; {len(ordered) - _SHOWN} other reasons" * (len(ordered) > _SHOWN)


def _without_songs(folder: Path, songs: Sequence[Song]) -> list[str]:
    """Folders at the level of genres of which no song is taken, but for those of the system."""
    used = {song.path.relative_to(folder).parts[0] for song in songs}
    folders = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted(name for name in folders if name not in used and not no_music(name))


def _check_genres(folder: Path, songs: Sequence[Song], named: Sequence[PurePosixPath], layout: Layout) -> None:
    """Refuse genres that a model cannot have: fewer than two, with the reason where it can be seen, or too many."""
    genres = {song.genre for song in songs}
    if len(genres) >= 2:
        check_genres(sorted(genres))
        return
    advice = f"Songs are files that end in {', '.join(AUDIO_SUFFIXES)}"
    if outside := len(named) - len(songs):
        advice = f"Outside such folders stand {outside} songs: move each into that of its genre"
    elif deeper := _one_level_deeper([song.path.relative_to(folder) for song in songs]):
        advice = f"Are the genres the folders in {folder / deeper}? Then name that, or add another genre"
    raise TmgcError(
        f"songs must be in {folder}/{layout}/, with at least two genres: found {len(songs)} songs in {len(genres)} "
        f"genre(s). {advice}"
    )


def _one_level_deeper(songs: Sequence[Path]) -> str:
    """The folder in which songs are in two folders or more, where those above stand alone; empty if there is none."""
    common = os.path.commonpath([song.parent for song in songs]) if songs else ""
    depth = len(PurePosixPath(common).parts)
    folders = {song.parts[depth] for song in songs if len(song.parts) > depth + 1}
    return common if common and len(folders) > 1 else ""


_SPECIFIC = re.compile(rf"(?<={SAME_AS} ).*|(?<=[\s(])-?\d[\d.]*")
"""What distinguishes reasons of a kind."""

_SHOWN = 8
"""Kinds and names in a message."""

GROUPS_NAME = "groups.csv"
"""A file next to the folders of the genres: see :func:`train.dataset.split.read_groups`."""

_IGNORED = {GROUPS_NAME, MARKER}

NOT_AUDIO = "not an audio file, by its name"
"""The reason for cover images, playlists and texts."""

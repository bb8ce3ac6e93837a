"""Finds the songs in a folder, and the reason why each other file is not one."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edge_runtime.audio_file import AUDIO_SUFFIXES
from edge_runtime.errors import TmgcError

MARKER = "demo_corpus.json"
"""File in a folder of songs that marks them as synthesised by :mod:`train.demo_corpus`."""


class Song(NamedTuple):
    """A file whose name is that of an audio file."""

    path: Path
    relative_path: str
    """Path relative to the folder of songs, with forward slashes, spelt as the file system spells it."""
    genre: str
    """The first folder of that path, in Unicode's composed form (NFC)."""


class Skipped(NamedTuple):
    """A file, a song or a clip that is not in the dataset."""

    song: str
    """Path relative to the folder of songs."""
    reason: str


def find_songs(folder: Path) -> tuple[list[Song], list[Skipped]]:
    """Find all files in a folder of songs, ``folder/<genre>/**``, and tell songs from other files.

    Symbolic links are followed, also to folders, except for a link to a folder that contains it. Hidden files and
    files in hidden folders are not songs. ``groups.csv`` and the marker of a demonstration corpus are ignored.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    songs : list of Song
        Sorted by path.
    skipped : list of Skipped
        All other files.

    Raises
    ------
    TmgcError
        The folder does not exist, cannot be read, or does not hold songs of at least two genres.
    """
    _check_readable(folder)
    songs, skipped = [], []
    for path, unreadable in sorted(_files(folder)):
        relative = path.relative_to(folder)
        if relative.as_posix() in _IGNORED:
            continue
        song = Song(path, relative.as_posix(), nfc(relative.parts[0]))
        if reason := unreadable or _reason_against(relative, song.genre):
            skipped.append(Skipped(song.relative_path, reason))
        else:
            songs.append(song)
    genres = {song.genre for song in songs}
    if len(genres) < 2:
        raise TmgcError(
            f"songs must be in {folder}/<genre>/, with at least two genres: found {len(songs)} songs in {len(genres)} "
            f"genre(s). Songs are files that end in {', '.join(AUDIO_SUFFIXES)}"
        )
    return songs, skipped


def nfc(text: str) -> str:
    """Text in Unicode's composed form: the same letters have one spelling."""
    return unicodedata.normalize("NFC", text)


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


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every path that is not a folder, with the reason if it cannot be read, else an empty string."""
    waiting = [(folder, frozenset([_identity(folder.stat())]))]
    while waiting:
        inside, ancestors = waiting.pop()
        try:
            paths = list(inside.iterdir())
        except OSError as error:
            yield inside, f"the folder cannot be read: {error.strerror}"
            continue
        for path in paths:
            try:
                status = path.stat()
            except OSError as error:
                yield path, "a broken link" if path.is_symlink() else f"cannot be read: {error.strerror}"
                continue
            if stat.S_ISDIR(status.st_mode):
                if (identity := _identity(status)) in ancestors:
                    yield path, "a link to a folder that contains it"
                else:
                    waiting.append((path, ancestors | {identity}))
            else:
                yield path, "" if stat.S_ISREG(status.st_mode) else "a pipe, a socket or a device, not a file"


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reason_against(relative: Path, genre: str) -> str:
    """Why the path is not that of a song; empty if it is."""
    if any(part.startswith(".") for part in relative.parts):
        return "hidden"
    if relative.suffix.lower() not in AUDIO_SUFFIXES:
        return NOT_AUDIO
    if len(relative.parts) == 1:
        return "not in the folder of a genre"
    if not genre.isprintable():
        return "the name of its genre's folder is not UTF-8 or holds control characters: rename the folder"
    return ""


GROUPS_NAME = "groups.csv"
"""A file next to the folders of the genres: see :func:`train.dataset.split.read_groups`."""

_IGNORED = {GROUPS_NAME, MARKER}

NOT_AUDIO = "not an audio file, by its name"
"""The reason for cover images, playlists and texts."""

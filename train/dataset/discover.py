"""Finds the songs below a folder, and says of every other file why it is none."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edge_runtime.audio import AUDIO_SUFFIXES
from edge_runtime.errors import TmgcError
from train.demo_corpus import MARKER

FFMPEG_SUFFIXES = (".m4a", ".aac", ".wma")
"""Sound that libsndfile does not know."""

SONG_SUFFIXES = (*AUDIO_SUFFIXES, *FFMPEG_SUFFIXES)
"""File names that count as songs."""


class Song(NamedTuple):
    """An audio file, by its name."""

    path: Path
    relative_path: str
    """Its path below the folder of songs, with forward slashes, as the system spells it."""
    genre: str
    """The first folder of that path, in Unicode's composed form (NFC), however the folder is spelt."""


class Skipped(NamedTuple):
    """Something that was left out."""

    song: str
    """A path below the folder of songs."""
    reason: str


def find_songs(folder: Path) -> tuple[list[Song], list[Skipped]]:
    """Every file below the folder, sorted: the songs, and what is no song.

    Links are followed, to folders as well, but for a link to a folder that it stands in. Hidden files and what stands
    in hidden folders are no songs. What the project itself puts beside the genres is neither.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    songs : list of Song
    left_out : list of Skipped

    Raises
    ------
    TmgcError
        There is no such folder, it cannot be read, or it holds no songs in at least two genres.
    """
    _check_readable(folder)
    songs, left_out = [], []
    for path, unreadable in sorted(_files(folder)):
        below = path.relative_to(folder)
        if below.as_posix() in _OURS:
            continue
        song = Song(path, below.as_posix(), nfc(below.parts[0]))
        if reason := unreadable or _no_song(below, song.genre):
            left_out.append(Skipped(song.relative_path, reason))
        else:
            songs.append(song)
    genres = {song.genre for song in songs}
    if len(genres) < 2:
        raise TmgcError(
            f"songs stand in {folder}/<genre>/ with at least two genres: found {len(songs)} songs in {len(genres)} "
            f"genre(s). Songs are files that end in {', '.join(SONG_SUFFIXES)}"
        )
    return songs, left_out


def nfc(text: str) -> str:
    """Text in Unicode's composed form, in which two spellings of the same letters are equal."""
    return unicodedata.normalize("NFC", text)


def _check_readable(folder: Path) -> None:
    try:
        next(folder.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TmgcError(f"songs stand in a folder with one folder a genre: there is no folder {folder}") from error
    except OSError as error:
        raise TmgcError(
            f"a folder of songs must be readable: {folder} is not ({error.strerror}). Check its permissions"
        ) from error


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """All that is not a folder, each with the reason if it cannot be read."""
    waiting = [(folder, frozenset([_identity(folder.stat())]))]
    while waiting:
        inside, above = waiting.pop()
        try:
            paths = list(inside.iterdir())
        except OSError as error:
            yield inside, f"the folder cannot be read: {error.strerror}"
            continue
        for path in paths:
            try:
                status = path.stat()
            except OSError as error:
                yield path, "a link that leads nowhere" if path.is_symlink() else f"cannot be read: {error.strerror}"
                continue
            if stat.S_ISDIR(status.st_mode):
                if (identity := _identity(status)) in above:
                    yield path, "a link to a folder that it stands in"
                else:
                    waiting.append((path, above | {identity}))
            else:
                yield path, "" if stat.S_ISREG(status.st_mode) else "not a file but a pipe, a socket or a device"


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _no_song(below: Path, genre: str) -> str:
    """Why a file is not taken for a song, by its path; nothing if it is."""
    if any(part.startswith(".") for part in below.parts):
        return "hidden"
    if below.suffix.lower() not in SONG_SUFFIXES:
        return NOT_AUDIO
    if len(below.parts) == 1:
        return "it stands in no genre's folder"
    if not genre.isprintable():
        return "the name of its genre's folder is not UTF-8 or holds control characters: rename the folder"
    return ""


GROUPS_NAME = "groups.csv"
"""A file beside the genres: see :func:`train.dataset.split.read_groups`."""

_OURS = {GROUPS_NAME, MARKER}

NOT_AUDIO = "not an audio file, by its name"
"""The reason for covers, playlists and texts."""

"""Finds the songs in a folder, and the reason why each other file is not one."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from logging import getLogger
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_runtime.audio_file import AUDIO_SUFFIXES
from edge_runtime.errors import TmgcError
from train.dataset.genres import check_genre_names, genre_name, quoted
from train.dataset.layout import Layout, check_split_folders
from train.run import SPLITS

_log = getLogger("tmgc.dataset")

MARKER = "demo_corpus.json"
"""File in a folder of songs that marks them as synthesised by :mod:`train.demo_corpus`."""


class Song(NamedTuple):
    """A file whose name is that of an audio file."""

    path: Path
    relative_path: str
    """Path relative to the folder of songs, with forward slashes, spelt as the file system spells it."""
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
        The folder does not exist, cannot be read, holds more than :data:`MOST_FILES` files, or does not hold songs of
        at least two genres; genres have names that cannot stand side by side; or folders are splits and
        ``split_folders`` is not set, or the other way round.
    """
    _check_readable(folder)
    named, skipped = _named_as_songs(folder)
    recognised = Layout.of(named)
    layout = recognised if split_folders else Layout()
    songs, genre_folders = [], Counter[str]()
    for path in named:
        if place := layout.place(path):
            genre_folders[place[0]] += 1
            songs.append(Song(folder / path, str(path), genre_name(place[0]), place[1]))
        else:
            skipped.append(
                Skipped(str(path), f"not in the folder of a genre{' and a split' * (layout.split is not None)}")
            )
    _report(folder, songs, skipped, layout)
    check_split_folders(folder, recognised, named, split_folders=split_folders)
    _check_genres(folder, songs, named, layout)
    check_genre_names(genre_folders)
    return songs, sorted(skipped)


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


def _named_as_songs(folder: Path) -> tuple[list[PurePosixPath], list[Skipped]]:
    """Relative paths of the files with a song's name, sorted, and all other files."""
    named, skipped = list[PurePosixPath](), list[Skipped]()
    for path, unreadable in _files(folder):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        if str(relative) in _IGNORED:
            continue
        if reason := _no_music(relative.parts) or unreadable or ("" if _is_song(relative) else NOT_AUDIO):
            skipped.append(Skipped(str(relative), reason))
        else:
            named.append(relative)
    return sorted(named), skipped


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every path that is not a folder, with the reason if it cannot be read, else an empty string.

    Links to folders are followed after all folders that have a path of their own, in the order of their paths.
    """
    read = {_identity(above): Path() for above in (folder, *folder.resolve().parents)}
    waiting, links, count = [folder], list[Path](), 0
    while waiting or links:
        if waiting:
            inside = waiting.pop()
        else:
            inside = heappop(links)
            relative = inside.relative_to(folder)
            if (first := read.setdefault(_identity(inside), relative)) != relative:
                yield inside, _read_as(first)
                continue
        try:
            with os.scandir(inside) as found:
                entries = list(islice(found, MOST_FILES + 1 - count))
        except OSError as error:
            yield inside, f"the folder cannot be read: {error.strerror}"
            continue
        count += len(entries)
        if count > MOST_FILES:
            raise TmgcError(
                f"a folder of songs may hold {MOST_FILES:,} files and folders: {folder} holds more, the last ones in "
                f"{inside}. Remove links to other folders, or prepare a part of it"
            )
        for entry in entries:
            path = Path(entry)
            relative = path.relative_to(folder)
            if not _is_folder(entry):
                yield path, _reason_against_reading(entry)
            elif not entry.is_symlink():
                if not _no_music(relative.parts) and (first := read.setdefault(_identity(path), relative)) != relative:
                    yield path, _read_as(first)
                else:
                    waiting.append(path)
            elif _no_music(relative.parts):
                yield path, ""
            else:
                heappush(links, path)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _reason_against_reading(entry: os.DirEntry[str]) -> str:
    """Why what is no folder cannot be read; empty if it can."""
    try:
        if entry.is_file():
            return ""
        entry.stat()
    except OSError as error:
        return "a broken link" if entry.is_symlink() else f"cannot be read: {error.strerror}"
    return "a pipe, a socket or a device, not a file"


def _read_as(first: Path) -> str:
    return f"the same folder as {first.as_posix()}" if first.parts else "a link to a folder that contains it"


def _no_music(parts: Sequence[str]) -> str:
    """Why a path is in no folder of music; empty if it may be."""
    for name in parts:
        if name.startswith("._"):
            return "what macOS writes beside a file"
        if _SYSTEM.fullmatch(name):
            return f"in {name}, a folder of the system"
        if name.startswith(".") and not name.startswith(".."):
            return "hidden"
    return ""


def _is_song(path: PurePosixPath) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES


def _report(folder: Path, songs: Sequence[Song], skipped: Sequence[Skipped], layout: Layout) -> None:
    """Log the genres with their numbers of songs, folders without songs, and what is skipped, by kind."""
    counts = Counter(song.genre or "(no name)" for song in songs)
    found = ", ".join(f"{genre} {count}" for genre, count in sorted(counts.items())) or "none"
    _log.info("%d songs in %s/%s; genres: %s", len(songs), folder, layout, found)
    if splits := Counter(song.split for song in songs if song.split):
        _log.info("splits: %s", ", ".join(f"{split} {splits[split]}" for split in SPLITS))
    if empty := _without_songs(folder, songs):
        _log.warning("no songs are taken from the folders %s", ", ".join(map(quoted, empty)))
    if skipped:
        reasons = Counter(item.reason for item in skipped)
        kinds = sorted(reasons.items(), key=lambda kind: (-kind[1], kind[0]))
        shown = "; ".join(f"{count} {reason}" for reason, count in kinds[:_KINDS])
        more = f"; {len(kinds) - _KINDS} other reasons" if len(kinds) > _KINDS else ""
        _log.info("not songs: %d files: %s%s", len(skipped), shown, more)


def _without_songs(folder: Path, songs: Sequence[Song]) -> list[str]:
    """Folders at the level of genres that hold no songs and are not those of the system."""
    used = {PurePosixPath(song.relative_path).parts[0] for song in songs}
    names = (entry.name for entry in os.scandir(folder) if _is_folder(entry))
    return sorted(name for name in names if name not in used and not _no_music([name]))


def _check_genres(folder: Path, songs: Sequence[Song], named: Sequence[PurePosixPath], layout: Layout) -> None:
    """Refuse songs of fewer than two genres, with the reason where it can be seen."""
    genres = {song.genre for song in songs}
    if len(genres) >= 2:
        return
    advice = f"Songs are files that end in {', '.join(AUDIO_SUFFIXES)}"
    if outside := len(named) - len(songs):
        advice = f"Outside such folders stand {outside} songs: move each into that of its genre"
    elif deeper := _one_level_deeper([PurePosixPath(song.relative_path) for song in songs]):
        advice = f"Are the genres the folders in {folder / deeper}? Then name that"
    raise TmgcError(
        f"songs must be in {folder}/{layout}/, with at least two genres: found {len(songs)} songs in {len(genres)} "
        f"genre(s). {advice}"
    )


def _one_level_deeper(songs: Sequence[PurePosixPath]) -> str:
    """The folder in which songs are in two folders or more, where those above stand alone; empty if there is none."""
    common = os.path.commonpath([song.parent for song in songs]) if songs else ""
    depth = len(PurePosixPath(common).parts)
    folders = {song.parts[depth] for song in songs if len(song.parts) > depth + 1}
    return common if len(folders) > 1 else ""


MOST_FILES = 200_000
"""Files and folders in a folder of songs: more are a link to something else, such as a whole disk."""

_KINDS = 8
"""Reasons in a summary."""

_SYSTEM = re.compile(
    r"""
    \$(recycle(\.bin)?|extend|winreagent|windows\.~\w+|sysreset|getcurrent)  # Windows
    | recycle[rd] | recycle\.bin | system\ volume\ information | found\.\d{3} | config\.msi | msdownld\.tmp
    | [#@~]snapshots? | [#@]recycle | @(recently-snapshot|eadir|tmp|sharebin|__thumb|transcode|syno\w*)  # network disks
    | lost\+found | lost\.dir | __macosx | network\ trash\ folder | temporary\ items | thevolumesettingsfolder
    | \.(trash.* | recycler? | snapshots? | zfs | @__thumb | streams | apple\w+ | spotlight-.* | fseventsd
        | temporaryitems | documentrevisions-.* | st(folder|versions) | sync | dropbox.*)
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Folders that operating systems, network disks and programs keep beside the files of a user."""

GROUPS_NAME = "groups.csv"
"""A file next to the folders of the genres: see :func:`train.dataset.split.read_groups`."""

_IGNORED = {GROUPS_NAME, MARKER}

NOT_AUDIO = "not an audio file, by its name"
"""The reason for cover images, playlists and texts."""

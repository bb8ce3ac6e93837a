"""All files below a folder: those behind links too, every folder once, and no more than a music collection has."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator, Iterator
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from edge_runtime.errors import TmgcError

MOST_FILES = 200_000
"""Files and folders: more are a link to something else, such as a whole disk."""

ANY_NUMBER = sys.maxsize - 1
"""For ``most_files``, where there is no limit."""

SAME_AS = "the same folder as"
"""Beginning of the reason against a second way to a folder."""

FOLDER_CANNOT_BE_READ = "the folder cannot be read"
CANNOT_BE_READ = "cannot be read"
"""Beginnings of the reasons against a folder, and against a file."""

BROKEN_LINK = "a broken link"
"""The reason against a link whose target is missing, or cannot be reached."""

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


class Found(NamedTuple):
    """A path that is not a folder to read."""

    path: str
    """Relative, with forward slashes."""
    reason: str
    """Why it is left out, or empty."""


def walk(folder: Path, *, most_files: int | None = None) -> Iterator[Found]:
    """Every file below a folder, in any order.

    A folder is read by its own path if it has one, else by the first of the links to it. A link to a folder that is
    read already, or that contains ``folder``, is a path with a reason. So are all files in hidden folders and in those
    of the system, in which no link is followed.

    Parameters
    ----------
    folder : Path
    most_files : int > 0, optional
        :data:`MOST_FILES` by default.

    Raises
    ------
    TmgcError
        There are more files and folders than that.
    """
    return iter(_Walk(folder, MOST_FILES if most_files is None else most_files))


class _Walk:
    """Folders that wait to be read, and the links that wait until all others are."""

    def __init__(self, folder: Path, most_files: int) -> None:
        self._folder = folder
        self._most_files = most_files
        self._read = {_identity(above): "" for above in (folder, *folder.resolve().parents)}
        self._waiting = [Found("", "")]
        self._links: list[str] = []
        self._count = 0

    def __iter__(self) -> Iterator[Found]:
        while self._waiting or self._links:
            if self._waiting:
                yield from self._files(*self._waiting.pop())
                continue
            link = heappop(self._links)
            if not (yield from self._read_before(self._folder / link, link)):
                yield from self._files(link, "")

    def _files(self, inside: str, reason: str) -> Iterator[Found]:
        """The files of a folder, which are all left out where there is a reason; its folders wait."""
        try:
            entries = self._entries(inside)
        except OSError as error:
            yield Found(inside, reason or f"{FOLDER_CANNOT_BE_READ}: {error.strerror}")
            return
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            left_out = reason or no_music(entry.name)
            if not _is_folder(entry) or (left_out and entry.is_symlink()):
                yield Found(path, left_out or _unreadable(entry))
            elif entry.is_symlink():
                heappush(self._links, path)
            elif left_out or not (yield from self._read_before(entry, path)):
                self._waiting.append(Found(path, left_out))

    def _entries(self, inside: str) -> list[os.DirEntry[str]]:
        with os.scandir(self._folder / inside) as found:
            entries = list(islice(found, self._most_files + 1 - self._count))
        self._count += len(entries)
        if self._count > self._most_files:
            raise TmgcError(
                f"a folder of songs may hold {self._most_files:,} files and folders: {self._folder} holds more, the "
                f"last ones in {self._folder / inside}. Remove links to other folders, or prepare a part of it"
            )
        return entries

    def _read_before(self, folder: Path | os.DirEntry[str], path: str) -> Generator[Found, None, bool]:
        """Whether a folder is read by another path, which is then the reason; it is read by this one from now on."""
        first = self._read.setdefault(_identity(folder), path)
        if first != path:
            yield Found(path, _same_as(first))
        return first != path


def no_music(name: str) -> str:
    """Why a file of this name, or all files in a folder of this name, are no music; empty if they may be."""
    if name.startswith("._"):
        return "what macOS writes beside a file"
    if _SYSTEM.fullmatch(name):
        return f"in {name}, a folder of the system"
    return "hidden" if name.startswith(".") and not name.startswith("..") else ""


def _identity(folder: Path | os.DirEntry[str]) -> tuple[int, int] | str:
    """What two paths to a folder have in common; the path of one that has gone, which is found when it is read."""
    try:
        status = Path(folder).stat()
    except OSError:
        return os.fspath(folder)
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _unreadable(entry: os.DirEntry[str]) -> str:
    """Why what is no folder cannot be read; empty if it can."""
    try:
        if entry.is_file():
            return ""
        entry.stat()
    except OSError as error:
        return BROKEN_LINK if entry.is_symlink() else f"{CANNOT_BE_READ}: {error.strerror}"
    return "a pipe, a socket or a device, not a file"


def _same_as(first: str) -> str:
    return f"{SAME_AS} {first}" if first else "a link to a folder that contains it"

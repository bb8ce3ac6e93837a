"""All files below a folder: those behind links too, every folder once, and no more than a music collection has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from edge_runtime.errors import TmgcError

MOST_FILES = 200_000
"""Files and folders: more are a link to something else, such as a whole disk."""

SAME_AS = "the same folder as"
"""Beginning of the reason against a second way to a folder."""

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


def walk(folder: Path) -> Iterator[Found]:
    """Every file below a folder, in any order.

    A folder is read by its own path if it has one, else by the first of the links to it. A link to a folder that is
    read already, or that contains ``folder``, is a path with a reason. So are all files in hidden folders and in those
    of the system, in which no link is followed.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    TmgcError
        There are more than :data:`MOST_FILES` files and folders.
    """
    read = {_identity(above): "" for above in (folder, *folder.resolve().parents)}
    waiting, links, count = [Found("", "")], list[str](), 0
    while waiting or links:
        if waiting:
            inside, reason = waiting.pop()
        else:
            inside, reason = heappop(links), ""
            if (first := read.setdefault(_identity(folder / inside), inside)) != inside:
                yield Found(inside, _same_as(first))
                continue
        try:
            with os.scandir(folder / inside) as found:
                entries = list(islice(found, MOST_FILES + 1 - count))
        except OSError as error:
            yield Found(inside, reason or f"the folder cannot be read: {error.strerror}")
            continue
        count += len(entries)
        if count > MOST_FILES:
            raise TmgcError(
                f"a folder of songs may hold {MOST_FILES:,} files and folders: {folder} holds more, the last ones in "
                f"{folder / inside}. Remove links to other folders, or prepare a part of it"
            )
        for entry in entries:
            path = f"{inside}/{entry.name}" if inside else entry.name
            left_out = reason or no_music(entry.name)
            if not _is_folder(entry):
                yield Found(path, left_out or _unreadable(entry))
            elif left_out:
                if entry.is_symlink():
                    yield Found(path, left_out)
                else:
                    waiting.append(Found(path, left_out))
            elif entry.is_symlink():
                heappush(links, path)
            elif (first := read.setdefault(_identity(entry), path)) != path:
                yield Found(path, _same_as(first))
            else:
                waiting.append(Found(path, ""))


def no_music(name: str) -> str:
    """Why a file of this name, or all files in a folder of this name, are no music; empty if they may be."""
    if name.startswith("._"):
        return "what macOS writes beside a file"
    if _SYSTEM.fullmatch(name):
        return f"in {name}, a folder of the system"
    return "hidden" if name.startswith(".") and not name.startswith("..") else ""


def _identity(folder: Path | os.DirEntry[str]) -> tuple[int, int]:
    status = Path(folder).stat()
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
        return "a broken link" if entry.is_symlink() else f"cannot be read: {error.strerror}"
    return "a pipe, a socket or a device, not a file"


def _same_as(first: str) -> str:
    return f"{SAME_AS} {first}" if first else "a link to a folder that contains it"

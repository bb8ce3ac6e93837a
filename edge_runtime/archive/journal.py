"""``journal.jsonl``: every change of a song's tags, on the disk before the song changes, so that it can be undone.

A line says which song changes, what its field holds, and the song's size and modification time before and after. So its
size and time tell which of the changes have taken place, also after a kill between a line and its change, and whether
somebody else has changed the song since.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from edge_runtime.errors import TmgcError
from edge_runtime.files import sync_folder

log = logging.getLogger("tmgc.archive")

JOURNAL = "journal.jsonl"

WRITE, UNDO = "write", "undo"

SCHEMA = 1
"""Version of the lines."""


class State(NamedTuple):
    """What tells whether a file has changed."""

    size: int
    """Bytes."""
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> State:
        """From what the system says of a file."""
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Change:
    """One change of the tags of one song."""

    action: str
    """``write`` or ``undo``."""
    root: str
    path: str
    """Both as in the manifest."""
    before: State
    after: State
    field: str
    had_tags: bool = True
    """Whether the song had tags at all."""
    values: Any = None
    """What the field held, in a form of its format's own; None where it was not there."""
    written: Any = None
    """What a write has put there, in the same form."""
    schema: int = SCHEMA
    time: str = ""
    """UTC."""


class JournalError(OSError):
    """The journal cannot be written, so no song may be changed."""


class Journal:
    """Appends changes; a context manager.

    Parameters
    ----------
    folder : Path
        Of the results; nobody else writes to its journal meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL

    def __enter__(self) -> Journal:
        self._file = self._path.open("ab", buffering=0)
        self._file.truncate(_whole_bytes(self._path))
        sync_folder(self._path.parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, change: Change) -> None:
        """Write a line, which is on the disk when this returns.

        Raises
        ------
        JournalError
            It is not, and no part of it has stayed.
        """
        document = asdict(change) | {"time": datetime.now(UTC).isoformat(timespec="seconds")}
        line = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        end = self._path.stat().st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(end)
            raise JournalError(error.errno, error.strerror, str(self._path)) from error


def read_changes(folder: Path) -> Iterator[Change]:
    """The changes of a folder of results, the oldest first; none where there is no journal.

    A last line without an end, which a power failure leaves behind, belongs to no change.

    Raises
    ------
    TmgcError
        A line is of another schema.
    """
    path = folder / JOURNAL
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n") and (change := _parsed(path, number, line)):
                yield change


def changes_by_song(folder: Path) -> dict[tuple[str, str], list[Change]]:
    """The changes of each song, by root and path."""
    found = defaultdict[tuple[str, str], list[Change]](list)
    for change in read_changes(folder):
        found[change.root, change.path].append(change)
    return dict(found)


def applied(changes: Sequence[Change], state: State) -> list[Change] | None:
    """The changes of a song that have taken place.

    Parameters
    ----------
    changes : sequence of Change
        All of the song, the oldest first.
    state : State
        Of the song now.

    Returns
    -------
    applied : list of Change or None
        Each begins with the state in which the one before it ended. None where no change ends or begins with the
        song's state: somebody else has changed it.
    """
    if all(state not in (change.before, change.after) for change in changes):
        return None
    found = []
    for change in reversed(changes):
        if change.after == state:
            found.append(change)
            state = change.before
    return found[::-1]


def to_restore(changes: Iterable[Change]) -> dict[str, Change]:
    """The first change of each field since the last undo, of changes that have taken place."""
    found = dict[str, Change]()
    for change in changes:
        if change.action == UNDO:
            found.pop(change.field, None)
        else:
            found.setdefault(change.field, change)
    return found


class OwnChanges:
    """Tells what a song was before its tags were written, from which nothing but its tags differs.

    Parameters
    ----------
    folder : Path
        Of the results.
    """

    def __init__(self, folder: Path) -> None:
        self._before = dict[tuple[str, str, State], State]()
        for change in read_changes(folder):
            before = self.original(change.root, change.path, change.before)
            self._before[change.root, change.path, change.after] = before

    def original(self, root: str, path: str, state: State) -> State:
        """The state of a song before all changes of its tags that led to this state; else the same.

        Parameters
        ----------
        root, path : str
            As in the manifest.
        state : State
        """
        return self._before.get((root, path, state), state)


def _whole_bytes(path: Path) -> int:
    """Length of a journal without a last line that has no end."""
    size = 0
    with path.open("rb") as file:
        for line in file:
            size += len(line) if line.endswith(b"\n") else 0
    return size


def _parsed(path: Path, number: int, line: bytes) -> Change | None:
    try:
        document = json.loads(line)
        if document["schema"] != SCHEMA:
            raise TmgcError(
                f"{path} must be of schema {SCHEMA}: line {number} is not. Use the tmgc that has written it"
            )
        document |= {key: State(*map(int, document[key])) for key in ("before", "after")}
        return Change(**document)
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("line %d of %s is damaged: that change of tags cannot be undone", number, path)
        return None

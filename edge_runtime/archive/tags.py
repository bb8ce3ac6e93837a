"""Genres written into the tags of songs, and taken back.

A song is never changed in place. Its copy is changed, compared with it, and takes its place in one step, so that a kill
or a full disk leaves the song whole. The journal knows of a change before it takes place.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edge_runtime.archive.audio_part import audio_hash
from edge_runtime.archive.journal import (
    UNDO,
    WRITE,
    Change,
    Journal,
    JournalError,
    OwnChanges,
    State,
    applied,
    changes_by_song,
    to_restore,
)
from edge_runtime.archive.remote import is_address
from edge_runtime.archive.results import PROBABILITY, Archive, local_path
from edge_runtime.archive.song_tags import GENRE, SEPARATOR_V23, SongTags, open_tags
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import PARTIAL, sync_folder

_FIELDS = f"{GENRE}|TMGC_[A-Z0-9_]+"
"""What is written: the field that players know, or one that nothing else uses."""

WRITTEN, SAME, KEPT, UNSURE, NO_GENRE, REMOTE, REFUSED = (
    *("written", "same", "kept", "unsure", "no genre", "remote", "refused"),
)
"""What became of a song: it has the genre now, had it, keeps another, is below the confidence, is unknown, silent or
unread, lies on another machine, or could not be changed."""

_COPY = re.compile(rf"{re.escape(PARTIAL)}tag-[0-9a-f]{{16}}(\.|$)")
"""Name of a song's copy."""

_STEP_NS = 2_000_000_000
"""Modification times are whole even seconds, which every file system can store."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What ends the work: no other song could be written either."""


@dataclass(frozen=True)
class WriteSettings:
    """What is written where."""

    min_confidence: float = 0.8
    """In [0, 1]."""
    also: float | None = None
    """Probability from which a further genre is written as a further value; None writes one."""
    field: str = GENRE
    """``GENRE``, or a name that begins with ``TMGC_``."""
    replace: bool = False
    """Whether what a field holds is replaced."""
    id3v2_version: int = 4
    """Of new ID3v2 tags: 3 or 4."""

    def __post_init__(self) -> None:
        if not re.fullmatch(_FIELDS, self.field):
            raise TmgcError(f"--field is {GENRE} or a name such as TMGC_GENRE, got {self.field!r}")


class Done(NamedTuple):
    """What became of a song."""

    path: str
    """Of the song, as the file system spells it."""
    outcome: str
    """One of :data:`WRITTEN` and its neighbours."""
    before: tuple[str, ...] = ()
    """What the field held."""
    after: tuple[str, ...] = ()
    """What it holds, or would."""
    reason: str = ""
    """Of a refusal."""


def write_tags(archive: Archive, settings: WriteSettings, *, journal: Journal | None) -> Iterator[Done]:
    """Write the genre of each song into its tags.

    Parameters
    ----------
    archive : Archive
    settings : WriteSettings
    journal : Journal or None
        None changes nothing.

    Yields
    ------
    done : Done
        Of each song of the archive, in the order of the manifest.

    Raises
    ------
    OSError
        The disk is full or read-only, or the journal cannot be written.
    """
    own, leftovers = OwnChanges(archive.folder), _Leftovers()
    columns = ["path", "root", "size", "mtime_ns", "genre", "confidence"]
    for row in archive.rows([*columns, *(PROBABILITY + genre for genre in archive.genres)]):
        path = str(Path(local_path(row["root"]), local_path(row["path"])))
        if journal and not is_address(row["root"]):
            leftovers.remove(Path(path).parent)
        if row["genre"] not in archive.genres:
            yield Done(path, NO_GENRE)
        elif row["confidence"] < settings.min_confidence:
            yield Done(path, UNSURE)
        elif is_address(row["root"]):
            yield Done(path, REMOTE)
        else:
            values = _values(row, archive, settings)
            yield _attempt(path, partial(_write, row, values, settings, own, journal))


def undo_tags(folder: Path, *, journal: Journal | None) -> Iterator[Done]:
    """Give songs the tags back that they had before.

    Parameters
    ----------
    folder : Path
        Of the results.
    journal : Journal or None
        None changes nothing.

    Yields
    ------
    done : Done
        Of each song with a change to undo; ``written`` where it has its tags back.

    Raises
    ------
    OSError
        As of :func:`write_tags`.
    """
    leftovers = _Leftovers()
    for (root, stored), changes in changes_by_song(folder).items():
        path = str(Path(local_path(root), local_path(stored)))
        if journal:
            leftovers.remove(Path(path).parent)
        done = _attempt(path, partial(_undo, root, stored, changes, journal))
        if done.outcome != SAME:
            yield done


def _attempt(path: str, change: Callable[[], Done]) -> Done:
    """The outcome of a change; a refusal where the song or the system does not allow it."""
    try:
        return change()
    except TmgcError as error:
        reason = str(error)
    except Exception as error:  # of mutagen, which hides what the system says, or whatever damage does to it
        system = next((each for each in (error, error.__context__) if isinstance(each, OSError) and each.errno), None)
        if system and (isinstance(system, JournalError) or system.errno in _FULL):
            raise system from None
        said = first_line(error).replace(repr(path), "it") if str(error) else "they are damaged"
        reason = f"the system refuses: {system.strerror}" if system else f"its tags cannot be read or written: {said}"
    return Done(path, REFUSED, reason=reason)


def _values(row: dict[str, Any], archive: Archive, settings: WriteSettings) -> tuple[str, ...]:
    """The genre, then others by falling probability."""
    if settings.also is None:
        return (row["genre"],)
    others = {genre: row[PROBABILITY + genre] for genre in archive.genres if genre != row["genre"]}
    more = sorted((genre for genre in others if others[genre] >= settings.also), key=lambda genre: -others[genre])
    return (row["genre"], *more)


def _write(
    row: dict[str, Any], values: Sequence[str], settings: WriteSettings, own: OwnChanges, journal: Journal | None
) -> Done:
    root, stored = row["root"], row["path"]
    path, state = _song(root, stored)
    if own.original(root, stored, state) != (row["size"], row["mtime_ns"]):
        raise TmgcError("it has changed since it was classified: run tmgc-tag again")
    tags = open_tags(path, settings.field, id3v2_version=settings.id3v2_version)
    before = tuple(tags.values)
    kept = before or tuple(tags.elsewhere)
    done = Done(str(path), WRITTEN, kept, tuple(values))
    if _same(before, values):
        return done._replace(outcome=SAME)
    if kept and not settings.replace:
        return done._replace(outcome=KEPT)
    if journal:
        had = {"field": settings.field, "had_tags": tags.had_tags, "values": tags.stored}
        tags.set(values)
        _exchange(path, state, tags, journal, partial(Change, WRITE, root, stored, state, written=tags.stored, **had))
    return done


def _same(before: Sequence[str], values: Sequence[str]) -> bool:
    return list(before) in (list(values), [SEPARATOR_V23.join(values)])


def _undo(root: str, stored: str, changes: Sequence[Change], journal: Journal | None) -> Done:
    path, state = _song(root, stored)
    past = applied(changes, state)
    restored = to_restore(past or ())
    others = to_restore(change for change in changes if change.before != state)  # from which it has not changed yet
    more = {field: change for field, change in others.items() if field not in restored}
    done = Done(str(path), SAME)
    for field, change in (*reversed(restored.items()), *more.items()):  # the first may have brought the tags themselves
        tags = open_tags(path, field)
        if field in more and not _holds_written(tags, changes):
            continue
        before = tuple(tags.values)
        tags.restore(change.values)
        done = Done(str(path), WRITTEN, (*done.before, *before), (*done.after, *tags.values))
        if journal:
            undone = partial(Change, UNDO, root, stored, state, field=field)
            size, keep_tags = (None, True) if field in more else (change.before.size, change.had_tags)
            _exchange(path, state, tags, journal, undone, size=size, keep_tags=keep_tags)
            state = State.of(path.lstat())
    if past is None and more and done.outcome == SAME:
        raise TmgcError("it has changed since its tags were written: they are left as they are")
    return done


def _holds_written(tags: SongTags, changes: Sequence[Change]) -> bool:
    """Whether a field holds exactly what one of the changes has written."""
    written = [change.written for change in changes if change.action == WRITE and change.field == tags.field]
    return tags.stored is not None and any(map(tags.holds, written))


def _song(root: str, stored: str) -> tuple[Path, State]:
    """The path and the state of a song that may be replaced.

    Raises
    ------
    TmgcError
        It may not.
    """
    folder = Path(local_path(root))
    path = folder / local_path(stored)
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise TmgcError("it no longer exists") from None
    if path.resolve() != folder.resolve() / local_path(stored):
        raise TmgcError("it is reached through a symbolic link: tag the folder that it is in")
    if not stat.S_ISREG(status.st_mode):
        raise TmgcError("it is not a file")
    if status.st_nlink > 1:
        raise TmgcError(f"it has {status.st_nlink} hard links, of which only one would change")
    if not (status.st_mode & 0o222 and os.access(path, os.W_OK)):
        raise TmgcError("it is read-only")
    return path, State.of(status)


def _exchange(
    path: Path,
    state: State,
    tags: SongTags,
    journal: Journal,
    change: Callable[[State], Change],
    *,
    size: int | None = None,
    keep_tags: bool = True,
) -> None:
    """Replace a song by a copy with its new tags, of which nothing else differs."""
    with _lock(path) as locked, _file_beside(path) as copy:
        tags.save(copy, size=size, keep_tags=keep_tags)
        _check(path, copy, tags)
        _finish(path, copy, state)
        checked = copy.lstat()
        journal.append(change(State.of(checked)))
        if not (_is_still(copy, checked) and _is_still(path, locked) and State.of(locked) == state):
            raise TmgcError("it is being changed by another program")
        copy.replace(path)
    sync_folder(path.parent)


def _is_still(path: Path, known: os.stat_result) -> bool:
    """Whether a path leads to the file that it led to, and that has not changed."""
    status = path.lstat()
    return os.path.samestat(status, known) and State.of(status) == State.of(known)


@contextmanager
def _lock(path: Path) -> Iterator[os.stat_result]:
    """Lock a file against other runs, where the system supports it; yields what the system says of the file.

    Raises
    ------
    TmgcError
        Another run has locked it.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which replaces no open file
        yield path.lstat()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TmgcError("another tmgc-tag is changing it") from None
        except OSError:  # some network file systems lock no file
            pass
        yield os.fstat(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _file_beside(path: Path) -> Iterator[Path]:
    """An empty and locked file beside a song, which only its owner may read, until it has taken the song's place."""
    copy = path.with_name(f"{PARTIAL}tag-{os.urandom(8).hex()}{path.suffix}")
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with _lock(copy):
            yield copy
    finally:
        copy.unlink(missing_ok=True)


class _Leftovers:
    """Removes copies beside songs that a kill has left behind."""

    def __init__(self) -> None:
        self._seen = set[Path]()

    def remove(self, folder: Path) -> None:
        """Remove those of a folder, once; not those of another run, which locks them."""
        if folder in self._seen:
            return
        self._seen.add(folder)
        with suppress(OSError), os.scandir(folder) as entries:
            copies = [entry for entry in entries if _COPY.match(entry.name) and entry.is_file(follow_symlinks=False)]
            for copy in map(Path, copies):
                with suppress(OSError, TmgcError), _lock(copy):
                    copy.unlink()


def _check(path: Path, copy: Path, tags: SongTags) -> None:
    """Check that a copy has the tags that it should have, and the audio of the song.

    Raises
    ------
    TmgcError
        It has not.
    """
    from mutagen import MutagenError

    written = open_tags(copy, tags.field)
    if (written.stored, written.others) != (tags.stored, tags.others):
        raise TmgcError("its other tags would change: it is left as it is")
    try:
        is_same = audio_hash(path, tags.kind) == audio_hash(copy, tags.kind)
    except (ValueError, IndexError, struct.error, RecursionError, MutagenError) as error:
        raise TmgcError(f"its format is damaged: {first_line(error)}") from error
    if not is_same:
        raise TmgcError("its audio would change: it is left as it is")


def _finish(path: Path, copy: Path, state: State) -> None:
    """Give a copy the owner and the permissions of the song and a new modification time, and write it to the disk."""
    status = path.lstat()
    if hasattr(os, "chown") and (status.st_uid, status.st_gid) != (copy.lstat().st_uid, copy.lstat().st_gid):
        try:
            os.chown(copy, status.st_uid, status.st_gid)
        except PermissionError:
            raise TmgcError("its owner cannot be kept: it belongs to another user") from None
    with suppress(PermissionError):
        shutil.copystat(path, copy)
    changed = max(time.time_ns(), state.mtime_ns + _STEP_NS) // _STEP_NS * _STEP_NS
    os.utime(copy, ns=(status.st_atime_ns, changed))
    with copy.open("rb+") as file:
        os.fsync(file.fileno())

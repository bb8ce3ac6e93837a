"""The manifest: which songs a library holds, with their sizes and times of change."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.archive.journal import OwnChanges, State
from edge_runtime.archive.remote import is_address, remote_files
from edge_runtime.archive.results import MANIFEST, local_path, manifest_schema, stored_path
from edge_runtime.audio_file import AUDIO_SUFFIXES
from edge_runtime.errors import TmgcError
from edge_runtime.walk import walk

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("tmgc.archive")

ROW_GROUP = 65_536
"""Songs of the manifest that are in memory at a time when it is read."""

_UNREADABLE = ("the folder cannot be read", "cannot be read", "a broken link")
"""Beginnings of the reasons of :func:`~edge_runtime.walk.walk` that are no choice of its own."""


class Entry(NamedTuple):
    """A song, or a folder that could not be read."""

    path: str
    """As :func:`~edge_runtime.archive.results.stored_path` spells it, relative to the root."""
    size: int
    """Bytes; 0 where it is not known."""
    mtime_ns: int
    """0 where it is not known."""
    unread: str = ""
    """Why a folder could not be read; empty for a song."""


class Library(NamedTuple):
    """What was found."""

    songs: pa.Table
    """By :func:`~edge_runtime.archive.results.manifest_schema`."""
    unread: int
    """Folders that could not be read."""


def find_songs(roots: Sequence[str], before: pa.Table | None, own: OwnChanges) -> Library:
    """The songs of all roots.

    A song whose tags ``tmgc-tag write`` has changed stands there as it was before, so that it is not classified again.
    Songs of an earlier manifest in a folder that cannot be read are kept: they are not gone.

    Parameters
    ----------
    roots : sequence of str
        Addresses, or folders as :func:`~edge_runtime.archive.results.stored_path` spells them.
    before : pyarrow.Table or None
        The earlier manifest.
    own : OwnChanges
        Of the folder of results.

    Raises
    ------
    TmgcError
        A root does not exist, cannot be read, or holds no songs.
    """
    import pyarrow as pa

    parts, unread = list[pa.Table](), 0
    for root in roots:
        entries = _entries(root)
        found = list[pa.Table]()
        while chunk := list(islice(entries, ROW_GROUP)):
            for entry in chunk:
                if entry.unread:
                    unread += 1
                    kept = _below(before, root, entry.path)
                    log.warning("%s/%s: %s; songs kept from before: %d", root, entry.path, entry.unread, len(kept))
                    found.append(kept)
            found.append(_table(root, [_original(root, entry, own) for entry in chunk if not entry.unread]))
        if not sum(map(len, found)):
            raise _without_songs(root, len(_below(before, root, "")))
        _tell_gone(root, _below(before, root, ""), pa.concat_tables(found))
        parts += found
    return Library(pa.concat_tables(parts).sort_by([("root", "ascending"), ("path", "ascending")]), unread)


def read_manifest(out: Path) -> pa.Table | None:
    """The manifest of a folder of results; None where there is none.

    Raises
    ------
    TmgcError
        It is damaged.
    """
    from edge_runtime.archive.shards import read_parquet

    path = out / MANIFEST
    return read_parquet(path) if path.is_file() else None


def write_manifest(out: Path, songs: pa.Table) -> None:
    """Replace the manifest of a folder of results."""
    from edge_runtime.archive.shards import write_parquet

    write_parquet(out / MANIFEST, songs, row_group_size=ROW_GROUP)


def _entries(root: str) -> Iterator[Entry]:
    if is_address(root):
        files = remote_files(root)
        yield from (Entry(*file) for file in files if file.path.lower().endswith(AUDIO_SUFFIXES))
        return
    folder = Path(local_path(root))
    if not folder.is_dir():
        raise TmgcError(f"songs are in a folder: there is no folder {folder}. Check the path, or mount its disk")
    for path, reason in walk(folder, most_files=sys.maxsize - 1):
        if reason.startswith(_UNREADABLE[0]):
            yield Entry(stored_path(path), 0, 0, reason)
        elif path.lower().endswith(AUDIO_SUFFIXES) and (not reason or reason.startswith(_UNREADABLE)):
            yield _entry(folder, path)


def _entry(folder: Path, path: str) -> Entry:
    try:
        status = (folder / path).stat()
    except OSError:  # its row will say why
        return Entry(stored_path(path), 0, 0)
    return Entry(stored_path(path), status.st_size, status.st_mtime_ns)


def _original(root: str, entry: Entry, own: OwnChanges) -> Entry:
    size, mtime_ns = own.original(root, entry.path, State(entry.size, entry.mtime_ns))
    return entry._replace(size=size, mtime_ns=mtime_ns)


def _table(root: str, entries: Sequence[Entry]) -> pa.Table:
    import pyarrow as pa

    paths, sizes, times = ([entry[column] for entry in entries] for column in range(3))
    return pa.table([paths, [root] * len(entries), sizes, times], schema=manifest_schema())


def _below(before: pa.Table | None, root: str, folder: str) -> pa.Table:
    """The songs of an earlier manifest in a folder of a root; in all of it where that is empty."""
    import pyarrow.compute as pc

    if before is None:
        return manifest_schema().empty_table()
    of_root = before.filter(pc.equal(before["root"], root))
    return of_root.filter(pc.starts_with(of_root["path"], f"{folder}/")) if folder else of_root


def _tell_gone(root: str, before: pa.Table, now: pa.Table) -> None:
    """Warn of songs that were there before."""
    gone = before.join(now, keys=["path"], join_type="left anti", use_threads=False) if len(before) else before
    if len(gone):
        log.warning("gone from %s since the last run: %d songs, such as %s", root, len(gone), gone["path"][0])


def _without_songs(root: str, before: int) -> TmgcError:
    if before:
        return TmgcError(
            f"{local_path(root)} holds no songs, and held {before} before: is its disk mounted? Mount it, or leave it "
            "out to have its songs left out"
        )
    return TmgcError(f"songs are files that end in {', '.join(AUDIO_SUFFIXES)}: {local_path(root)} holds none")

"""The manifest: which songs a library holds, with their sizes and times of change."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.archive.journal import OwnChanges, State
from edge_runtime.archive.remote import is_address, remote_files
from edge_runtime.archive.results import MANIFEST, local_path, manifest_schema, stored_path
from edge_runtime.audio_file import AUDIO_SUFFIXES
from edge_runtime.errors import TmgcError
from edge_runtime.walk import ANY_NUMBER, BROKEN_LINK, CANNOT_BE_READ, FOLDER_CANNOT_BE_READ, walk

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("tmgc.archive")

ROW_GROUP = 65_536
"""Songs of the manifest that are in memory at a time when it is read."""


_AT_ONCE = 8192
"""Songs that are Python objects at a time while they are listed: these take ten times as much memory as the table."""


class Entry(NamedTuple):
    """A song, or a folder that cannot be read."""

    path: str
    """As :func:`~edge_runtime.archive.results.stored_path` spells it, relative to the root."""
    size: int
    """Bytes; 0 where it is not known."""
    mtime_ns: int
    """0 where it is not known."""
    unread: str = ""
    """Why it cannot be read; empty where it can."""
    folder: bool = False


class Library(NamedTuple):
    """What was found."""

    songs: pa.Table
    """By :func:`~edge_runtime.archive.results.manifest_schema`."""
    unread: int
    """Folders that could not be read, and songs that could before."""


def find_songs(roots: Sequence[str], before: pa.Table | None, own: OwnChanges) -> Library:
    """The songs of all roots.

    A song whose tags ``tmgc-tag write`` has changed stands there as it was before, so that it is not classified again.
    Songs of an earlier manifest that cannot be read now, or are in a folder that cannot, or behind a link whose target
    is missing, stand there as they did: they are not gone.

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
    for root in sorted(roots):
        entries = _entries(root)
        earlier = _of_root(before, root)
        found = list[pa.Table]()
        while chunk := list(islice(entries, _AT_ONCE)):
            kept, count = _kept(root, [entry for entry in chunk if entry.unread], earlier)
            songs = [_original(root, entry, own) for entry in chunk if not entry.unread]
            found += [kept, _table(root, songs)]
            unread += count
        if not sum(map(len, found)):
            raise _without_songs(root, len(earlier))
        parts.append(sorted_by_path(found))
        _tell_gone(root, earlier, parts[-1])
    return Library(pa.concat_tables(parts), unread)


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
        for file in remote_files(local_path(root)):
            if file.folder or file.path.lower().endswith(AUDIO_SUFFIXES):
                yield Entry(stored_path(file.path), *file[1:])
        return
    folder = Path(local_path(root))
    if not folder.is_dir():
        raise TmgcError(f"songs are in a folder: there is no folder {folder}. Check the path, or mount its disk")
    for path, reason in walk(folder, most_files=ANY_NUMBER):
        if path.lower().endswith(AUDIO_SUFFIXES) and (not reason or reason.startswith((CANNOT_BE_READ, BROKEN_LINK))):
            yield _entry(folder, path)
        elif reason.startswith((FOLDER_CANNOT_BE_READ, BROKEN_LINK)):
            yield Entry(stored_path(path), 0, 0, reason, folder=True)


def _entry(folder: Path, path: str) -> Entry:
    try:
        state = State.of(os.stat(f"{folder}/{path}"))  # noqa: PTH116  # a Path takes half of the time of a listing
    except OSError as error:
        return Entry(stored_path(path), 0, 0, f"cannot be read: {error.strerror}")
    return Entry(stored_path(path), *state)


def _kept(root: str, unread: Sequence[Entry], earlier: pa.Table) -> tuple[pa.Table, int]:
    """What stands in the manifest for all that cannot be read now, and how much of it that is.

    That is what stood there before; a song that did not has its path alone, and its row will say why.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not unread:
        return manifest_schema().empty_table(), 0
    readable = earlier.filter(pc.or_(pc.not_equal(earlier["size"], 0), pc.not_equal(earlier["mtime_ns"], 0)))
    songs = {entry.path: entry for entry in unread if not entry.folder}
    before = readable.filter(pc.is_in(readable["path"], pa.array(list(songs), pa.string())))
    for path in before["path"].to_pylist():
        log.warning("%s/%s: %s; its row is kept from before", root, path, songs.pop(path).unread)
    found, count = [before, _table(root, list(songs.values()))], len(before)
    for entry in unread:
        if entry.folder:
            below = earlier.filter(pc.starts_with(earlier["path"], f"{entry.path}/" if entry.path else ""))
            if entry.unread == BROKEN_LINK and not len(below) and PurePosixPath(entry.path).suffix:
                continue  # it was one to a picture or a text
            log.warning("%s/%s: %s; songs kept from before: %d", root, entry.path, entry.unread, len(below))
            found.append(below)
            count += 1
    return pa.concat_tables(found), count


def _original(root: str, entry: Entry, own: OwnChanges) -> Entry:
    size, mtime_ns = own.original(root, entry.path, State(entry.size, entry.mtime_ns))
    return entry._replace(size=size, mtime_ns=mtime_ns)


def _table(root: str, entries: Sequence[Entry]) -> pa.Table:
    import pyarrow as pa

    paths, sizes, times = ([entry[column] for entry in entries] for column in range(3))
    return pa.table([paths, [root] * len(entries), sizes, times], schema=manifest_schema())


def sorted_by_path(parts: list[pa.Table]) -> pa.Table:
    """The songs of parts, which are emptied meanwhile: together they may take gigabytes.

    Their text may exceed the 2 GiB that the offsets of a column of strings reach, so it stays in parts of
    :data:`ROW_GROUP` songs, and has wider offsets while it is sorted.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = manifest_schema()
    wide = _with_wide_text(pa.concat_tables(parts)).combine_chunks()
    parts.clear()
    order = pc.sort_indices(wide, [("path", "ascending")])
    begins = range(0, len(wide), ROW_GROUP)
    return pa.concat_tables(wide.take(order.slice(begin, ROW_GROUP)).cast(schema) for begin in begins)


def _with_wide_text(songs: pa.Table) -> pa.Table:
    import pyarrow as pa

    return songs.cast(pa.schema([f.with_type(pa.large_string()) if f.type == pa.string() else f for f in songs.schema]))


def _of_root(before: pa.Table | None, root: str) -> pa.Table:
    """The songs of an earlier manifest, which is sorted by root, in one of its roots; without a copy of them."""
    import pyarrow.compute as pc

    if before is None or (first := pc.index(before["root"], root).as_py()) < 0:
        return manifest_schema().empty_table()
    return before.slice(first, pc.sum(pc.equal(before["root"], root)).as_py())


def _tell_gone(root: str, before: pa.Table, now: pa.Table) -> None:
    """Warn of songs that were there before; both are sorted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if before["path"].equals(now["path"]):
        return  # to look for each takes ten times as long, and memory
    paths, there = (songs["path"].cast(pa.large_string()) for songs in (before, now))  # of more than 2 GiB together
    gone = before.filter(pc.invert(pc.is_in(paths, there)))
    if len(gone):
        log.warning("gone from %s since the last run: %d songs, such as %s", root, len(gone), gone["path"][0])


def _without_songs(root: str, before: int) -> TmgcError:
    if before:
        return TmgcError(
            f"{local_path(root)} holds no songs, and held {before} before: is its disk mounted? Mount it, or leave it "
            "out to have its songs left out"
        )
    return TmgcError(f"songs are files that end in {', '.join(AUDIO_SUFFIXES)}: {local_path(root)} holds none")

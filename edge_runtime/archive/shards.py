"""Shards: which ones there are, which are missing, and how they are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.archive.results import (
    MANIFEST,
    OLDER,
    PROBABILITY,
    SHARDS,
    damaged,
    manifest_parts,
    manifest_schema,
    results_key,
    schema,
    shard_name,
)
from edge_runtime.archive.song import Row, Song
from edge_runtime.files import PARTIAL, atomic_write, sync_folder

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_SONGS = 256
"""Songs of a shard on average: a file of some 30 kB, and a minute of work for a small machine."""

SAVE_SECONDS = 30.0
"""Work that is lost at most where this process is killed."""


class Part(NamedTuple):
    """A shard before it is there."""

    name: str
    songs: int


@dataclass(frozen=True)
class Plan:
    """The shards of a manifest.

    Parameters
    ----------
    out : Path
        Folder of results, with its manifest.
    model_sha256 : str
    settings : dict
        Of ``archive.json``.
    """

    out: Path
    model_sha256: str
    settings: dict[str, Any]
    shard_songs: int = SHARD_SONGS

    def parts(self) -> list[Part]:
        """Name and number of songs of each shard."""
        return [Part(self.name(songs), songs.num_rows) for songs in self.manifest_parts()]

    def manifest_parts(self, names: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The songs of each shard, or of each of these."""
        parts = manifest_parts(self.out / MANIFEST, shard_songs=self.shard_songs)
        return parts if names is None else (songs for songs in parts if self.name(songs) in names)

    def name(self, songs: pa.RecordBatch) -> str:
        """File name of the shard of these songs."""
        return shard_name(songs, self._key)

    def path(self, name: str, folder: str = SHARDS) -> Path:
        """Of a shard."""
        return self.out / folder / name

    def existing(self, folder: str = SHARDS) -> set[str]:
        """Names of all shards of this model and these settings, also those of earlier manifests."""
        return {name for name in self._names(folder) if name.startswith(f"{self._key}-")}

    def bring_back(self, names: Iterable[str]) -> None:
        """Put shards that were superseded, and are current again, where current ones are."""
        for name in set(names) & (self.existing(OLDER) - self.existing()):
            with suppress(FileNotFoundError):  # another share has done it
                self.path(name, OLDER).replace(self.path(name))

    def put_away(self, current: Collection[str]) -> None:
        """Leave nothing but the current shards, which are complete.

        Others are kept apart, but for those of this model and these settings whose songs all have a current row.
        """
        superseded = self._names(SHARDS) - set(current)
        for name in self.all_there(superseded & self.existing()):
            self.path(name).unlink(missing_ok=True)
        for name in superseded & self._names(SHARDS):
            (self.out / OLDER).mkdir(exist_ok=True)
            self.path(name).replace(self.path(name, OLDER))

    def _names(self, folder: str) -> set[str]:
        with suppress(FileNotFoundError), os.scandir(self.out / folder) as entries:
            names = {entry.name for entry in entries}
            return {name for name in names if name.endswith(".parquet") and not name.startswith(PARTIAL)}
        return set()

    @cached_property
    def _key(self) -> str:
        return results_key(self.model_sha256, self.settings)

    def all_there(self, names: Iterable[str]) -> list[str]:
        """Those shards of earlier manifests of which no song is gone."""

        def songs_of(read: pa.Table | pa.RecordBatch) -> Iterator[tuple[str, str]]:
            return zip(read.column("root").to_pylist(), read.column("path").to_pylist(), strict=True)

        songs = {name: set(songs_of(read)) for name, read in self._read(names, "root", "path")}
        gone = set[tuple[str, str]]().union(*songs.values())
        for part in self.manifest_parts() if gone else ():
            gone.difference_update(songs_of(part))
        return [name for name, each in songs.items() if gone.isdisjoint(each)]

    def _read(self, names: Iterable[str], *columns: str) -> Iterator[tuple[str, pa.Table]]:
        """Columns of those shards that are still there: another share may have superseded one."""
        for name in names:
            with suppress(FileNotFoundError):
                yield name, read_parquet(self.path(name), *columns)


class OlderRows:
    """Rows without an error of shards that are read again, by song: what has not changed is not computed again.

    A song is known by its root, its path within it, its size and its time of change. Another root is another library,
    where the same path may be another song: one that has moved is computed again.

    Parameters
    ----------
    shards : iterable of Path
    wanted : iterable of pyarrow.RecordBatch
        Songs whose rows are of use, by :func:`~edge_runtime.archive.results.manifest_schema`: others take no memory.
    """

    def __init__(self, shards: Iterable[Path], wanted: Iterable[pa.RecordBatch]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._rows: dict[_Key, tuple[int, int]] = {}
        self._tables = list[pa.Table]()
        paths = list(shards)
        keys = {key for songs in wanted for key in _keys(songs)} if paths else set[_Key]()
        for path in paths:
            try:
                table = read_parquet(path)
            except FileNotFoundError:  # the run of another share has completed it
                continue
            table = table.filter(pc.is_null(table["error"]))
            table = table.filter(pa.array([key in keys for key in _keys(table)], pa.bool_()))
            self._rows.update((key, (len(self._tables), row)) for row, key in enumerate(_keys(table)))
            self._tables.append(table)

    def find(self, song: Song) -> dict[str, Any] | None:
        """The row of a song; None where there is none."""
        if (found := self._rows.get((song.path, song.root, song.size, song.mtime_ns))) is None:
            return None
        row: dict[str, Any] = self._tables[found[0]].slice(found[1], 1).to_pylist()[0]
        return row


_Key = tuple[str, str, int, int]
"""What a song is known by."""


def _keys(songs: pa.Table | pa.RecordBatch) -> Iterator[_Key]:
    return zip(*(songs.column(name).to_pylist() for name in manifest_schema().names), strict=True)


class Shards:
    """Collects rows, in whatever order they come, and writes a shard when its last row has come.

    A context manager: where it is left before all rows have come, those that have are written to shards of their own;
    and so they are from time to time, since a process may be killed.

    Parameters
    ----------
    plan : Plan
    genres : sequence of str
        Of the model card.
    """

    def __init__(self, plan: Plan, genres: Sequence[str]) -> None:
        self.plan = plan
        self._columns = schema(genres, embeddings=plan.settings["embeddings"])
        self._probabilities = [PROBABILITY + genre for genre in genres]
        self._common = {"model_sha256": plan.model_sha256, "version": version("tmgc")}
        self._open = dict[int, _Shard]()
        self._saved = monotonic()

    def open(
        self, names: Collection[str], older: OlderRows, taken_over: Callable[[int], None] = lambda songs: None
    ) -> Iterator[Song]:
        """The songs of shards that have no older row; those that have one are counted to a callable."""
        number = 0
        for songs in self.plan.manifest_parts() if names else ():
            if self.plan.name(songs) in names:
                shard = _Shard(songs, number)
                for song in shard.listed():
                    if (row := older.find(song)) is None:
                        self._open[song.number] = shard
                        shard.waiting += 1
                    else:
                        shard.rows[song.number] = row
                taken_over(len(shard.rows))
                self._write_if_complete(shard)
                yield from (song for song in shard.listed() if song.number in self._open)
            number += songs.num_rows

    def add(self, song: Song, row: Row) -> None:
        """Add the row of a song."""
        shard = self._open.pop(song.number)
        values = {**song._asdict(), **row._asdict(), **self._common}
        del values["number"]
        probabilities = values.pop("probabilities") or [None] * len(self._probabilities)
        shard.rows[song.number] = {**values, **dict(zip(self._probabilities, probabilities, strict=True))}
        shard.waiting -= 1
        shard.has_new = True
        self._write_if_complete(shard)
        if monotonic() - self._saved > SAVE_SECONDS:
            self._save()

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):  # the disk may be full, which is why this is the end
            self._save()

    def _save(self) -> None:
        """Write the rows of shards that are not complete to shards of their own, instead of what was saved before.

        Those whose rows are all of an earlier run are on the disk already.
        """
        for shard in {id(shard): shard for shard in self._open.values() if shard.has_new}.values():
            before, shard.saved = shard.saved, self._write(shard)
            shard.has_new = False
            if before and before != shard.saved:
                self.plan.path(before).unlink(missing_ok=True)
        self._saved = monotonic()

    def _write_if_complete(self, shard: _Shard) -> None:
        if not shard.waiting:
            self._write(shard)
            if shard.saved:
                self.plan.path(shard.saved).unlink(missing_ok=True)

    def _write(self, shard: _Shard) -> str:
        """Write the rows that are there, under the name of a shard of these songs alone, which is returned."""
        import pyarrow as pa

        if not shard.rows:
            return ""
        table = pa.Table.from_pylist([row for _, row in sorted(shard.rows.items())], schema=self._columns)
        name = self.plan.name(table.select(manifest_schema().names).combine_chunks().to_batches()[0])
        write_parquet(self.plan.path(name), table)
        return name


class _Shard:
    """A shard whose rows come in."""

    def __init__(self, songs: pa.RecordBatch, first: int) -> None:
        self.waiting = 0
        self.has_new = False
        """Whether rows have been added since they were saved."""
        self.saved = ""
        """Name of the shard of the rows that were there before."""
        self.rows = dict[int, dict[str, Any]]()
        self._songs = songs
        self._first = first

    def listed(self) -> Iterator[Song]:
        """Its songs."""
        for number, row in enumerate(self._songs.to_pylist(), start=self._first):
            yield Song(number, **row)


def read_parquet(path: Path, *columns: str) -> pa.Table:
    """A file of results, or columns of it.

    Raises
    ------
    TmgcError
        It is damaged.
    FileNotFoundError
        There is none.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:  # read_table() takes five times as long for a shard
            return file.read(list(columns) or None)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def write_parquet(path: Path, table: pa.Table, *, row_group_size: int | None = None) -> None:
    """Write a file that is whole or not there, also after a power failure.

    Raises
    ------
    OSError
        It cannot be written.
    """
    from pyarrow import parquet

    with atomic_write(path) as partial:
        parquet.write_table(table, partial, row_group_size=row_group_size, compression="zstd")
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
    sync_folder(path.parent)

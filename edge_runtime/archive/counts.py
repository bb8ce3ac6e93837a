"""Counts of each shard, kept in one file beside them: a run that has nothing to do opens no shard.

The file follows from the shards. Where it is missing or damaged, or a shard has another size or time of change than
stands there, shards are read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.archive.journal import State
from edge_runtime.archive.results import NOT_READ, SHARDS
from edge_runtime.archive.shards import Plan, read_parquet, write_parquet
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    import pyarrow as pa

COUNTS = "counts.parquet"


class Counts(NamedTuple):
    """Songs of a shard."""

    genres: Mapping[str, int]
    failed: int
    """With an error."""
    not_read: int
    """Of these, with one that says nothing about the song."""


class ShardCounts:
    """The counts of the shards of a plan.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._path = plan.out / COUNTS
        self._kept = _read(self._path)
        self._known = dict(self._kept)

    def of(self, names: Iterable[str]) -> dict[str, Counts]:
        """Those of shards that are still there: another share may have superseded one.

        Raises
        ------
        TmgcError
            A shard is damaged.
        """
        found, wanted = dict[str, Counts](), set(names)
        with os.scandir(self._plan.out / SHARDS) as entries:
            for entry in entries:
                if entry.name in wanted:
                    with suppress(FileNotFoundError):
                        found[entry.name] = self._of(entry)
        return found

    def _of(self, shard: os.DirEntry[str]) -> Counts:
        state = State.of(shard.stat())
        known = self._known.get(shard.name)
        if known is None or known[0] != state:
            known = self._known[shard.name] = state, _counted(read_parquet(Path(shard), "genre", "error"))
        return known[1]

    def keep(self, names: Iterable[str]) -> None:
        """Write those of shards that have been counted.

        Raises
        ------
        OSError
            They cannot be written.
        """
        import pyarrow as pa

        kept = {name: self._known[name] for name in names}
        if kept == self._kept:
            return
        rows = [[name, *state, list(counts.genres.items()), *counts[1:]] for name, (state, counts) in kept.items()]
        schema = _schema()
        columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * len(schema)
        write_parquet(self._path, pa.table(columns, schema=schema))
        self._kept = kept


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        {
            "name": pa.string(),
            "size": pa.int64(),
            "mtime_ns": pa.int64(),
            "genres": pa.map_(pa.string(), pa.int32()),
            "failed": pa.int32(),
            "not_read": pa.int32(),
        }
    )


def _read(path: Path) -> dict[str, tuple[State, Counts]]:
    """What is kept there, which may be nothing."""
    with suppress(TmgcError, FileNotFoundError):
        table = read_parquet(path)
        if table.schema.equals(_schema()):
            columns = (column.to_pylist() for column in table.columns)
            return {
                name: (State(size, mtime_ns), Counts({intern(genre): n for genre, n in genres}, failed, not_read))
                for name, size, mtime_ns, genres, failed, not_read in zip(*columns, strict=True)
            }
    return {}


def _counted(rows: pa.Table) -> Counts:
    import pyarrow.compute as pc

    genres = Counter[Any](rows["genre"].drop_null().to_pylist())
    errors = rows["error"].drop_null()
    return Counts(dict(genres), len(errors), pc.sum(pc.starts_with(errors, NOT_READ)).as_py() or 0)

"""The files of an archive's results: what stands in them, and reading them in the order of the manifest.

A folder of results holds ``archive.json``, ``manifest.parquet``, ``shards/`` and ``older/``. The manifest lists the
songs, and :func:`manifest_parts` divides it among shards. The name of a shard says what its rows were computed from, so
a shard of an older manifest, another model or other settings is another file, and is never read by mistake.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import TmgcError, first_line, pip_install_extra

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1
"""Version of ``archive.json`` and of the columns."""

ARCHIVE_JSON = "archive.json"
MANIFEST = "manifest.parquet"
SHARDS = "shards"
OLDER = "older"
"""Folder of shards that the current manifest, model or settings have superseded."""

PROBABILITY = "p_"
"""Beginning of the name of a genre's column of probabilities."""

NOT_READ = "not read: "
"""Beginning of an error that says nothing about the song: the next run tries it again."""

_NO_TEXT = re.compile("[\udc80-\udcff\uef80-\uefff]")
_STORED_BYTE = re.compile("[\uef80-\uefff]")
_PRIVATE_USE = 0xEF80 - 0xDC80


def stored_path(path: str) -> str:
    r"""A path as the results hold it: valid Unicode, whatever bytes its names consist of.

    A byte 0x80 to 0xFF that is not UTF-8 becomes U+EF80 to U+EFFF, private use characters as in MirBSD's OPTU-8; where
    a name holds such a character itself, each of its three UTF-8 bytes does. So :func:`local_path` gives every name
    back exactly.

    Parameters
    ----------
    path : str
        As Python spells it, undecodable bytes as surrogates.

    Examples
    --------
    >>> stored_path("\udcfeark\u0131.mp3") == "\ueffeark\u0131.mp3"
    True
    """
    text = os.fsencode(path).decode("utf-8", "surrogateescape")
    return _NO_TEXT.sub(_to_private_use, text)


def local_path(stored: str) -> str:
    """The path that :func:`stored_path` was given."""
    text = _STORED_BYTE.sub(lambda found: chr(ord(found[0]) - _PRIVATE_USE), stored)
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _to_private_use(found: re.Match[str]) -> str:
    raw = found[0].encode("utf-8", "surrogateescape")
    return "".join(chr(0xEF00 + byte) for byte in raw)


def stored_ns(nanoseconds: int) -> int:
    """A time since 1970 as the results hold it, in 64 bits: the nearest of the years 1678 to 2262."""
    return max(-(2**63), min(nanoseconds, 2**63 - 1))


def require_archive_extra(*modules: str) -> None:
    """Check that packages of the ``archive`` extra are installed.

    Parameters
    ----------
    *modules : str
        Import names; pyarrow is always one.

    Raises
    ------
    TmgcError
        One is missing.
    """
    from importlib.util import find_spec

    missing = [name for name in ("pyarrow", *modules) if not find_spec(name)]
    if missing:
        raise TmgcError(
            f"tagging an archive needs {missing[0]}, which is not installed: {pip_install_extra('archive')}"
        )


def manifest_schema() -> pa.Schema:
    """Columns of the manifest, which is sorted by ``root`` and ``path``."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),  # relative to the root, with forward slashes
            pa.field("root", pa.string(), nullable=False),
            pa.field("size", pa.int64(), nullable=False),  # bytes
            pa.field("mtime_ns", pa.int64(), nullable=False),
        ]
    )


def schema(genres: Sequence[str], *, embeddings: bool = False) -> pa.Schema:
    """Columns of a shard: a row a song.

    Parameters
    ----------
    genres : sequence of str
        Of the model card, in its order.
    embeddings : bool
        Whether there is a column of embeddings.

    Returns
    -------
    schema : pyarrow.Schema
        ``genre``, ``confidence``, ``probabilities`` as columns ``p_<genre>``, ``duration`` and ``level_dbfs`` are null
        where the song could not be read, which ``error`` then says in one line.
    """
    import pyarrow as pa

    def numbers(kind: pa.DataType, *names: str, nullable: bool) -> list[pa.Field]:
        return [pa.field(name, kind, nullable=nullable) for name in names]

    fields = [
        *manifest_schema(),
        pa.field("duration", pa.float64()),  # seconds
        pa.field("windows", pa.int32(), nullable=False),
        pa.field("genre", pa.string()),  # of the card, "unknown" or "silence"
        *numbers(pa.float32(), "confidence", *(PROBABILITY + genre for genre in genres), nullable=True),
        # in [0, 1]; agreement: windows, of those that are not silent, whose most probable genre is the song's
        *numbers(pa.float32(), "unknown_share", "silent_share", "agreement", nullable=False),
        pa.field("level_dbfs", pa.float32()),
        pa.field("model_sha256", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),  # of tmgc
        *numbers(pa.float32(), "decode_ms", "model_ms", nullable=False),
        pa.field("warning", pa.string()),  # damage that did not stop the decoding
        pa.field("error", pa.string()),
    ]
    if embeddings:
        fields.append(pa.field("embedding", pa.list_(pa.float16())))
    return pa.schema(fields)


def manifest_parts(manifest: Path, *, shard_songs: int) -> Iterator[pa.RecordBatch]:
    """The songs of each shard, in the order of the manifest.

    A shard ends behind a song that a hash of size and time of change selects, one in ``shard_songs``, or after four
    times as many. So a song that is added, removed or changed leaves all shards as they are but its own, and at most
    the next one.

    Parameters
    ----------
    manifest : Path
    shard_songs : int > 0
        Songs of a shard on average.

    Yields
    ------
    songs : pyarrow.RecordBatch
    """
    import pyarrow as pa
    from pyarrow import parquet

    longest = 4 * shard_songs
    with parquet.ParquetFile(manifest) as file:
        rest = file.schema_arrow.empty_table()
        for group in range(file.num_row_groups):
            songs = pa.concat_tables([rest, file.read_row_group(group)]).combine_chunks()
            begin = 0
            for end in (*_ends(songs, shard_songs), None):
                while (songs.num_rows if end is None else end) - begin > longest:
                    yield _part(songs, begin, begin + longest)
                    begin += longest
                if end is not None:
                    yield _part(songs, begin, end)
                    begin = end
            rest = songs.slice(begin)
        if rest.num_rows:
            yield _part(rest.combine_chunks(), 0, rest.num_rows)


def _part(songs: pa.Table, begin: int, end: int) -> pa.RecordBatch:
    return songs.slice(begin, end - begin).to_batches()[0]


def _ends(songs: pa.Table, shard_songs: int) -> list[int]:
    """Where shards end: behind which songs."""
    size, mtime = (songs.column(name).to_numpy().astype(np.uint64) for name in ("size", "mtime_ns"))
    mixed = (size + _ODD[0]) * _ODD[1] ^ (mtime + _ODD[1]) * _ODD[2]
    mixed = (mixed ^ mixed >> np.uint64(32)) * _ODD[0] >> np.uint64(32)
    ends: list[int] = (np.flatnonzero(mixed % np.uint64(shard_songs) == 0) + 1).tolist()
    return ends


_ODD = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
"""Multipliers of SplitMix64."""


def results_key(model_sha256: str, settings: Mapping[str, Any]) -> str:
    """What the names of shards of a model with its settings begin with.

    Parameters
    ----------
    model_sha256 : str
    settings : mapping
        Of ``archive.json``: values of JSON.
    """
    text = json.dumps([SCHEMA, model_sha256, settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def shard_name(songs: pa.RecordBatch, key: str) -> str:
    """File name of a shard: a hash of model and settings, and one of its songs.

    Parameters
    ----------
    songs : pyarrow.RecordBatch
        Its part of the manifest.
    key : str
        Of :func:`results_key`.
    """
    songs_hash = hashlib.sha256()
    for name in ("path", "root"):
        for part in _content(songs.column(name)):
            songs_hash.update(part)
    for name in ("size", "mtime_ns"):
        songs_hash.update(songs.column(name).to_numpy().tobytes())
    return f"{key}-{songs_hash.hexdigest()[:24]}.parquet"


def _content(texts: pa.StringArray) -> tuple[bytes, memoryview]:
    """Lengths and bytes of texts; 50 times as fast as by Python's strings."""
    _, ends, characters = texts.buffers()
    ends = np.frombuffer(ends, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return np.diff(ends).tobytes(), memoryview(characters)[ends[0] : ends[-1]]


@dataclass(frozen=True)
class Archive:
    """The results of a library, complete: every song of the manifest has a row."""

    folder: Path
    model: str
    """Path of the model file when the archive was tagged."""
    model_sha256: str
    genres: tuple[str, ...]
    """Of the model card, in its order."""
    threshold: float
    """Confidence below which the genre is ``unknown``, in [0, 1]."""
    settings: Mapping[str, Any]
    """What rows depend on beside song and model: ``windows``, how often all songs were done again, and others."""
    shard_songs: int
    """Songs of a shard on average."""
    roots: tuple[str, ...]
    """Folders or addresses that the paths are relative to, as :func:`stored_path` spells them."""
    version: str
    """Of the tmgc that wrote ``archive.json``."""
    shards: tuple[Path, ...]
    """Of the current manifest, in its order."""
    songs: int
    """Rows in all."""

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in the order of the manifest, a part at a time.

        Parameters
        ----------
        columns : sequence of str, optional
            All by default.

        Raises
        ------
        TmgcError
            A shard cannot be read.
        """
        import pyarrow as pa
        from pyarrow import parquet

        for shard in self.shards:
            try:
                with parquet.ParquetFile(shard) as file:
                    yield from file.iter_batches(columns=list(columns) if columns is not None else None)
            except (pa.ArrowException, OSError) as error:
                raise damaged(shard, error) from error

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The same as one dictionary a song."""
        for batch in self.batches(columns):
            yield from batch.to_pylist()


def read_archive(folder: Path) -> Archive:
    """Open the results of a library.

    Parameters
    ----------
    folder : Path
        That ``tmgc-tag`` has written.

    Raises
    ------
    TmgcError
        It is no such folder, of another schema, incomplete or damaged, or pyarrow is missing.
    """
    require_archive_extra()
    document = read_archive_json(folder)
    names = _shard_names(folder, document)
    shards = tuple(folder / SHARDS / name for name, _ in names)
    if missing := sum(not shard.is_file() for shard in shards):
        raise TmgcError(
            f"results are used when every song has one: {missing} of {len(shards)} shards of {folder} are missing. "
            "Run the same tmgc-tag again, which does only what is missing"
        )
    return Archive(
        folder,
        shards=shards,
        songs=sum(songs for _, songs in names),
        genres=tuple(document["genres"]),
        roots=tuple(document["roots"]),
        **{key: document[key] for key in ("model", "model_sha256", "threshold", "settings", "shard_songs", "version")},
    )


def read_archive_json(folder: Path) -> dict[str, Any]:
    """The document ``archive.json`` of a folder of results.

    Raises
    ------
    TmgcError
        There is none, or it is damaged or of another schema.
    """
    path = folder / ARCHIVE_JSON
    if not path.is_file():
        raise TmgcError(f"a folder of results holds {ARCHIVE_JSON}: {folder} does not. Run: tmgc-tag MUSIC {folder}")
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = document["schema"]
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(path, error) from error
    if found != SCHEMA:
        raise TmgcError(f"{path} must be of schema {SCHEMA}: it is of {found!r}. Use the tmgc that has written it")
    for key, kind in _KINDS.items():
        if not isinstance(document.get(key), kind):
            raise damaged(path, TmgcError(f"its {key} is missing or of a wrong type"))
    return document


_KINDS = {
    **dict.fromkeys(("model", "model_sha256", "version"), str),
    **dict.fromkeys(("genres", "roots"), list),
    "threshold": int | float,
    "settings": dict,
    "force_unfinished": bool,
    "shard_songs": int,
}
"""What stands in ``archive.json``."""


def _shard_names(folder: Path, document: Mapping[str, Any]) -> list[tuple[str, int]]:
    """File name and number of songs of each shard of the manifest."""
    import pyarrow as pa

    key = results_key(document["model_sha256"], document["settings"])
    try:
        parts = manifest_parts(folder / MANIFEST, shard_songs=document["shard_songs"])
        return [(shard_name(part, key), len(part)) for part in parts]
    except FileNotFoundError as error:
        raise TmgcError(f"a folder of results holds {MANIFEST}: {folder} does not. Run tmgc-tag again") from error
    except (pa.ArrowException, OSError) as error:
        raise damaged(folder / MANIFEST, error) from error


def damaged(path: Path, error: Exception) -> TmgcError:
    """The error of a file of results that cannot be read."""
    return TmgcError(f"{path} is damaged ({first_line(error)}): remove it and run the same tmgc-tag again")

"""Results of a library that no model has heard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from edge_runtime.archive.results import (
    ARCHIVE_JSON,
    MANIFEST,
    PROBABILITY,
    SCHEMA,
    SHARDS,
    Archive,
    manifest_parts,
    manifest_schema,
    read_archive,
    results_key,
    schema,
    shard_name,
    stored_path,
)

GENRES = ("Arabesk", "Halk", "Pop")
MODEL: dict[str, Any] = {"model_sha256": "ab" * 32, "settings": {"windows": 8}}
SHARD_SONGS = 4


def row(path: str, root: Path | str, genre: str | None = "Arabesk", confidence: float = 0.9, **values: Any) -> Any:
    """A row of a song, which need not exist; with ``genre=None`` of one that could not be read."""
    file = Path(root, path)
    status = file.lstat() if file.is_symlink() or file.exists() else None
    others = (1 - confidence) / (len(GENRES) - 1)
    has_genre = genre in GENRES
    probabilities = {name: confidence if name == genre else others for name in GENRES} if has_genre else {}
    return {
        "path": stored_path(path),
        "root": stored_path(str(root)),
        "size": status.st_size if status else 1000,
        "mtime_ns": status.st_mtime_ns if status else 1,
        "duration": 180.0 if genre else None,
        "windows": 8 if genre else 0,
        "genre": genre,
        "confidence": confidence if genre else None,
        **{PROBABILITY + name: probabilities.get(name) for name in GENRES},
        "unknown_share": 0.0,
        "silent_share": 0.0,
        "agreement": 1.0 if genre else 0.0,
        "level_dbfs": -20.0 if genre else None,
        "model_sha256": MODEL["model_sha256"],
        "version": "0",
        "decode_ms": 30.0,
        "model_ms": 10.0,
        "warning": None,
        "error": None if genre else "an audio file must hold music: this song does not (it is empty)",
        **values,
    }


def make_archive(folder: Path, rows: Iterable[Mapping[str, Any]], genres: Sequence[str] = GENRES) -> Archive:
    """Write the results as ``tmgc-tag`` does, and open them."""
    table = pa.Table.from_pylist(list(rows), schema=schema(genres))
    manifest = table.select(manifest_schema().names)
    (folder / SHARDS).mkdir(parents=True)
    parquet.write_table(manifest, folder / MANIFEST)
    begin = 0
    for part in manifest_parts(folder / MANIFEST, shard_songs=SHARD_SONGS):
        parquet.write_table(table.slice(begin, len(part)), folder / SHARDS / shard_name(part, results_key(**MODEL)))
        begin += len(part)
    document = {
        "schema": SCHEMA,
        "model": "models/tiny.tflite",
        **MODEL,
        "genres": genres,
        "threshold": 0.5,
        "force_unfinished": False,
        "shard_songs": SHARD_SONGS,
        "roots": sorted(set(table.column("root").to_pylist())),
        "version": "0",
    }
    (folder / ARCHIVE_JSON).write_text(json.dumps(document), encoding="utf-8")
    return read_archive(folder)

"""What it takes to run again over a large library that is done: to list its songs, and to see that nothing is missing.

Songs that are listed are empty files: of a song, only its size and its time of change are looked at. Shards are files
with the names, columns and about the rows of real ones, and the same content.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from edge_runtime.archive.journal import OwnChanges
from edge_runtime.archive.manifest import ROW_GROUP, find_songs, read_manifest, write_manifest
from edge_runtime.archive.results import MANIFEST, SHARDS, manifest_schema, schema
from edge_runtime.archive.shards import SHARD_SONGS, Plan, Shards
from edge_runtime.archive.song import Row, Song, Tagger, TagSettings
from edge_runtime.archive.tagging import Job, Progress, Share, classify_missing
from edge_runtime.system_info import peak_memory_mb
from edge_runtime.walk import ANY_NUMBER, walk

MOST_PLAN_SECONDS = 10.0
MOST_PLAN_MB = 300.0

_FOLDER_SONGS = 100

_MUSIC = "/mnt/archive/music"
_GENRES = ("Arabesk", "Caz", "Elektronik", "Halk", "Klasik", "Pop", "Punk", "Rap", "Rock", "Tasavvuf")


@dataclass(frozen=True)
class Planning:
    """What a run that has nothing to do takes, once there is a manifest; finding the songs on a disk comes on top."""

    songs: int
    shards: int
    counting_seconds: float
    """The same where the rows of the shards have not been counted yet."""
    seconds: float
    peak_mb: float
    """Resident memory of the process, with Python and its libraries."""

    @property
    def passed(self) -> bool:
        """Whether it is within its limits."""
        return self.seconds <= MOST_PLAN_SECONDS and self.peak_mb <= MOST_PLAN_MB

    @property
    def line(self) -> str:
        """For people."""
        return (
            f"a run with nothing to do, of {self.songs:,} songs in {self.shards:,} shards: {self.seconds:.1f} s and "
            f"{self.peak_mb:.0f} MB (at most {MOST_PLAN_SECONDS:.0f} s and {MOST_PLAN_MB:.0f} MB), without listing the "
            f"songs; {self.counting_seconds:.1f} s where their rows have not been counted"
        )


@dataclass(frozen=True)
class Listing:
    """What it takes to list the songs of folders again, whose manifest is there, and to write the new one."""

    songs: int
    seconds: float
    walk_seconds: float
    """Of the walk through the folders alone."""
    base_mb: float
    """Resident memory of the process before."""
    peak_mb: float

    @property
    def line(self) -> str:
        """For people."""
        seconds, walked, more_mb = (
            value * 1e6 / self.songs for value in (self.seconds, self.walk_seconds, self.peak_mb - self.base_mb)
        )
        return (
            f"listing songs whose manifest is there ({self.songs:,} empty files): of a million, {seconds:.0f} s, of "
            f"which the walk {walked:.0f} s, and {more_mb:.0f} MB more than the {self.base_mb:.0f} MB of any run"
        )


def time_planning(out: Path, songs: int) -> Planning:
    """Run over a simulated library that is done, each time in a process of its own, whose memory is that of the run.

    Parameters
    ----------
    out : Path
        A new folder.
    songs : int > 0
    """
    _write_manifest(out, songs)
    tagger = Tagger(Path("simulated.tflite"), "0" * 64, _GENRES, 0.5, TagSettings())
    job = Job((_MUSIC,), out, tagger, Share())
    plan = Plan(out, tagger.sha256, tagger.settings.to_json())
    _write_shards(plan)
    context = get_context("spawn")
    timed = []
    for _ in range(2):  # the second time the rows are counted
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            timed.append(pool.submit(_run_again, job, plan).result())
    (counting, _), (seconds, peak_mb) = timed
    return Planning(songs, len(plan.existing()), counting, seconds, peak_mb)


def time_listing(folder: Path, songs: int) -> Listing:
    """List songs in a process of its own.

    Parameters
    ----------
    folder : Path
        A new folder.
    songs : int > 0
    """
    music = folder / "music"
    for number in range(songs):
        path = music / f"{number // _FOLDER_SONGS:06d} Name of an album" / f"{number:09d} Title of a song.mp3"
        if number % _FOLDER_SONGS == 0:
            path.parent.mkdir(parents=True)
        path.touch()
    context = get_context("spawn")
    for _ in range(2):  # the second time there is a manifest
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            listing = pool.submit(_list, music, folder).result()
    return listing


def _run_again(job: Job, plan: Plan) -> tuple[float, float]:
    """Seconds and MB of a run that has nothing to do."""

    def engine(songs: Iterable[Song]) -> Generator[tuple[Song, Row], None, None]:
        for song in songs:
            raise AssertionError(f"a song is missing: {song}")
        yield from ()

    begun = perf_counter()
    outcome = classify_missing(job, Shards(plan, job.tagger.genres), engine, Progress())
    spent = perf_counter() - begun
    assert sum(outcome.genres.values()) + outcome.failed > 0
    return spent, peak_memory_mb()


def _list(music: Path, out: Path) -> Listing:
    find_songs([str(next(music.iterdir()))], None, OwnChanges(out))  # which loads all libraries
    base_mb, begun = peak_memory_mb(), perf_counter()
    songs = sum(1 for _ in walk(music, most_files=ANY_NUMBER))
    walked = perf_counter()
    library = find_songs([str(music)], read_manifest(out), OwnChanges(out))
    write_manifest(out, library.songs)
    assert len(library.songs) == songs
    return Listing(songs, perf_counter() - walked, walked - begun, base_mb, peak_memory_mb())


def _write_shards(plan: Plan) -> None:
    """All shards of the manifest, with the same content."""
    import pyarrow as pa
    from pyarrow import parquet

    generator = np.random.default_rng(0)
    columns = schema(_GENRES)
    values: dict[str, Any] = {f.name: [None if f.nullable else "0"] * SHARD_SONGS for f in columns}
    values["genre"] = generator.choice(_GENRES, SHARD_SONGS)
    values["error"] = [None if number else "it is empty" for number in generator.integers(0, 100, SHARD_SONGS)]
    content = pa.BufferOutputStream()
    arrays = [pa.array(values[field.name]).cast(field.type) for field in columns]
    parquet.write_table(pa.table(arrays, schema=columns), content, compression="zstd")
    for songs in plan.manifest_parts():
        plan.path(plan.name(songs)).write_bytes(content.getvalue())


def _write_manifest(out: Path, songs: int) -> None:
    """The manifest of a library that there is not."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    (out / SHARDS).mkdir(parents=True)
    generator = np.random.default_rng(0)
    with parquet.ParquetWriter(out / MANIFEST, manifest_schema(), compression="zstd") as file:
        for begin in range(0, songs, ROW_GROUP):
            numbers = pa.array(np.arange(begin, min(songs, begin + ROW_GROUP)))
            digits = pc.utf8_lpad(numbers.cast(pa.string()), 9, "0")
            album = pc.utf8_slice_codeunits(digits, 0, 7)
            paths = pc.binary_join_element_wise(album, "/Name of an album/", digits, " Title of a song.mp3", "")
            sizes = generator.integers(10**6, 10**7, len(numbers))
            times = generator.integers(10**18, 2 * 10**18, len(numbers))
            columns = [paths, pa.array([_MUSIC] * len(numbers)), sizes, times]
            file.write_table(pa.table(columns, schema=manifest_schema()))

"""What it takes to plan a run over a large library: to list its songs, and to see what is missing.

Songs that are listed are empty files: of a song, only its size and its time of change are looked at.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np

from edge_runtime.archive.journal import OwnChanges
from edge_runtime.archive.manifest import ROW_GROUP, find_songs, read_manifest, write_manifest
from edge_runtime.archive.results import MANIFEST, SHARDS, manifest_schema
from edge_runtime.archive.shards import Plan
from edge_runtime.archive.song import TagSettings
from edge_runtime.system_info import peak_memory_mb
from edge_runtime.walk import ANY_NUMBER, walk

MOST_PLAN_SECONDS = 10.0
MOST_PLAN_MB = 300.0

_FOLDER_SONGS = 100


@dataclass(frozen=True)
class Planning:
    """What it takes to see by a manifest that all shards are there; finding the songs on a disk comes on top."""

    songs: int
    shards: int
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
            f"planning by a manifest of {self.songs:,} songs whose {self.shards:,} shards are there: "
            f"{self.seconds:.1f} s and {self.peak_mb:.0f} MB (at most {MOST_PLAN_SECONDS:.0f} s and "
            f"{MOST_PLAN_MB:.0f} MB)"
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
    """Plan a simulated library in a process of its own, whose memory is that of planning.

    Parameters
    ----------
    out : Path
        A new folder.
    songs : int > 0
    """
    _write_manifest(out, songs)
    plan = Plan(out, "0" * 64, TagSettings().to_json())
    for part in plan.parts():
        plan.path(part.name).touch()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_plan, plan).result()


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


def _plan(plan: Plan) -> Planning:
    begun = perf_counter()
    parts, there = plan.parts(), plan.existing()
    missing = [part for part in parts if part.name not in there]
    spent = perf_counter() - begun
    assert not missing
    return Planning(sum(part.songs for part in parts), len(parts), spent, peak_memory_mb())


def _list(music: Path, out: Path) -> Listing:
    find_songs([str(next(music.iterdir()))], None, OwnChanges(out))  # which loads all libraries
    base_mb, begun = peak_memory_mb(), perf_counter()
    songs = sum(1 for _ in walk(music, most_files=ANY_NUMBER))
    walked = perf_counter()
    library = find_songs([str(music)], read_manifest(out), OwnChanges(out))
    write_manifest(out, library.songs)
    assert len(library.songs) == songs
    return Listing(songs, perf_counter() - walked, walked - begun, base_mb, peak_memory_mb())


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
            columns = [paths, pa.array(["/mnt/archive/music"] * len(numbers)), sizes, times]
            file.write_table(pa.table(columns, schema=manifest_schema()))

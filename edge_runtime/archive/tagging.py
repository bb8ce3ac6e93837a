"""A library to its results: finds the songs, has an engine classify what is missing, and writes shard by shard.

It can be interrupted at any moment and goes on where it was:

1. The manifest is written, and ``archive.json`` with the model and the settings. Of shares that run at once the first
   does that; others take what it has written.
2. Shards that are there already are done: their names say what they were computed from. Songs in them with an error
   that says nothing about the song are not.
3. Songs of other shards that are in a shard of an earlier manifest, unchanged and without an error, have their rows
   taken over.
4. The engine classifies all others. A shard is written when its last song is done; an interruption writes the rows that
   are done to shards of their own, from which the next run takes them over.
5. When all shards are there, ``shards/`` holds exactly the current rows: superseded shards move to ``older/``, from
   which rows are taken over when songs come back with their disk, or the model before is asked for again.

To do all songs again is a new setting, the number of runs that did: so no row from before fits, and what is done since
then counts, however often the run is interrupted.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import NamedTuple

from edge_runtime.archive.counts import COUNTS, Counts, ShardCounts
from edge_runtime.archive.journal import JOURNAL, OwnChanges
from edge_runtime.archive.lock import LOCK, lock_results
from edge_runtime.archive.manifest import find_songs, read_manifest, write_manifest
from edge_runtime.archive.remote import check_address, is_address, is_there
from edge_runtime.archive.report import REPORT
from edge_runtime.archive.results import (
    ARCHIVE_JSON,
    MANIFEST,
    OLDER,
    SCHEMA,
    SHARDS,
    local_path,
    read_archive_json,
    require_archive_extra,
    stored_path,
)
from edge_runtime.archive.shards import SHARD_SONGS, OlderRows, Plan, Shards
from edge_runtime.archive.song import Row, Song, Tagger
from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL, atomic_write, check_writable, sync_folder

log = logging.getLogger("tmgc.archive")

_RESULTS = frozenset({ARCHIVE_JSON, MANIFEST, COUNTS, SHARDS, OLDER, LOCK, JOURNAL, REPORT})
"""What a folder of results holds."""

_FORCED_RUNS = "forced_runs"

Engine = Callable[[Iterable[Song]], Generator[tuple[Song, Row], None, None]]
"""Classifies songs, in any order."""


class Share(NamedTuple):
    """The part of the work of this process: every n-th shard."""

    number: int = 1
    """1 to ``of``."""
    of: int = 1


@dataclass(frozen=True)
class Job:
    """What is to be done."""

    roots: tuple[str, ...]
    """Folders of songs."""
    out: Path
    tagger: Tagger
    share: Share
    force: bool = False
    """Whether songs that are done are done again; after an interruption, such a run goes on."""
    retry_failed: bool = False
    """Whether songs with an error are done again."""
    shard_songs: int = SHARD_SONGS


class Progress:
    """Receives the progress. This one ignores it; subclasses show it."""

    def begin(self, songs: int, done: int) -> None:
        """Work begins: of so many songs so many are done already."""

    def taken_over(self, songs: int) -> None:
        """So many more songs have a row of an earlier run."""

    def song(self, row: Row) -> None:
        """One more song is done."""


class Outcome(NamedTuple):
    """The end of a run."""

    songs: int
    """Of the library, or of this share of it."""
    genres: Mapping[str, int]
    """Songs by genre."""
    failed: int
    """Songs with an error."""
    unread: int
    """Folders that could not be read, and songs that could before; 0 for a share that has not looked itself."""


def tag(job: Job, engine: Engine, progress: Progress | None = None) -> Outcome:
    """Bring the results of a library up to date.

    Parameters
    ----------
    job : Job
    engine : callable
        Classifies songs with the job's tagger.
    progress : Progress, optional

    Raises
    ------
    TmgcError
        A folder or the model is refused, or another run works on the results.
    OSError
        The results cannot be written.
    """
    require_archive_extra()
    roots = _roots(job)
    _check_out(job.out)
    unread = 0
    with lock_results(job.out, shared=job.share.of > 1) as lock:
        forced = _forced_runs(job, alone=lock.alone)
        plan = Plan(job.out, job.tagger.sha256, job.tagger.settings.to_json() | forced.setting, job.shard_songs)
        if lock.alone:
            unread = _update_manifest(job.out, roots)
            _write_archive_json(job, roots, plan, unfinished=forced.unfinished)
        else:
            _check_same_work(roots, plan)
        if job.share.of > 1:
            lock.let_others_in()
        outcome = classify_missing(job, Shards(plan, job.tagger.genres), engine, progress or Progress())
        if forced.unfinished and job.share.of == 1:
            _write_archive_json(job, roots, plan, unfinished=False)
        return outcome._replace(unread=unread)


class _ForcedRuns(NamedTuple):
    """Runs that did all songs again."""

    number: int
    unfinished: bool
    """Whether the last one is not complete."""

    @property
    def setting(self) -> dict[str, int]:
        """As in ``archive.json``."""
        return {_FORCED_RUNS: self.number}


def _forced_runs(job: Job, *, alone: bool) -> _ForcedRuns:
    """Those of the results with this one, which goes on with the last one where that is not complete."""
    before = _ForcedRuns(0, unfinished=False)
    if (job.out / ARCHIVE_JSON).is_file():
        document = read_archive_json(job.out)
        before = _ForcedRuns(document["settings"].get(_FORCED_RUNS, 0), document["force_unfinished"])
    if not job.force:
        return before
    if before.unfinished:
        log.info("--force goes on with the run that it has begun")
        return before
    if not alone:
        raise TmgcError(f"shares of one --force begin with it: those at work on {job.out} have not. Wait for them")
    return _ForcedRuns(before.number + 1, unfinished=True)


def _update_manifest(out: Path, roots: Sequence[str]) -> int:
    """Write the songs that there are; returns how many folders and songs could not be read."""
    library = find_songs(roots, read_manifest(out), OwnChanges(out))
    write_manifest(out, library.songs)
    return library.unread


def classify_missing(job: Job, shards: Shards, engine: Engine, progress: Progress) -> Outcome:
    """Have the engine classify what is missing, and put away what is superseded when all is there.

    Parameters
    ----------
    job : Job
        The results have its manifest.
    shards : Shards
    engine : callable
    progress : Progress
    """
    plan, counts = shards.plan, ShardCounts(shards.plan)
    parts = plan.parts()
    mine = {part.name: part.songs for part in parts[job.share.number - 1 :: job.share.of]}
    plan.bring_back(mine)
    there = plan.existing()
    again = {name for name, n in counts.of(there & set(mine)).items() if (n.failed if job.retry_failed else n.not_read)}
    missing = set(mine) - there | again
    superseded = [plan.path(name) for name in (there - {part.name for part in parts}) | again]
    superseded += [plan.path(name, OLDER) for name in plan.existing(OLDER)]
    older = OlderRows(superseded if missing else (), plan.manifest_parts(missing))
    progress.begin(sum(mine.values()), sum(songs for name, songs in mine.items() if name not in missing))
    songs = shards.open(missing, older, progress.taken_over)
    with shards, closing(engine(songs)) as rows:
        for song, row in rows:
            _check_root(song, row)
            shards.add(song, row)
            progress.song(row)
    found = counts.of(mine)
    if job.share.of == 1:
        plan.put_away(set(mine))
        counts.keep(found)
    return _outcome(sum(mine.values()), found.values())


def _outcome(songs: int, shards: Collection[Counts]) -> Outcome:
    genres = Counter[str]()
    for shard in shards:
        genres.update(shard.genres)
    return Outcome(songs, genres, sum(shard.failed for shard in shards), 0)


def _roots(job: Job) -> tuple[str, ...]:
    """The roots as results hold them: addresses, or absolute paths; none lies in another."""
    roots = [check_address(root) if is_address(root) else str(Path(root).resolve()) for root in job.roots]
    for number, root in enumerate(roots):
        for other in roots[:number] + roots[number + 1 :]:
            if PurePath(root).is_relative_to(other):
                raise TmgcError(f"a song belongs to one folder: {root} lies in {other}. Leave it out")
    return tuple(map(stored_path, roots))


def _check_out(out: Path) -> None:
    """Refuse a folder that holds something else; a first run may have ended before it wrote ``archive.json``."""
    if os.path.lexists(out) and not out.is_dir():
        raise TmgcError(f"results go into a folder: {out} is something else. Name another")
    names = {path.name for path in out.iterdir() if not path.name.startswith(PARTIAL)} if out.is_dir() else set[str]()
    if ARCHIVE_JSON not in names and names - _RESULTS:
        raise TmgcError(f"results go into a new folder: {out} holds other files. Name another")
    check_writable(out)


def _check_same_work(roots: Sequence[str], plan: Plan) -> None:
    """Refuse a share of other work than that of the shares that run: they have one manifest and one model."""
    mine = {
        "roots": sorted(roots),
        "model_sha256": plan.model_sha256,
        "settings": plan.settings,
        "shard_songs": plan.shard_songs,
    }
    document = read_archive_json(plan.out)
    theirs = document | {"roots": sorted(document["roots"])}
    if others := [name for name, value in mine.items() if theirs[name] != value]:
        raise TmgcError(
            f"shares that run at once have the same MUSIC, model and settings: {', '.join(others)} of those at work on "
            f"{plan.out} differ. Start it with theirs, or wait for them"
        )


def _write_archive_json(job: Job, roots: Sequence[str], plan: Plan, *, unfinished: bool) -> None:
    document = {
        "schema": SCHEMA,
        "model": stored_path(str(job.tagger.model.resolve())),
        "model_sha256": plan.model_sha256,
        "genres": list(job.tagger.genres),
        "threshold": job.tagger.threshold,
        "settings": plan.settings,
        "force_unfinished": unfinished,
        "shard_songs": plan.shard_songs,
        "roots": list(roots),
        "version": version("tmgc"),
    }
    with atomic_write(job.out / ARCHIVE_JSON) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(job.out)


def _check_root(song: Song, row: Row) -> None:
    """End where a song cannot be read since the disk of its folder has gone: that says nothing about the song."""
    if row.error is None:
        return
    root = local_path(song.root)
    if not (is_there(root) if is_address(root) else _holds_something(Path(root))):
        raise TmgcError(f"songs must stay where they are: {root} has gone. Bring it back, then run the same again")


def _holds_something(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:  # iterdir() lists all of them
            return next(entries, None) is not None
    except OSError:
        return False

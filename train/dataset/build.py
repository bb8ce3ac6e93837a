"""Builds the dataset of a run from a folder of songs. It can be interrupted at any moment and continues where it was:

1. The files of a song have a hash of its path, size, mtime and the extraction settings in their names.
2. Each is written atomically, the song's JSON file last: a song whose JSON file exists is done and not extracted again.
3. When all songs are done, they are divided among the splits: duplicates, artists and groups together.
4. ``dataset.csv`` and ``dataset.json`` are written last. They alone say which files belong to the dataset, so an
   earlier dataset stays complete until then, whatever happens, and a dataset never mixes two settings.
5. Files that do not belong to the dataset are removed.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from logging import getLogger
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import numpy as np

from edge_runtime.errors import TmgcError
from edge_runtime.files import PARTIAL, atomic_write, check_writable, csv_cell, remove_tree
from edge_runtime.spectrogram import Colormap
from edge_runtime.system_info import usable_cores
from edge_runtime.workers import Lost, work_through
from train.dataset.artists import artist_keys, spelled
from train.dataset.corrections import add_corrections
from train.dataset.dataset import COLORMAPS, Clip, Dataset, DatasetConfig, write_dataset
from train.dataset.discover import GROUPS_NAME, MARKER, Skipped, Song, by_kind, find_songs
from train.dataset.extract import ExtractedSong, Job, extract_song, read_extracted, stem_of
from train.dataset.split import (
    Duplicates,
    Unit,
    connected_groups,
    given_split,
    large_groups,
    leaks,
    read_groups,
    shortfalls,
    split_units,
    too_few,
)
from train.libraries import silence
from train.progress import Reporter
from train.run import SPLITS, Run

_log = getLogger("tmgc.dataset")


def prepare(
    songs_folder: Path,
    run: Run,
    settings: DatasetConfig,
    *,
    corrections: Path | None = None,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> tuple[Dataset, list[Skipped]]:
    """Build the dataset of a run from a folder of songs, or bring it up to date.

    Parameters
    ----------
    songs_folder : Path
        See :func:`train.dataset.discover.find_songs` and :func:`train.dataset.split.read_groups`.
    run : Run
    settings : DatasetConfig
    corrections : Path, optional
        See :func:`train.dataset.corrections.add_corrections`.
    workers : int > 0, optional
        Processes: by default one for each core that this process may use. With 1 the work is done in this process.
    reporter : Reporter, optional

    Returns
    -------
    dataset : Dataset
    skipped : list of Skipped
        All other files, and the clips that songs are too short or too quiet for, as in ``skipped.csv``.

    Raises
    ------
    TmgcError
        The folder does not exist or holds no songs, or a genre has too few of them.
    """
    songs, skipped = find_songs(songs_folder, split_folders=settings.split_folders)
    groups = _groups(songs_folder, songs, settings)
    _check_folder(run, songs_folder)
    _check_enough(songs)
    check_writable(run.folder, run.clips, run.images)
    with run.lock():
        extracted = _extract(songs, run, settings, workers, reporter or Reporter())
        if left_out := [reason for song in extracted for reason in song.skipped]:
            _log.info("clips and songs left out: %s", by_kind(left_out))
        skipped += left_out
        used = _used(songs, extracted, skipped, run)
        assembled = assemble(used, groups, settings)
        dataset = Dataset(
            run=run,
            genres=tuple(sorted({song.genre for song in songs})),
            spectrogram=settings.spectrogram,
            colormap=named_colormap(settings.colormap),
            demonstration=(songs_folder / MARKER).is_file(),
            clips=assembled.clips,
        )
        if corrections:
            dataset = add_corrections(dataset, corrections)
        if write_dataset(dataset, _reports(run, skipped, assembled.duplicates)):
            for warning in assembled.warnings:
                _log.warning("%s", warning)
        else:
            _log.info("nothing changed: the dataset of %d clips is up to date", len(dataset.clips))
        _remove_leftovers(dataset)
    return dataset, skipped


class Assembled(NamedTuple):
    """A dataset before it is written."""

    clips: tuple[Clip, ...]
    duplicates: list[tuple[object, ...]]
    """Rows of ``duplicates.csv``, the header first."""
    warnings: list[str]
    """What is unusual about the songs or the split."""


def assemble(
    used: Sequence[tuple[Song, ExtractedSong]], groups: Mapping[str, str] | None, settings: DatasetConfig
) -> Assembled:
    """Divide songs among the splits, and list their clips.

    Parameters
    ----------
    used : sequence of (Song, ExtractedSong)
        Songs with clips.
    groups : mapping of str to str, or None
        Group by relative path, for songs that have one.
    settings : DatasetConfig

    Raises
    ------
    TmgcError
        A genre cannot be divided, or is not in every split that folders give.
    """
    songs = [song for song, _ in used]
    kinds = _grouping_keys(used, groups, settings)
    kind = " and ".join(kinds) or "songs"
    duplicates = Duplicates.among(used)
    members = connected_groups(len(songs), kinds.values(), duplicates.pairs)
    if settings.split_folders:
        split_of = given_split(songs, members, split_ratios=settings.split_ratios, seed=settings.seed)
        warnings = leaks(songs, split_of, kinds)
    else:
        split_of, warnings = _divided(songs, members, kinds, settings, kind=kind)
    name_of = {song: songs[group[0]].relative_path for group in members for song in group}
    clips = tuple(
        Clip(
            name=clip.name,
            song=song.relative_path,
            genre=song.genre,
            split=split_of[index],
            offset_seconds=clip.offset_seconds,
            lead_seconds=clip.lead_seconds,
            level_dbfs=clip.level_dbfs,
            group=name_of[index],
            artist=extracted.artist,
            content_sha256=extracted.sha256,
        )
        for index, (song, extracted) in enumerate(used)
        for clip in extracted.clips
    )
    return Assembled(clips, duplicates.rows(split_of), warnings + duplicates.warnings(split_of))


def _divided(
    songs: Sequence[Song],
    members: Sequence[Sequence[int]],
    kinds: Mapping[str, Sequence[tuple[str, ...]]],
    settings: DatasetConfig,
    *,
    kind: str,
) -> tuple[list[str], list[str]]:
    """The split of each song, where those of a group stay together, and what is unusual about it."""
    units = [Unit(songs[group[0]].relative_path, Counter(songs[song].genre for song in group)) for group in members]
    splits = split_units(units, split_ratios=settings.split_ratios, seed=settings.seed, kind=kind)
    split_of = {song: split for group, split in zip(members, splits, strict=True) for song in group}
    warnings = shortfalls(units, splits, split_ratios=settings.split_ratios, kind=kind)
    warnings += large_groups(members, [song.genre for song in songs], kinds.values())
    return [split_of[song] for song in range(len(songs))], warnings


def named_colormap(name: str) -> Colormap:
    """A colormap of :data:`~train.dataset.dataset.COLORMAPS`, ``np.ndarray [shape=(256, channels)], uint8``."""
    if name not in COLORMAPS:
        raise TmgcError(f"a colormap is one of {', '.join(COLORMAPS)}, got {name!r}: choose one")
    return magma() if name == "magma" else np.arange(256, dtype=np.uint8)[:, None]


def magma() -> Colormap:
    """Matplotlib's magma colormap, ``np.ndarray [shape=(256, 3)], uint8, RGB``."""
    from matplotlib import colormaps

    colormap: Colormap = np.rint(colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return colormap


def _groups(folder: Path, songs: Sequence[Song], settings: DatasetConfig) -> dict[str, str] | None:
    groups = read_groups(folder, songs) if settings.group_by in (None, "groups") else None
    if settings.group_by == "groups" and groups is None:
        raise TmgcError(f"--group-by groups needs {folder / GROUPS_NAME} with the columns path and group: write it")
    return groups


def _grouping_keys(
    used: Sequence[tuple[Song, ExtractedSong]], groups: Mapping[str, str] | None, settings: DatasetConfig
) -> dict[str, list[tuple[str, ...]]]:
    """By kind, the keys of each song: songs with a common key must be in the same split."""
    keys: dict[str, list[tuple[str, ...]]] = {}
    if settings.group_by in (None, "artist"):
        artists = [extracted.artist for _, extracted in used]
        keys["artists"] = spelled(artist_keys(artists), artists)
    if settings.group_by in (None, "groups") and groups:
        keys["groups"] = [(groups[path],) if (path := song.relative_path) in groups else () for song, _ in used]
    return {kind: of_songs for kind, of_songs in keys.items() if any(of_songs)}


def _extract(
    songs: Sequence[Song], run: Run, settings: DatasetConfig, workers: int | None, reporter: Reporter
) -> list[ExtractedSong]:
    """The result of each song: of an earlier extraction if it is done, else extracted now."""
    for folder in (run.clips, run.images):
        folder.mkdir(parents=True, exist_ok=True)
    colormap = named_colormap(settings.colormap)
    jobs = [Job(song, stem_of(song, settings), run, settings, colormap) for song in songs]
    results = {job.song.relative_path: found for job in jobs if (found := read_extracted(job))}
    waiting = [job for job in jobs if job.song.relative_path not in results]
    if results and waiting:
        _log.info("%d of %d songs are extracted already", len(results), len(songs))
    if waiting:
        reporter.phase("extracting clips from songs", len(waiting))
    begun = monotonic()
    with closing(_extracted(waiting, workers)) as extracted:
        for count, result in enumerate(extracted, start=1):
            results[result.song] = result
            reporter.step({"songs/s": count / (monotonic() - begun)})
    return [results[song.relative_path] for song in songs]


def _extracted(jobs: Sequence[Job], workers: int | None) -> Generator[ExtractedSong, None, None]:
    """Extract songs, in any order."""
    if workers == 1:
        for job in jobs:
            with silence():  # decoders write to the terminal
                result = extract_song(job)
            yield result
    elif jobs:
        for job, found in work_through(extract_song, jobs, workers=min(len(jobs), workers or usable_cores())):
            if isinstance(found, Lost):
                song = job.song.relative_path
                found = ExtractedSong(song, "", "", (), (Skipped(song, found.reason),))
            yield found


_FAILURE_NAME = "skipped.failed.csv"
"""Why songs gave no clips, when too few did for a dataset."""


def _check_folder(run: Run, songs_folder: Path) -> None:
    """Refuse a run among the songs, where it would become a genre, and a folder that holds something else."""
    if os.path.lexists(run.folder) and not run.folder.is_dir():
        raise TmgcError(f"a run is a folder: {run.folder} is something else, or a broken link. Name another")
    if run.folder.resolve().is_relative_to(songs_folder.resolve()):
        raise TmgcError(
            f"a run must not be in the folder of songs: {run.folder} is inside {songs_folder}. Name another"
        )
    if run.clips.is_symlink() and run.clips.readlink().parts[0] == "..":
        raise TmgcError(
            f"a run is prepared where its clips are: {run.folder} is a fold of a cross-validation. Name another"
        )
    if not run.folder.is_dir() or run.dataset_json.is_file():
        return
    unfinished = {run.clips.name, run.images.name, _FAILURE_NAME}
    if any(path.name not in unfinished and not path.name.startswith(PARTIAL) for path in run.folder.iterdir()):
        raise TmgcError(f"a run goes into a new folder: {run.folder} holds other files. Name another")


def _used(
    songs: Sequence[Song], extracted: Sequence[ExtractedSong], skipped: Sequence[Skipped], run: Run
) -> list[tuple[Song, ExtractedSong]]:
    """Songs with clips, if every genre has enough of them."""
    used = [(song, result) for song, result in zip(songs, extracted, strict=True) if result.clips]
    with_clips = Counter(song.genre for song, _ in used)
    for genre, found in sorted(Counter(song.genre for song in songs).items()):
        if with_clips[genre] < len(SPLITS):
            report = run.folder / _FAILURE_NAME
            with atomic_write(report) as partial:
                partial.write_bytes(_csv([("song", "reason"), *skipped]))
            raise TmgcError(
                f"every genre needs {len(SPLITS)} songs that give clips, one for every split: of {found} of {genre}, "
                f"{with_clips[genre]} do. Look into {report}; --offsets must fit into the songs, or "
                "--windows-per-song fill them"
            )
    return used


def _check_enough(songs: Sequence[Song]) -> None:
    for genre, found in sorted(Counter(song.genre for song in songs).items()):
        if found < len(SPLITS):
            raise too_few(genre, found, "songs")


def write_skipped(run: Run, skipped: Sequence[Skipped]) -> None:
    """Write ``skipped.csv``."""
    with atomic_write(run.skipped_csv) as partial:
        partial.write_bytes(_csv([("song", "reason"), *skipped]))


def _reports(run: Run, skipped: Sequence[Skipped], duplicates: Iterable[tuple[object, ...]]) -> dict[Path, bytes]:
    return {run.skipped_csv: _csv([("song", "reason"), *skipped]), run.duplicates_csv: _csv(duplicates)}


def _csv(rows: Iterable[tuple[object, ...]]) -> bytes:
    """A table for people."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows(map(csv_cell, row) for row in rows)
    return file.getvalue().encode()


_EXTRACTED_NAME = re.compile(r".+_[0-9a-f]{12}(\.json|_[^_]+s\.(flac|png))", re.DOTALL)
"""Names of the files of :func:`train.dataset.extract.extract_song`: nothing else is removed."""


def _remove_leftovers(dataset: Dataset) -> None:
    """Remove files of songs, settings and interrupted preparations that the dataset does not contain."""
    run = dataset.run
    names = {clip.name for clip in dataset.clips}
    kept = {f"{name}{suffix}" for name in names for suffix in (".flac", ".png")}
    kept |= {f"{name.rpartition('_')[0]}.json" for name in names}
    for path in (*run.clips.iterdir(), *run.images.iterdir()):
        if path.name.startswith(PARTIAL) or (path.name not in kept and _EXTRACTED_NAME.fullmatch(path.name)):
            remove_tree(path)
    (run.folder / _FAILURE_NAME).unlink(missing_ok=True)

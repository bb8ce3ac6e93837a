"""Songs to clips: finds the songs, cuts them, decides which come to which split, and puts the dataset together."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.spectrogram import Colormap
from train.dataset.dataset import Clip, Dataset, DatasetConfig, read_dataset, write_clips, write_settings
from train.dataset.discover import GROUPS_NAME, Skipped, Song, find_songs
from train.dataset.extract import MARGIN_SECONDS, SILENT_DBFS, CutClip, CutSong, Job, cut_song, stamp_of
from train.dataset.split import (
    Duplicates,
    Unit,
    connected_groups,
    read_groups,
    same_artist,
    shortfalls,
    split_units,
    too_few,
)
from train.dataset.workers import work_through
from train.demo_corpus import MARKER
from train.libraries import silence, versions
from train.run import SPLITS, Run


class Assembled(NamedTuple):
    """What a dataset is put together from."""

    clips: tuple[Clip, ...]
    duplicates: list[tuple[object, ...]]
    """Rows of ``duplicates.csv``, the first of them its heading."""
    notes: list[str]
    """What a person should know, a line each."""


def assemble(
    songs: Sequence[Song], cut: Sequence[CutSong], groups: Mapping[str, str] | None, settings: DatasetConfig
) -> Assembled:
    """Split songs, and list their clips.

    Parameters
    ----------
    songs : sequence of Song
    cut : sequence of CutSong [length=len(songs)]
        What came of each.
    groups : mapping of str to str, or None
        The group of each song that has one; None if groups do not count.
    settings : DatasetConfig

    Raises
    ------
    TmgcError
        A genre cannot be split.
    """
    kinds = _held_together(songs, cut, groups, settings)
    kind = " and ".join(kinds) or "songs"
    duplicates = Duplicates.among(songs, cut)
    units = connected_groups(len(songs), kinds.values(), duplicates.pairs)
    named = [Unit(songs[unit[0]].relative_path, Counter(songs[song].genre for song in unit)) for unit in units]
    sides = split_units(named, split_ratios=settings.split_ratios, seed=settings.seed, kind=kind)
    splits = {song: side for unit, side in zip(units, sides, strict=True) for song in unit}
    group_of = {song: songs[unit[0]].relative_path for unit in units for song in unit}
    clips = [
        _clip(song, cut_song, number, split=splits[index], group=group_of[index])
        for index, (song, cut_song) in enumerate(zip(songs, cut, strict=True))
        for number in range(len(cut_song.clips))
    ]
    notes = shortfalls(named, sides, split_ratios=settings.split_ratios, kind=kind) + duplicates.notes()
    return Assembled(tuple(clips), duplicates.rows(splits), notes)


def _held_together(
    songs: Sequence[Song], cut: Sequence[CutSong], groups: Mapping[str, str] | None, settings: DatasetConfig
) -> dict[str, list[str]]:
    """What each song shares with those that it stays with, or nothing, by what to call it."""
    kinds = {}
    if settings.group_by in (None, "artist"):
        kinds["artists"] = [same_artist(song.artist) for song in cut]
    if settings.group_by in (None, "groups"):
        kinds["groups"] = [(groups or {}).get(song.relative_path, "") for song in songs]
    return {kind: keys for kind, keys in kinds.items() if any(keys)}


def _clip(song: Song, cut: CutSong, number: int, *, split: str, group: str) -> Clip:
    clip = cut.clips[number]
    return Clip(
        name=clip.name,
        song=song.relative_path,
        genre=song.genre,
        split=split,
        offset_seconds=clip.offset_seconds,
        lead_seconds=clip.lead_seconds,
        level_dbfs=clip.level_dbfs,
        group=group,
        artist=cut.artist,
        content_sha256=cut.sha256,
    )


NAME = "prepared.json"


def digest_of(
    songs: Iterable[Song],
    left_out: Sequence[Skipped],
    groups: Mapping[str, str] | None,
    settings: DatasetConfig,
    *,
    demonstration: bool,
) -> str:
    """SHA-256 of all that a dataset follows from; a song counts by its path, its size and the time of its last change.

    Parameters
    ----------
    songs : iterable of Song
    left_out : sequence of Skipped
        Files that are no songs.
    groups : mapping of str to str, or None
    settings : DatasetConfig
    demonstration : bool
        Whether the songs are synthesised.
    """
    stamps = [(song.relative_path, *stamp_of(song.path)) for song in songs]
    return _sha256([versions(["tmgc"]), asdict(settings), stamps, left_out, groups, demonstration])


def write_record(dataset: Dataset, dataset_csv: Path, digest: str, skipped: Sequence[Skipped]) -> None:
    """Note in a whole run what it was prepared from.

    Parameters
    ----------
    dataset : Dataset
        All its files are written.
    dataset_csv : Path
        Where its list stands until the rest is whole.
    digest : str
        Of :func:`digest_of`.
    skipped : sequence of Skipped
    """
    document = {"inputs": digest, "files": _files(dataset, dataset_csv), "skipped": skipped}
    with atomic_write(dataset.run.folder / NAME) as path:
        path.write_text(json.dumps(document), "utf-8")


def unchanged(run: Run, digest: str) -> tuple[Dataset, list[Skipped]] | None:
    """What a run holds, if it was prepared from this and no file of it has changed since.

    Parameters
    ----------
    run : Run
    digest : str
        Of :func:`digest_of`.
    """
    try:
        document = json.loads((run.folder / NAME).read_text("utf-8"))
        if document["inputs"] != digest or not run.dataset_csv.is_file():
            return None
        dataset = read_dataset(run)
        if document["files"] != _files(dataset, run.dataset_csv):
            return None
        return dataset, [Skipped(*fields) for fields in document["skipped"]]
    except (OSError, ValueError, KeyError, TypeError, TmgcError):
        return None


def _files(dataset: Dataset, dataset_csv: Path) -> str:
    """SHA-256 of the size and the time of the last change of a dataset's files, which renaming does not alter."""
    run = dataset.run
    of_clips = (path for clip in dataset.clips for path in (clip.audio_path(run), clip.image_path(run)))
    return _sha256([stamp_of(path) for path in (dataset_csv, run.dataset_json, *of_clips)])


def _sha256(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode("ascii")).hexdigest()


FOLDER_NAME = ".preparing"

_SHAPE = 2
"""Of the journal's lines. A journal of another is not read, and its songs are cut again."""


class Staging:
    """What a preparation of a run has made so far.

    Parameters
    ----------
    run : Run
        The run that is prepared.
    """

    def __init__(self, run: Run) -> None:
        self.run = Run(run.folder / FOLDER_NAME)
        self.pictures = self.run.folder / "pictures"
        self._journal = self.run.folder / "journal.jsonl"
        self._target = run

    def earlier(self, digest: str) -> tuple[Dataset, list[Skipped]] | None:
        """The dataset of the run and what it left out, if it was prepared from the same and is whole.

        Parameters
        ----------
        digest : str
            Of :func:`train.dataset.build.digest_of`.
        """
        if self.run.dataset_csv.is_file():
            self._take_place()  # killed while the new dataset, which was whole, took the place of the old
        return unchanged(self._target, digest)

    def resume(self, songs: Iterable[Song], settings: DatasetConfig) -> dict[str, CutSong]:
        """Take up what an earlier preparation was interrupted in, and make the folders.

        Parameters
        ----------
        songs : iterable of Song
        settings : DatasetConfig
            Clips that were cut with other settings are thrown away. Shares and seed do not matter to a clip.

        Returns
        -------
        cut : dict of str to CutSong
            Songs that are cut already and have not changed since, by their path below the folder of songs. Those that
            gave no clip are tried again.
        """
        key = _key(settings)
        cut = {}
        if self._lines(key):
            self._gather_pictures()
            stamps = {song.relative_path: song.path for song in songs}
            recorded = (_from_json(document) for document in self._lines(key))
            cut = {song.song: song for song in recorded if song.song in stamps and self._holds(song, stamps[song.song])}
        else:
            shutil.rmtree(self.run.folder, ignore_errors=True)
        for folder in (self.run.clips, self.pictures):
            folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._journal) as path, path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(document) + "\n" for document in (key, *map(_to_json, cut.values())))
        return cut

    def record(self, song: CutSong) -> None:
        """Note that all files of a song are written."""
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_to_json(song)) + "\n")

    def finish(
        self, dataset: Dataset, duplicates: Iterable[tuple[Any, ...]], skipped: Sequence[Skipped], digest: str
    ) -> Dataset:
        """Put the dataset together and in the place of an earlier one.

        Parameters
        ----------
        dataset : Dataset
            Of any run; its clips have been cut.
        duplicates : iterable of tuple
            Rows of ``duplicates.csv``.
        skipped : sequence of Skipped
        digest : str
            Of all that the dataset follows from.
        """
        staged = replace(dataset, run=self.run)
        listed = {clip.name for clip in staged.clips}
        for clip in staged.clips:
            picture = clip.image_path(self.run)
            picture.parent.mkdir(parents=True, exist_ok=True)
            (self.pictures / picture.name).replace(picture)
        for path in self.run.clips.iterdir():
            if path.stem not in listed:  # of a song that has gone, or half written
                path.unlink()
        write_settings(staged)
        write_table(self.run.duplicates_csv, duplicates)
        unlisted = Run(self.run.folder / "last")
        write_clips(replace(staged, run=unlisted))
        write_record(staged, unlisted.dataset_csv, digest, skipped)
        unlisted.dataset_csv.replace(self.run.dataset_csv)
        self._take_place()
        return replace(dataset, run=self._target)

    def _take_place(self) -> None:
        """Put the new dataset in the place of an earlier one. Interrupted, it can be done again."""
        made, target = self.run, self._target
        target.dataset_csv.unlink(missing_ok=True)
        old = made.folder / "old"
        for new, place in (
            (made.dataset_json, target.dataset_json),
            (made.skipped_csv, target.skipped_csv),
            (made.duplicates_csv, target.duplicates_csv),
            (made.folder / NAME, target.folder / NAME),
            (made.clips, target.clips),
            (made.images, target.images),
            (made.dataset_csv, target.dataset_csv),
        ):
            if not new.exists():
                continue  # it was there before an interruption
            if place.is_dir():  # renaming is quicker than removing, and nothing is missing for long
                shutil.rmtree(old, ignore_errors=True)
                place.replace(old)
            new.replace(place)
        shutil.rmtree(made.folder, ignore_errors=True)

    def _gather_pictures(self) -> None:
        """Take pictures back that were already given to splits."""
        for picture in list(self.run.images.rglob("*.png")):
            picture.replace(self.pictures / picture.name)
        shutil.rmtree(self.run.images, ignore_errors=True)

    def _lines(self, key: dict[str, Any]) -> list[dict[str, Any]]:
        """The journal's songs; none if there is no journal or it is for other settings."""
        try:
            with self._journal.open(encoding="utf-8") as file:
                documents = list(_whole_lines(file))
        except (OSError, UnicodeDecodeError):
            return []
        return documents[1:] if documents[:1] == [key] else []

    def _holds(self, song: CutSong, path: Path) -> bool:
        """Whether a song's clips are all here, and the song is as it was."""
        files = [self.run.clips / f"{clip.name}.flac" for clip in song.clips]
        files += [self.pictures / f"{clip.name}.png" for clip in song.clips]
        return bool(files) and stamp_of(path) == song.stamp and all(file.is_file() for file in files)


def write_table(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a CSV file; names that are not UTF-8 are readable in it, no more."""
    with (
        atomic_write(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        csv.writer(file).writerows(rows)


def _key(settings: DatasetConfig) -> dict[str, Any]:
    """All that a clip's files follow from, but for the song."""
    return {
        "journal": _SHAPE,
        "offsets": list(settings.offsets_seconds),
        "spectrogram": settings.spectrogram.to_json(),
        "margin_s": MARGIN_SECONDS,
        "silent_dbfs": SILENT_DBFS,
    }


def _whole_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The documents up to a line that was not written to its end."""
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _to_json(song: CutSong) -> dict[str, Any]:
    clips = [(*clip[:-1], clip.fingerprint.tobytes().hex()) for clip in song.clips]
    return song._asdict() | {"clips": clips}


def _from_json(document: dict[str, Any]) -> CutSong:
    clips = [
        CutClip(name, offset, lead, level, np.frombuffer(bytes.fromhex(frames), np.uint32))
        for name, offset, lead, level, frames in document["clips"]
    ]
    left_out = [Skipped(*fields) for fields in document["left_out"]]
    return CutSong(**document | {"stamp": tuple(document["stamp"]), "clips": tuple(clips), "left_out": tuple(left_out)})


def prepare(
    songs_folder: Path,
    run: Run,
    settings: DatasetConfig,
    *,
    workers: int | None = None,
    on_songs: Callable[[int], None] = lambda total: None,
    on_song: Callable[[], None] = lambda: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> tuple[Dataset, list[Skipped]]:
    """Fill a run with the clips of a folder of songs.

    Interrupted, even killed, it goes on where it was when it is called again. Songs and settings that have changed
    since are cut anew, and nothing is done where nothing has changed. An earlier dataset stays until the new is whole.

    Parameters
    ----------
    songs_folder : Path
        Of :func:`train.dataset.discover.find_songs`, and of :func:`train.dataset.split.read_groups`.
    run : Run
    settings : DatasetConfig
    workers : int > 0, optional
        Processes; one a core by default, and 1 is this one.
    on_songs, on_song, on_note : callables, optional
        Told the number of songs to cut before the first, after each, and what a person should know, a line each.

    Returns
    -------
    dataset, skipped : Dataset, list of Skipped
        The latter are every file that is no song, and the clips that songs do not give, as in ``skipped.csv``.

    Raises
    ------
    TmgcError
        The folder is missing or holds no songs, or a genre has too few to split.
    """
    songs, skipped = find_songs(songs_folder)
    groups = _groups(songs_folder, songs, settings)
    _refuse_unfit(run, songs_folder)
    staging = Staging(run)
    _check_enough(songs, songs, staging.run)
    with run.lock():
        synthesised = (songs_folder / MARKER).is_file()
        digest = digest_of(songs, skipped, groups, settings, demonstration=synthesised)
        if earlier := staging.earlier(digest):
            on_note(f"nothing changed: {len(earlier[0].clips)} clips are as they were")
            return earlier
        cut = staging.resume(songs, settings)
        if cut:
            on_note(f"going on: {len(cut)} of {len(songs)} songs were cut before")
        rest = [song for song in songs if song.relative_path not in cut]
        on_songs(len(rest))
        cut |= _cut_songs(rest, settings, staging, workers=workers, on_song=on_song)
        skipped += [left_out for song in songs for left_out in cut[song.relative_path].left_out]
        used = _usable(songs, cut, skipped, staging.run)
        assembled = assemble(used, [cut[song.relative_path] for song in used], groups, settings)
        genres = tuple(sorted({song.genre for song in songs}))
        dataset = Dataset(run, genres, settings.spectrogram, magma(), demonstration=synthesised, clips=assembled.clips)
        for note in assembled.notes:
            on_note(note)
        return staging.finish(dataset, assembled.duplicates, skipped, digest), skipped


def magma() -> Colormap:
    """matplotlib's magma, as ``np.ndarray [shape=(256, 3)], uint8``."""
    from matplotlib import colormaps

    colormap: Colormap = np.rint(colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return colormap


def _groups(folder: Path, songs: Sequence[Song], settings: DatasetConfig) -> dict[str, str] | None:
    groups = read_groups(folder, songs) if settings.group_by in (None, "groups") else None
    if settings.group_by == "groups" and groups is None:
        raise TmgcError(f"--group-by groups needs {folder / GROUPS_NAME} with the columns path and group: write it")
    return groups


def _cut_songs(
    songs: Sequence[Song],
    settings: DatasetConfig,
    staging: Staging,
    *,
    workers: int | None,
    on_song: Callable[[], None],
) -> dict[str, CutSong]:
    """What comes of songs, by their path; each is recorded as soon as it is cut."""
    folders = (staging.run.clips, staging.pictures, staging.run.folder)
    colormap = magma()
    jobs = (Job(song, settings, colormap, *folders) for song in songs)
    cut = {}
    with closing(_cut(jobs, min(len(songs), workers or os.cpu_count() or 1), alone=workers == 1)) as results:
        for done in results:
            staging.record(done)
            cut[done.song] = done
            on_song()
    return cut


def _cut(jobs: Iterable[Job], workers: int, *, alone: bool) -> Generator[CutSong, None, None]:
    if alone:
        for job in jobs:
            with silence():  # decoders write to the terminal
                done = cut_song(job)
            yield done
    elif workers:
        for job, cut in work_through(cut_song, jobs, workers=workers):
            crashed = Skipped(job.song.relative_path, "the decoder crashed on it")
            yield cut or CutSong(job.song.relative_path, (0, 0), "", "", (), (crashed,))


def _refuse_unfit(run: Run, songs_folder: Path) -> None:
    """A run must not be taken for a genre, nor another folder for a run."""
    if os.path.lexists(run.folder) and not run.folder.is_dir():
        raise TmgcError(f"a run is a folder: {run.folder} is something else, or a link to nowhere. Name another")
    if run.folder.resolve().is_relative_to(songs_folder.resolve()):
        raise TmgcError(f"a run must not stand among the songs: {run.folder} is inside {songs_folder}. Name another")
    others = [path for path in run.folder.iterdir() if path.name not in _OURS] if run.folder.is_dir() else []
    if others and not (run.dataset_json.is_file() or (run.folder / FOLDER_NAME).is_dir()):
        raise TmgcError(f"a run goes into a new folder: {run.folder} holds other files. Name another")


_OURS = {FOLDER_NAME}
"""What a preparation that failed or was interrupted leaves in a new run."""


def _usable(songs: Sequence[Song], cut: Mapping[str, CutSong], skipped: Sequence[Skipped], staged: Run) -> list[Song]:
    """The songs that give clips, when all that give none stand in ``skipped.csv``."""
    write_table(staged.skipped_csv, [("song", "reason"), *skipped])
    usable = [song for song in songs if cut[song.relative_path].clips]
    _check_enough(usable, songs, staged)
    return usable


def _check_enough(usable: Sequence[Song], songs: Sequence[Song], staged: Run) -> None:
    """Every genre needs a song for every split."""
    count = Counter(song.genre for song in usable)
    for genre, found in sorted(Counter(song.genre for song in songs).items()):
        if found < len(SPLITS):
            raise too_few(genre, found, "songs")
        if count[genre] < len(SPLITS):
            raise TmgcError(
                f"every genre needs {len(SPLITS)} songs that give clips, one for every split: of {found} of {genre}, "
                f"{count[genre]} do. Look into {staged.skipped_csv}; --offsets must fit into the songs"
            )

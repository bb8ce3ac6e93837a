"""Songs to clips: finds the songs, splits them, cuts 2-second clips and draws their pictures."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge_runtime.audio import AUDIO_SUFFIXES, AudioFile, Samples, level_dbfs
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.spectrogram import Palette, Spectrogram, SpectrogramSettings
from train.corpus import Clip, Corpus, write_clips, write_settings
from train.demo_corpus import MARKER
from train.run import SPLITS, Run

MARGIN_SECONDS = 0.5
"""Sound kept on both sides of a clip, so that it can be cut at another moment."""

SILENT_DBFS = -60.0
"""A clip below this level holds nothing to learn from."""


@dataclass(frozen=True)
class PrepareSettings:
    """How songs become clips."""

    offsets_seconds: tuple[float, ...] = (60.0, 70.0, 80.0, 90.0)
    """Where the clips of a song begin."""
    spectrogram: SpectrogramSettings = SpectrogramSettings()
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Of a genre's songs, for train, validation and test."""
    seed: int = 0
    """Which songs come to which split."""

    def __post_init__(self) -> None:
        different = {f"{offset:g}" for offset in self.offsets_seconds}
        if len(different) < len(self.offsets_seconds) or not all(0 <= offset < 1e6 for offset in self.offsets_seconds):
            raise TmgcError(
                f"offsets are seconds from 0 on, all different, got {list(self.offsets_seconds)}: try --offsets 60,70"
            )


class Song(NamedTuple):
    """A whole audio file."""

    path: Path
    below: str
    """Its path below the corpus, with forward slashes."""
    name: str
    """The same, or its group where ``groups.csv`` names one."""
    genre: str


class Skipped(NamedTuple):
    """Something that was left out."""

    song: str
    reason: str


def prepare(
    songs_folder: Path,
    run: Run,
    settings: PrepareSettings,
    *,
    workers: int | None = None,
    on_songs: Callable[[int], None] = lambda total: None,
    on_song: Callable[[], None] = lambda: None,
) -> tuple[Corpus, list[Skipped]]:
    """Fill a run with the clips of a folder of songs.

    Parameters
    ----------
    songs_folder : Path
        ``<genre>/**/<song>``; a ``groups.csv`` with the columns ``path`` and ``group`` may say which files are parts
        of one song.
    run : Run
    settings : PrepareSettings
    workers : int > 0, optional
        Processes; all cores by default.
    on_songs, on_song : callables, optional
        Told the number of songs before the first, and after each.

    Raises
    ------
    TmgcError
        The folder is missing or holds no songs, or a genre has too few to split.
    """
    songs = find_songs(songs_folder)
    splits = split_songs(songs, shares=settings.shares, seed=settings.seed)
    _refuse_unfit(run, songs_folder)
    staging = Run(run.folder / ".preparing")
    shutil.rmtree(staging.folder, ignore_errors=True)
    corpus = Corpus(
        run=staging,
        genres=tuple(sorted({song.genre for song in songs})),
        spectrogram=settings.spectrogram,
        palette=magma(),
        demonstration=(songs_folder / MARKER).is_file(),
        clips=(),
    )
    staging.clips.mkdir(parents=True)
    on_songs(len(songs))
    jobs = [_Job(song, splits[song.name], staging, settings, corpus.palette) for song in songs]
    clips: list[Clip] = []
    skipped: list[Skipped] = []
    try:
        for made, left_out in _in_processes(jobs, workers):
            clips += made
            skipped += left_out
            on_song()
        corpus = replace(corpus, clips=tuple(clips))
        _write_skipped(run, skipped)
        _check_every_split_is_filled(corpus, run)
        write_settings(corpus)
        write_clips(corpus)
        _take_place(staging, run)
    finally:
        shutil.rmtree(staging.folder, ignore_errors=True)
    return replace(corpus, run=run), skipped


def find_songs(folder: Path) -> list[Song]:
    """All songs below ``folder/<genre>/``, sorted; hidden files and folders are not songs.

    Raises
    ------
    TmgcError
        There is no such folder, or it holds no songs in at least two genres.
    """
    if not folder.is_dir():
        raise TmgcError(f"songs stand in a folder with one folder a genre: there is no folder {folder}")
    groups = _groups(folder)
    songs = []
    for path in sorted(folder.glob("*/**/*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and not hidden:
            name = below.as_posix()
            songs.append(Song(path, name, groups.get(name, name), below.parts[0]))
    if strangers := sorted(set(groups) - {song.below for song in songs}):
        raise TmgcError(
            f"{folder / 'groups.csv'} must name songs by their path below {folder}: there is no song {strangers[0]} "
            f"({len(strangers)} such rows). Correct the spelling, or take the rows out"
        )
    genres = {song.genre for song in songs}
    if len(genres) < 2:
        raise TmgcError(
            f"songs stand in {folder}/<genre>/ with at least two genres: found {len(songs)} songs in {len(genres)} "
            f"genre(s). Songs are files that end in {', '.join(AUDIO_SUFFIXES)}"
        )
    return songs


def split_songs(songs: Iterable[Song], *, shares: tuple[float, float, float], seed: int) -> dict[str, str]:
    """The split of every song, by its name: parts of one song never part.

    Parameters
    ----------
    songs : iterable of Song
    shares : three floats that add up to 1
        Of each genre's songs; each split gets at least one.
    seed : int

    Raises
    ------
    TmgcError
        A genre has fewer songs than there are splits.
    """
    genre_of: dict[str, str] = {}
    for song in songs:
        genre_of.setdefault(song.name, song.genre)
    names_of: dict[str, list[str]] = defaultdict(list)
    for name, genre in genre_of.items():
        names_of[genre].append(name)
    splits = {}
    for genre, names in sorted(names_of.items()):
        if len(names) < len(SPLITS):
            raise TmgcError(
                f"a genre needs at least {len(SPLITS)} songs, one for each of {', '.join(SPLITS)}: {genre} has "
                f"{len(names)}. Add songs, or take the folder away"
            )
        random = np.random.default_rng([seed, *os.fsencode(genre)])
        shuffled = [names[index] for index in random.permutation(len(names))]
        test = max(1, round(shares[2] * len(names)))
        validation = max(1, round(shares[1] * len(names)))
        for index, name in enumerate(shuffled):
            splits[name] = "test" if index < test else "validation" if index < test + validation else "train"
    return splits


def magma() -> Palette:
    """matplotlib's magma, as ``np.ndarray [shape=(256, 3)], uint8``."""
    from matplotlib import colormaps

    palette: Palette = np.rint(colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return palette


def _refuse_unfit(run: Run, songs_folder: Path) -> None:
    """A run must not be taken for a genre, nor another folder for a run."""
    if run.folder.resolve().is_relative_to(songs_folder.resolve()):
        raise TmgcError(f"a run must not stand among the songs: {run.folder} is inside {songs_folder}. Name another")
    others = [path for path in run.folder.iterdir() if path.name not in _OURS] if run.folder.is_dir() else []
    if others and not run.corpus_json.is_file():
        raise TmgcError(f"a run goes into a new folder: {run.folder} holds other files. Name another")


_OURS = {".preparing", "skipped.csv"}
"""What a preparation that failed or was interrupted leaves in a new run."""


def _take_place(staging: Run, run: Run) -> None:
    """Put the new corpus in the place of an earlier one; until then nothing of that was lost."""
    run.corpus_csv.unlink(missing_ok=True)
    for path in (run.clips, run.images):
        shutil.rmtree(path, ignore_errors=True)
    for made, place in (
        (staging.corpus_json, run.corpus_json),
        (staging.clips, run.clips),
        (staging.images, run.images),
        (staging.corpus_csv, run.corpus_csv),
    ):
        made.replace(place)


class _Job(NamedTuple):
    song: Song
    split: str
    run: Run
    settings: PrepareSettings
    palette: Palette


def _in_processes(jobs: list[_Job], workers: int | None) -> Iterator[tuple[list[Clip], list[Skipped]]]:
    workers = min(len(jobs), workers or os.cpu_count() or 1)
    if workers == 1:
        yield from map(_cut_song, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_cut_song, jobs, chunksize=4)


def _cut_song(job: _Job) -> tuple[list[Clip], list[Skipped]]:
    clips: list[Clip] = []
    skipped: list[Skipped] = []
    try:
        for offset in job.settings.offsets_seconds:
            reason = _cut_clip(job, offset, clips)
            if reason:
                skipped.append(Skipped(str(job.song.path), f"at {offset:g} s: {reason}"))
    except TmgcError as error:
        skipped.append(Skipped(str(job.song.path), str(error)))
    except (ValueError, RuntimeError, AssertionError) as error:  # whatever a decoder makes of a damaged file
        skipped.append(Skipped(str(job.song.path), f"{type(error).__name__}: {first_line(error)}"))
    return clips, skipped


def _cut_clip(job: _Job, offset: float, clips: list[Clip]) -> str | None:
    """Cut one clip and write its files; the reason if it cannot be."""
    settings = job.settings.spectrogram
    lead = min(offset, MARGIN_SECONDS)
    with AudioFile(job.song.path, sample_rate=settings.sample_rate) as file:
        if file.seconds < offset + settings.window_seconds:
            return f"the song ends at {file.seconds:.2f} s"
        length = lead + settings.window_seconds + MARGIN_SECONDS
        sound = np.concatenate(list(file.blocks(start_seconds=offset - lead, seconds=length)))
    first = round(lead * settings.sample_rate)
    samples = sound[first : first + settings.window_samples]
    if len(samples) < settings.window_samples:
        return f"only {len(samples) / settings.sample_rate:.2f} s could be decoded"
    level = level_dbfs(samples)
    if level < SILENT_DBFS:
        return f"silent ({level:.0f} dBFS)"
    clip = Clip(
        name=f"{_clip_stem(job.song)}_{offset:g}s",
        song=job.song.name,
        genre=job.song.genre,
        split=job.split,
        offset_seconds=offset,
        lead_seconds=first / settings.sample_rate,
        level_dbfs=level,
    )
    _write_clip(job, clip, sound, samples)
    clips.append(clip)
    return None


def _clip_stem(song: Song) -> str:
    """A file name that a person recognises, made unique by a hash of the song's whole path."""
    readable = "".join(letter if letter.isalnum() else "_" for letter in song.path.stem)[:40]
    return f"{readable}_{hashlib.sha256(os.fsencode(song.below)).hexdigest()[:8]}"


def _write_clip(job: _Job, clip: Clip, sound: Samples, samples: Samples) -> None:
    import soundfile
    from PIL import Image

    grey = _spectrogram(job.settings.spectrogram, job.palette.tobytes()).grey(samples)
    image = Image.frombytes("P", grey.shape[::-1], grey.tobytes())
    image.putpalette(job.palette.tobytes())
    picture = clip.picture(job.run)
    picture.parent.mkdir(parents=True, exist_ok=True)
    image.save(picture)
    soundfile.write(clip.sound(job.run), np.clip(sound, -1.0, 1.0), job.settings.spectrogram.sample_rate)


@lru_cache(maxsize=1)
def _spectrogram(settings: SpectrogramSettings, palette: bytes) -> Spectrogram:
    """One instance for all clips of a process, since its tables are worth keeping."""
    return Spectrogram(settings, np.frombuffer(palette, np.uint8).reshape(256, 3))


def _check_every_split_is_filled(corpus: Corpus, run: Run) -> None:
    for genre in corpus.genres:
        for split in SPLITS:
            if not any(clip.genre == genre and clip.split == split for clip in corpus.clips):
                raise TmgcError(
                    f"every genre needs a clip in every split: {genre} has none in {split}. Look into "
                    f"{run.skipped_csv}; --offsets must fit into the songs"
                )


def _write_skipped(run: Run, skipped: list[Skipped]) -> None:
    with run.skipped_csv.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(("song", "reason"))
        writer.writerows(skipped)


def _groups(folder: Path) -> dict[str, str]:
    path = folder / "groups.csv"
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames is None or not {"path", "group"} <= set(reader.fieldnames):
                raise TmgcError(f"{path} must have the columns path and group, got {reader.fieldnames}: correct it")
            groups = {row["path"]: row["group"] for row in reader}
    except (UnicodeDecodeError, csv.Error) as error:
        raise TmgcError(f"{path} must be CSV in UTF-8 ({first_line(error)}): save it again as that") from error
    if nameless := [name for name, group in groups.items() if not group]:
        raise TmgcError(f"{path} must name a group for each path: {nameless[0]} has none. Correct the row")
    return groups

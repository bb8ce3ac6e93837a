"""Writes the demonstration corpus: a folder for each genre, a FLAC file for each song, and a marker file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.system_info import usable_cores
from edge_runtime.workers import Lost, work_through
from train.dataset.discover import MARKER
from train.demo_corpus.composer import check_arguments, synthesize_song
from train.demo_corpus.genres import GENRES
from train.synthesis.dsp import SAMPLE_RATE

_NOTE = (
    "synthesised music in simple sketches of ten genres, written by tmgc-train demo-corpus to show that the pipeline "
    "from audio to prediction works; results on it say nothing about real Turkish music"
)


@dataclass(frozen=True)
class _Job:
    """A file to write, in a form that can be sent to another process."""

    path: Path
    genre: str
    song: int
    seed: int
    seconds: float
    difficulty: str


def write_demo_corpus(
    folder: Path,
    *,
    songs_per_genre: int = 30,
    seconds: float = 8.0,
    seed: int = 0,
    difficulty: str = "easy",
    workers: int | None = None,
    on_song: Callable[[Path], None] | None = None,
) -> int:
    """Write ``folder/<Genre>/<genre>_<nnn>.flac`` for all genres, 16-bit mono, and the marker.

    The same arguments give the same bytes, whatever ``workers`` is, and a corpus with more songs contains those of a
    corpus with fewer. Songs of an earlier demonstration corpus in the folder are replaced.

    Parameters
    ----------
    folder : Path
        New, empty, or with a demonstration corpus.
    songs_per_genre : int >= 1
    seconds : float >= 2
        Length of each song.
    seed : int >= 0
    difficulty : str
        One of ``DIFFICULTIES``.
    workers : int >= 1 or None
        Processes; None is one for each core that this process may use.
    on_song : callable or None
        Called in this process with the path of each finished file.

    Returns
    -------
    songs : int
        Songs written.

    Raises
    ------
    TmgcError
        An argument is out of its range, or the folder holds something else.
    """
    check_arguments(seed=seed, seconds=seconds, difficulty=difficulty)
    if songs_per_genre < 1:
        raise TmgcError(f"a demonstration corpus has at least 1 song a genre, got {songs_per_genre}: ask for more")
    if workers is not None and workers < 1:
        raise TmgcError(f"workers must be 1 or more, got {workers}: leave it out for one for each core")
    folder = Path(folder)
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # The marker comes first, so that an interrupted corpus is marked as well.
    _write_marker(folder, songs_per_genre=songs_per_genre, seconds=seconds, seed=seed, difficulty=difficulty)
    _remove_songs(folder)
    jobs = [
        _Job(folder / genre / f"{genre.lower()}_{song:03d}.flac", genre, song, seed, seconds, difficulty)
        for genre in GENRES
        for song in range(songs_per_genre)
    ]
    for path in _written(jobs, workers=min(workers or usable_cores(), len(jobs))):
        if on_song is not None:
            on_song(path)
    return len(jobs)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise TmgcError(f"a demonstration corpus needs a folder, {folder} is a file: name another place")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise TmgcError(
            f"a demonstration corpus is written to a new or empty folder or over another one; {folder} holds files and "
            f"no {MARKER}: name another folder"
        )


def _write_marker(folder: Path, **settings: int | float | str) -> None:
    document = {"demonstration": True, "note": _NOTE, **settings}
    with atomic_write(folder / MARKER) as partial:
        partial.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _remove_songs(folder: Path) -> None:
    """Remove the songs of an earlier corpus, which the new marker does not describe, and nothing else."""
    for genre in GENRES:
        for pattern in (f"{genre.lower()}_[0-9]*.flac", f".part-{genre.lower()}_[0-9]*.flac"):
            for song in (folder / genre).glob(pattern):
                song.unlink()


def _written(jobs: list[_Job], *, workers: int) -> Iterator[Path]:
    """Paths of the files, in any order, each as soon as it is written."""
    if workers == 1:
        yield from map(_write_song, jobs)
        return
    for job, path in work_through(_write_song, jobs, workers=workers):
        if isinstance(path, Lost):
            raise TmgcError(f"{job.path.name} could not be made: {path.reason}. Run it again")
        yield path


def _write_song(job: _Job) -> Path:
    samples = synthesize_song(job.genre, song=job.song, seed=job.seed, seconds=job.seconds, difficulty=job.difficulty)
    with atomic_write(job.path) as partial:
        soundfile.write(partial, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return job.path

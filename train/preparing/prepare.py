"""Songs to clips: finds the songs, cuts them, decides which come to which split, and puts the corpus together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Palette
from train.corpus import Corpus
from train.demo_corpus import MARKER
from train.libraries import silence
from train.preparing.arranging import arrange
from train.preparing.cutting import CutSong, Job, cut_song
from train.preparing.grouping import read_groups
from train.preparing.processes import work_through
from train.preparing.record import digest_of
from train.preparing.settings import PrepareSettings
from train.preparing.songs import GROUPS_NAME, Skipped, Song, find_songs
from train.preparing.splitting import too_few
from train.preparing.staging import FOLDER_NAME, Staging, write_table
from train.run import SPLITS, Run


def prepare(
    songs_folder: Path,
    run: Run,
    settings: PrepareSettings,
    *,
    workers: int | None = None,
    on_songs: Callable[[int], None] = lambda total: None,
    on_song: Callable[[], None] = lambda: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> tuple[Corpus, list[Skipped]]:
    """Fill a run with the clips of a folder of songs.

    Interrupted, even killed, it goes on where it was when it is called again. Songs and settings that have changed
    since are cut anew, and nothing is done where nothing has changed. An earlier corpus stays until the new is whole.

    Parameters
    ----------
    songs_folder : Path
        Of :func:`train.preparing.songs.find_songs`, and of :func:`train.preparing.grouping.read_groups`.
    run : Run
    settings : PrepareSettings
    workers : int > 0, optional
        Processes; one a core by default, and 1 is this one.
    on_songs, on_song, on_note : callables, optional
        Told the number of songs to cut before the first, after each, and what a person should know, a line each.

    Returns
    -------
    corpus, skipped : Corpus, list of Skipped
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
    with run.held():
        synthesised = (songs_folder / MARKER).is_file()
        digest = digest_of(songs, skipped, groups, settings, demonstration=synthesised)
        if earlier := staging.earlier(digest):
            on_note(f"nothing changed: {len(earlier[0].clips)} clips are as they were")
            return earlier
        cut = staging.resume(songs, settings)
        if cut:
            on_note(f"going on: {len(cut)} of {len(songs)} songs were cut before")
        rest = [song for song in songs if song.below not in cut]
        on_songs(len(rest))
        cut |= _cut_songs(rest, settings, staging, workers=workers, on_song=on_song)
        skipped += [left_out for song in songs for left_out in cut[song.below].left_out]
        used = _usable(songs, cut, skipped, staging.run)
        arranged = arrange(used, [cut[song.below] for song in used], groups, settings)
        genres = tuple(sorted({song.genre for song in songs}))
        corpus = Corpus(run, genres, settings.spectrogram, magma(), demonstration=synthesised, clips=arranged.clips)
        for note in arranged.notes:
            on_note(note)
        return staging.finish(corpus, arranged.duplicates, skipped, digest), skipped


def magma() -> Palette:
    """matplotlib's magma, as ``np.ndarray [shape=(256, 3)], uint8``."""
    from matplotlib import colormaps

    palette: Palette = np.rint(colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
    return palette


def _groups(folder: Path, songs: Sequence[Song], settings: PrepareSettings) -> dict[str, str] | None:
    groups = read_groups(folder, songs) if settings.group_by in (None, "groups") else None
    if settings.group_by == "groups" and groups is None:
        raise TmgcError(f"--group-by groups needs {folder / GROUPS_NAME} with the columns path and group: write it")
    return groups


def _cut_songs(
    songs: Sequence[Song],
    settings: PrepareSettings,
    staging: Staging,
    *,
    workers: int | None,
    on_song: Callable[[], None],
) -> dict[str, CutSong]:
    """What comes of songs, by their path; each is recorded as soon as it is cut."""
    folders = (staging.run.clips, staging.pictures, staging.run.folder)
    palette = magma()
    jobs = (Job(song, settings, palette, *folders) for song in songs)
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
            crashed = Skipped(job.song.below, "the decoder crashed on it")
            yield cut or CutSong(job.song.below, (0, 0), "", "", (), (crashed,))


def _refuse_unfit(run: Run, songs_folder: Path) -> None:
    """A run must not be taken for a genre, nor another folder for a run."""
    if os.path.lexists(run.folder) and not run.folder.is_dir():
        raise TmgcError(f"a run is a folder: {run.folder} is something else, or a link to nowhere. Name another")
    if run.folder.resolve().is_relative_to(songs_folder.resolve()):
        raise TmgcError(f"a run must not stand among the songs: {run.folder} is inside {songs_folder}. Name another")
    others = [path for path in run.folder.iterdir() if path.name not in _OURS] if run.folder.is_dir() else []
    if others and not (run.corpus_json.is_file() or (run.folder / FOLDER_NAME).is_dir()):
        raise TmgcError(f"a run goes into a new folder: {run.folder} holds other files. Name another")


_OURS = {FOLDER_NAME}
"""What a preparation that failed or was interrupted leaves in a new run."""


def _usable(songs: Sequence[Song], cut: Mapping[str, CutSong], skipped: Sequence[Skipped], staged: Run) -> list[Song]:
    """The songs that give clips, when all that give none stand in ``skipped.csv``."""
    write_table(staged.skipped_csv, [("song", "reason"), *skipped])
    usable = [song for song in songs if cut[song.below].clips]
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

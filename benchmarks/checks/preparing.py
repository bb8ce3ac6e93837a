"""How fast a dataset is prepared, against the reference's script: librosa and a saved matplotlib figure for each clip.

Half of a sample of clips is done in the reference's way before ``prepare`` runs on all of them and half after it. The
reference is one process; ``prepare`` takes all cores, also writes each clip's audio, and looks for songs with the same
audio.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.reference import reference_decibels, reference_figure
from edge_runtime.system_info import usable_cores
from train.dataset import DatasetConfig, prepare
from train.run import Run

SONG_SECONDS = 100.0
"""Long enough for the reference's offsets."""

DIFFERENT_SONGS = 40
"""Songs that are synthesised, since encoding an mp3 takes far longer than preparing it."""

_GENRES = ("Halk", "Rock", "Klasik", "Elektronik")
_SAMPLE_RATE = 44_100


@dataclass(frozen=True)
class Preparing:
    """Clips per second both ways."""

    songs: int
    reference_clips: int
    reference_seconds: float
    prepared_clips: int
    prepared_seconds: float

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures for people."""
        reference = self.reference_clips / self.reference_seconds
        prepared = self.prepared_clips / self.prepared_seconds
        return (
            f"reference: {reference:.1f} clips/s ({self.reference_clips} clips)",
            f"tmgc-train prepare: {prepared:.1f} clips/s ({self.prepared_clips} clips of {self.songs} songs)",
            f"ratio: {prepared / reference:.1f}",
        )


def time_preparing(songs: int, *, sample: int) -> Preparing:
    """Prepare synthesised mp3 songs both ways.

    Parameters
    ----------
    songs : int > 0
    sample : int > 1
        Clips in the reference's way, about.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_songs(folder / "songs", songs, seconds=SONG_SECONDS)
        config = DatasetConfig()
        clips = sample_clips([(path, offset) for path in paths for offset in config.offsets_seconds], sample)
        half = len(clips) // 2
        reference_seconds(clips[:1], folder)  # what the libraries do once
        spent = reference_seconds(clips[:half], folder)
        begun = perf_counter()
        dataset, _ = prepare(folder / "songs", Run(folder / "run"), config)
        prepared_seconds = perf_counter() - begun
        spent += reference_seconds(clips[half:], folder)
    return Preparing(songs, len(clips), spent, len(dataset.clips), prepared_seconds)


def write_songs(folder: Path, count: int, *, seconds: float) -> list[Path]:
    """Write mp3 songs to ``folder/<genre>/``: the first :data:`DIFFERENT_SONGS` are files, the others links to them."""
    paths = [folder / _GENRES[song % len(_GENRES)] / f"{song:04d}.mp3" for song in range(count)]
    files, links = paths[:DIFFERENT_SONGS], paths[DIFFERENT_SONGS:]
    with ProcessPoolExecutor(usable_cores(), mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_write_song, seconds=seconds), files))
    for number, link in enumerate(links):
        link.symlink_to(files[number % len(files)])
    return paths


def sample_clips(clips: list[tuple[Path, float]], count: int) -> list[tuple[Path, float]]:
    """About ``count`` clips, evenly from all, of every offset in turn: an odd step is no multiple of their number."""
    return clips[:: len(clips) // count | 1]


def reference_seconds(clips: list[tuple[Path, float]], folder: Path) -> float:
    """Seconds that the reference's script takes for clips, given by their song and offset."""
    import librosa
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    begun = perf_counter()
    for path, offset in clips:
        samples, _ = librosa.load(path, offset=offset, duration=2.0)
        figure = reference_figure(reference_decibels(samples))
        figure.savefig(folder / "figure.png")
        plt.close(figure)
    return perf_counter() - begun


def _write_song(path: Path, *, seconds: float) -> None:
    import soundfile

    from train.demo_corpus import synthesize_song

    # A tenth is synthesised and repeated: the content does not matter to the time.
    part = synthesize_song(path.parent.name, song=int(path.stem), seed=0, seconds=seconds / 10)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.tile(part, 10), _SAMPLE_RATE, format="MP3")

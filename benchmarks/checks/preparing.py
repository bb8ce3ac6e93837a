"""How fast songs become clips: ``tmgc-train prepare`` against the original's script, on the same mp3 songs.

``tmgc-bench check preparing`` synthesises some songs and links to each under many names, cuts some of their clips
in the original's way before and some after it prepares all of them, and prints the clips per second of both, their
ratio and the machine. The original's way is one process that loads each clip with librosa and saves a matplotlib figure
of it; ``prepare`` takes all cores, also writes each clip's sound, and looks for songs with the same sound, and its time
counts from its first to its last line.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import click
import numpy as np

from benchmarks.reference import original_decibels, original_figure
from benchmarks.system_info import describe_machine, one_line
from edge_runtime.cli.base import one_line_errors, say
from train.dataset import DatasetConfig, prepare
from train.run import Run

SONG_SECONDS = 100.0
"""Long enough for the original's offsets."""

DIFFERENT_SONGS = 40
"""Songs that are synthesised, since to encode an mp3 takes far longer than to prepare it."""

_GENRES = ("Halk", "Rock", "Klasik", "Elektronik")
_SAMPLE_RATE = 44_100


@click.command("preparing", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--songs", default=1500, show_default=True, type=click.IntRange(min=12), help="Songs to prepare.")
@click.option(
    "--sample", default=80, show_default=True, type=click.IntRange(min=2), help="Clips in the original's way."
)
@one_line_errors
def main(songs: int, sample: int) -> None:
    """Race the preparation against the original's script on synthesised mp3 songs of 100 s."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"synthesising mp3 songs of {SONG_SECONDS:g} s ...")
        paths = write_songs(folder / "songs", songs, seconds=SONG_SECONDS)
        settings = DatasetConfig()
        clips = drawn([(path, offset) for path in paths for offset in settings.offsets_seconds], sample)
        half = len(clips) // 2
        original_seconds(clips[:1], folder)  # the libraries' own beginning
        spent = original_seconds(clips[:half], folder)
        begun = perf_counter()
        dataset, _ = prepare(folder / "songs", Run(folder / "run"), settings)
        rate = len(dataset.clips) / (perf_counter() - begun)
        spent += original_seconds(clips[half:], folder)
    original = len(clips) / spent
    click.echo(f"original: {original:.1f} clips/s ({len(clips)} clips)")
    click.echo(f"tmgc-train prepare: {rate:.1f} clips/s ({len(dataset.clips)} clips of {songs} songs)")
    click.echo(f"ratio: {rate / original:.1f}")
    click.echo(one_line(describe_machine()))


def write_songs(folder: Path, count: int, *, seconds: float) -> list[Path]:
    """Write so many mp3 songs below ``folder/<genre>/``: the first are files, the others links to them."""
    paths = [folder / _GENRES[song % len(_GENRES)] / f"{song:04d}.mp3" for song in range(count)]
    files, links = paths[:DIFFERENT_SONGS], paths[DIFFERENT_SONGS:]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_write_song, seconds=seconds), files))
    for number, link in enumerate(links):
        link.symlink_to(files[number % len(files)])
    return paths


def drawn(clips: list[tuple[Path, float]], count: int) -> list[tuple[Path, float]]:
    """About so many clips, evenly from all, and of every offset in turn: an odd step is no multiple of their number."""
    return clips[:: len(clips) // count | 1]


def original_seconds(clips: list[tuple[Path, float]], folder: Path) -> float:
    """How long the original's script takes for clips, given by their song and offset."""
    import librosa
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    begun = perf_counter()
    for path, offset in clips:
        samples, _ = librosa.load(path, offset=offset, duration=2.0)
        figure = original_figure(original_decibels(samples))
        figure.savefig(folder / "figure.png")
        plt.close(figure)
    return perf_counter() - begun


def _write_song(path: Path, *, seconds: float) -> None:
    import soundfile

    from train.demo_corpus import synthesize_song

    # A tenth is synthesised and repeated: what the sound is does not matter to the time.
    part = synthesize_song(path.parent.name, song=int(path.stem), seed=0, seconds=seconds / 10)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.tile(part, 10), _SAMPLE_RATE, format="MP3")

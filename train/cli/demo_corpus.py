"""``tmgc-train demo-corpus``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.commands import one_line_errors, say
from train.cli.options import SEED


@click.command("demo-corpus")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--songs", default=30, show_default=True, help="Songs of each genre.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of a song.")
@click.option("--difficulty", default="easy", show_default=True, help="easy, medium or hard: how alike neighbours are.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same seed, same bytes.")
@one_line_errors
def demo_corpus(folder: Path, songs: int, seconds: float, difficulty: str, seed: int) -> None:
    """Synthesise ten genres of demonstration music into FOLDER.

    It shows that everything works on a machine without data. Nothing about real Turkish music follows from it.
    """
    from train.demo_corpus import GENRES, write_demo_corpus
    from train.progress import ProgressBar

    with ProgressBar() as bar:
        bar.phase("synthesising songs", songs * len(GENRES))
        count = write_demo_corpus(
            folder,
            songs_per_genre=songs,
            seconds=seconds,
            difficulty=difficulty,
            seed=seed,
            on_song=lambda path: bar.step({}),
        )
    say(f"{count} songs of {seconds:g} s in {folder}: synthesised, for demonstration only")

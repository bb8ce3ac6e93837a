"""``tmgc-train open-music``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.cli.base import say
from edge_runtime.terminal import print_line
from train.cli.progress import ProgressBar


@click.command("open-music")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--package", "packages", multiple=True, metavar="NAME", help="Instead of those that are known; repeatable."
)
@click.option(
    "--pieces", type=click.IntRange(0), help="Synthesised pieces of each of 12 families of styles.  [default: 30]"
)
def open_music(folder: Path, packages: tuple[str, ...], pieces: int | None) -> None:
    """Collect freely licensed music in FOLDER, for a pretraining: from packages of Debian or Ubuntu, and synthesised.

    Nothing is installed. FOLDER/packages.csv lists versions, licences and seconds.
    """
    from train.open_music import MUSIC
    from train.open_music.collect import MANIFEST, PIECES, collect_open_music

    with ProgressBar() as progress:
        sources = collect_open_music(
            folder, packages=packages or MUSIC, pieces=PIECES if pieces is None else pieces, reporter=progress
        )
    for source in sources:
        print_line(
            f"{source.package}: {source.files} files, {source.seconds:.0f} s"
            if source.version
            else f"{source.package}: left out"
        )
    files, hours = sum(source.files for source in sources), sum(source.seconds for source in sources) / 3600
    say(f"{files} files, {hours:.1f} hours; licences: {folder / MANIFEST}")

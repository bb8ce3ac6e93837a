"""``tmgc-train teacher``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.terminal import print_line, print_lines
from train.cli.options import require_keras


@click.command()
@click.argument("name")
@click.option("--file", type=click.Path(path_type=Path), metavar="WHEEL", help="Take it from a file, not the network.")
def teacher(name: str, file: Path | None) -> None:
    """Fetch and check the teacher NAME: musicnn, a network that was trained on the Million Song Dataset.

    Other commands fetch it, too, where they need it. It is kept in the user's cache folder.
    """
    if name != "musicnn":
        raise TmgcError(f"the teacher that can be fetched is musicnn, got {name}: check the spelling")
    require_keras()
    from train.teachers.musicnn import Musicnn, fetch

    wheel = fetch(file)
    opened = Musicnn(wheel)
    say(f"{wheel}: complete, and its network computes what it should")
    print_line(f"{opened.name}: {len(opened.target_names)} outputs from mono audio at {opened.sample_rate} Hz")
    print_lines(opened.licence.splitlines())

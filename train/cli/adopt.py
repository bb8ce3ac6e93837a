"""``tmgc-train adopt``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from train.cli.options import require_keras


@click.command()
@click.argument("teacher")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--mapping",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help='Other genres: JSON with the tags of each, such as {"Caz": ["jazz"], "Rock": ["rock", "hard rock"]}.',
)
def adopt(teacher: str, run: Path, mapping: Path | None) -> None:
    """Make a RUN whose model is the TEACHER itself: musicnn, or a run of tmgc-train pretrain.

    It names broad genres by the tags that it knows, and nothing is trained. Its card holds the mapping.
    """
    from train.run import Run
    from train.teachers import MUSICNN
    from train.teachers.genre_mapping import NOTE, WORLD, read_mapping

    chosen = read_mapping(mapping) if mapping else WORLD
    if teacher != MUSICNN and not Path(teacher).is_dir():
        raise TmgcError(
            f"what is adopted is {MUSICNN} or the folder of a pretrained run, got {teacher}: check the spelling"
        )
    Run(run).check_vacant()
    require_keras()
    from train.teachers.adoption import adopt as adopt_teacher
    from train.teachers.tagger import musicnn_tagger, pretrained_tagger

    if teacher == MUSICNN:
        tagger = musicnn_tagger(chosen)
    else:
        tagger = pretrained_tagger(Run(Path(teacher)))
        if not mapping:
            chosen = chosen.within(tagger.tags)
    card = adopt_teacher(Run(run), tagger, chosen)
    for genre, tags in chosen.tags_of.items():
        say(f"  {genre}: {', '.join(tags)}")
    say(f"  {NOTE}")
    say(f"  model and card of {len(card.genres)} genres in {run}")
    say(f"next: tmgc-export {run}")

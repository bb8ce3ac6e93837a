"""``tmgc-train``: synthesise a demonstration corpus, prepare a dataset, train and evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_runtime.cli.base import OneLineGroup, say
from edge_runtime.terminal import print_lines
from train.cli.adopt import adopt
from train.cli.compare_rates import compare_rates
from train.cli.cross_validate import cross_validate
from train.cli.distil import distil
from train.cli.evaluate import evaluate, run_evaluate
from train.cli.fetch import fetch
from train.cli.fit import fit, fit_options, fit_settings, refuse_interrupted, run_fit
from train.cli.open_music import open_music
from train.cli.prepare import corrections_option, demo_corpus, prepare, prepare_options, prepare_settings, run_prepare
from train.cli.pretrain import pretrain
from train.cli.trainings import use_rate_of_architecture


@click.command("all")
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@prepare_options
@corrections_option
@fit_options
def everything(songs: Path, run: Path, corrections: Path | None, **options: Any) -> None:
    """Prepare SONGS, train on them and evaluate the result, all in RUN."""
    refuse_interrupted(run)
    config = fit_settings(seed=options["seed"], **fit_options.of(options))
    use_rate_of_architecture(options)
    run_prepare(songs, run, prepare_settings(**prepare_options.of(options)), corrections=corrections)
    run_fit(run, config)
    print_lines(run_evaluate(run, "test").as_text().splitlines())
    say(f"next: tmgc-export {run}")


@click.group("tmgc-train", cls=OneLineGroup)
@click.version_option(package_name="tmgc")
def main() -> None:
    """Train a genre classifier on a folder of songs: SONGS/<genre>/<song>.mp3."""


_COMMANDS = (
    *(demo_corpus, prepare, fit, evaluate, everything, compare_rates, cross_validate),
    *(fetch, adopt, pretrain, open_music, distil),
)
for _command in _COMMANDS:
    main.add_command(_command)

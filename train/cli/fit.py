"""``tmgc-train fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.commands import newest_run, one_line_errors, say
from train.cli.options import SEED, Options, require_keras

if TYPE_CHECKING:
    from train.fit import FitSettings

fit_options = Options(
    click.option("--architecture", default="inception_resnet_v2", show_default=True, help="Of the network."),
    click.option("--weights", default="imagenet", show_default=True, help="imagenet, none (random) or a weights FILE."),
    click.option("--head-epochs", default=20, show_default=True, help="Of the head on the frozen backbone."),
    click.option("--epochs", default=20, show_default=True, help="Of fine-tuning at most."),
    click.option("--learning-rate", default=1e-4, show_default=True, help="Of fine-tuning, at its highest."),
    click.option("--batch-size", default=32, show_default=True, help="Pictures in a training step."),
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@fit_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of random weights and the order of pictures.")
@one_line_errors
def fit(run: Path | None, **options: Any) -> None:
    """Train a network on the prepared RUN (default: the newest under ./runs)."""
    run = run or newest_run("corpus.csv")
    run_fit(run, fit_settings(**options))
    say(f"next: tmgc-train evaluate {run}")


def fit_settings(**options: Any) -> FitSettings:
    """The settings that the options ask for."""
    require_keras()
    from train.fit import FitSettings

    return FitSettings(**options)


def run_fit(folder: Path, settings: FitSettings) -> None:
    """Train, with progress on standard error."""
    from train.corpus import read_corpus
    from train.fit import fit
    from train.progress import ProgressBar
    from train.run import Run

    corpus = read_corpus(Run(folder))
    with ProgressBar() as bar:
        fit(corpus, settings, bar)
    say(f"  model and card in {folder}")

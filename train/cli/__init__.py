"""``tmgc-train``: makes a demonstration corpus, prepares songs, trains and judges."""

from __future__ import annotations

import click

from edge_runtime.commands import OneLineGroup
from train.cli.all import everything
from train.cli.compare_rates import compare_rates
from train.cli.demo_corpus import demo_corpus
from train.cli.evaluate import evaluate
from train.cli.fit import fit
from train.cli.prepare import prepare


@click.group(cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tmgc")
def main() -> None:
    """Train a genre classifier on a folder of songs: SONGS/<genre>/<song>.mp3."""


for _command in (demo_corpus, prepare, fit, evaluate, everything, compare_rates):
    main.add_command(_command)

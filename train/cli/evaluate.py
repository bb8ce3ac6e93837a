"""``tmgc-train evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.commands import newest_run, one_line_errors, say
from train.cli.options import require_keras

if TYPE_CHECKING:
    from train.judging import Evaluation


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "validation", "test"]))
@click.option("--degrade", is_flag=True, help="Judge it on sound of low quality as well.")
@click.option("--baseline", is_flag=True, help="Hold it against MFCC statistics and an SVM on the same split.")
@click.option("--json", "as_json", is_flag=True, help="Print evaluation.json.")
@one_line_errors
def evaluate(run: Path | None, split: str, degrade: bool, baseline: bool, as_json: bool) -> None:
    """Judge the model of RUN on songs that it has not heard.

    Writes evaluation.json, plots and report.html into RUN, and temperature and threshold into its card.
    """
    run = run or newest_run("model.keras")
    result = run_evaluate(run, split, degrade=degrade, baseline=baseline)
    click.echo(result.to_json() if as_json else result.as_text())
    say(f"next: tmgc-export {run}")


def run_evaluate(folder: Path, split: str, *, degrade: bool = False, baseline: bool = False) -> Evaluation:
    """Judge, with progress on standard error."""
    require_keras()
    from train.corpus import read_corpus
    from train.judging import evaluate
    from train.progress import ProgressBar
    from train.run import Run

    corpus = read_corpus(Run(folder))
    with ProgressBar() as bar:
        result = evaluate(corpus, split, degrade=degrade, baseline=baseline, reporter=bar)
    say(f"  report: {corpus.run.report_html(split)}")
    return result

"""``tmgc-train evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.terminal import print_json, print_lines
from train.cli.options import require_keras

if TYPE_CHECKING:
    from train.evaluation import Evaluation


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "validation", "test"]))
@click.option("--robustness", is_flag=True, help="Also evaluate on noisy, coded and otherwise degraded audio.")
@click.option("--baseline", is_flag=True, help="Also compare with an SVM on MFCC statistics.")
@click.option(
    "--teacher", metavar="NAME", help="With --baseline, also compare with a teacher: musicnn, or another RUN."
)
@click.option(
    "--compare-with",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="RUN with the same test songs, such as the teacher of this one: also print the paired difference to it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print evaluation.json.")
def evaluate(
    run: Path | None,
    split: str,
    robustness: bool,
    baseline: bool,
    teacher: str | None,
    compare_with: Path | None,
    as_json: bool,
) -> None:
    """Evaluate the model of RUN on its test songs.

    Writes evaluation.json, plots and report.html into RUN, and temperature and threshold into its model card.
    """
    from train.run import newest_run

    if teacher and not baseline:
        raise TmgcError("--teacher names a baseline: use it together with --baseline")
    if compare_with and split != "test":
        raise TmgcError("--compare-with is for songs that neither run has heard: leave --split out")
    run = run or newest_run("model.keras")
    result = run_evaluate(
        run, split, robustness=robustness, baseline=baseline, teacher=teacher, compare_with=compare_with
    )
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(result.as_text().splitlines())
    say(f"next: tmgc-export {run}")


def run_evaluate(
    folder: Path,
    split: str,
    *,
    robustness: bool = False,
    baseline: bool = False,
    teacher: str | None = None,
    compare_with: Path | None = None,
) -> Evaluation:
    """Evaluate, with progress on standard error."""
    require_keras()
    from train.cli.progress import ProgressBar
    from train.dataset.dataset import read_dataset
    from train.evaluation import evaluate
    from train.run import Run
    from train.teachers import open_teacher

    dataset = read_dataset(Run(folder))
    other = read_dataset(Run(compare_with)) if compare_with else None
    opened = open_teacher(teacher) if teacher else None
    with ProgressBar() as bar:
        result = evaluate(
            dataset, split, robustness=robustness, baseline=baseline, teacher=opened, compare_with=other, reporter=bar
        )
    say(f"  report: {dataset.run.report_html(split)}")
    return result

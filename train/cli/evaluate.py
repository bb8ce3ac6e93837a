"""``tmgc-train evaluate`` and ``tmgc-train compare-rates``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.terminal import print_json, print_lines
from train.cli.fit import fit_options, fit_settings, run_fit
from train.cli.options import require_keras
from train.cli.prepare import prepare_options, prepare_settings, run_prepare

if TYPE_CHECKING:
    from train.dataset.dataset import Dataset
    from train.evaluation import Evaluation
    from train.evaluation.sample_rates import RateComparison
    from train.training import TrainingConfig


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "validation", "test"]))
@click.option("--robustness", is_flag=True, help="Also evaluate on noisy, coded and otherwise degraded audio.")
@click.option("--baseline", is_flag=True, help="Also compare with an SVM on MFCC statistics.")
@click.option(
    "--teacher", metavar="NAME", help="With --baseline, also compare with a teacher: musicnn, or another RUN."
)
@click.option("--json", "as_json", is_flag=True, help="Print evaluation.json.")
def evaluate(
    run: Path | None, split: str, robustness: bool, baseline: bool, teacher: str | None, as_json: bool
) -> None:
    """Evaluate the model of RUN on its test songs.

    Writes evaluation.json, plots and report.html into RUN, and temperature and threshold into its model card.
    """
    from train.run import newest_run

    if teacher and not baseline:
        raise TmgcError("--teacher names a baseline: use it together with --baseline")
    run = run or newest_run("model.keras")
    result = run_evaluate(run, split, robustness=robustness, baseline=baseline, teacher=teacher)
    _print(result, as_json=as_json)
    say(f"next: tmgc-export {run}")


def _print(result: Evaluation | RateComparison, *, as_json: bool) -> None:
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(result.as_text().splitlines())


def run_evaluate(
    folder: Path, split: str, *, robustness: bool = False, baseline: bool = False, teacher: str | None = None
) -> Evaluation:
    """Evaluate, with progress on standard error."""
    require_keras()
    from train.cli.progress import ProgressBar
    from train.dataset.dataset import read_dataset
    from train.evaluation import evaluate
    from train.run import Run
    from train.teachers import open_teacher

    dataset = read_dataset(Run(folder))
    opened = open_teacher(teacher) if teacher else None
    with ProgressBar() as bar:
        result = evaluate(dataset, split, robustness=robustness, baseline=baseline, teacher=opened, reporter=bar)
    say(f"  report: {dataset.run.report_html(split)}")
    return result


_prepare_options = prepare_options.without("sample_rate")


@click.command("compare-rates")
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@_prepare_options
@fit_options
@click.option("--json", "as_json", is_flag=True, help="Print compare-rates.json.")
def compare_rates(songs: Path, run: Path, as_json: bool, **options: Any) -> None:
    """Train on SONGS at 11 025, 22 050 and 44 100 Hz, and compare the accuracies.

    RUN/11025, RUN/22050 and RUN/44100 are ordinary runs with the same split of the songs. Run the command again to
    resume it after an interruption.
    """
    require_keras()
    from train.evaluation.sample_rates import RATES
    from train.evaluation.sample_rates import compare_rates as compare

    config = fit_settings(seed=options["seed"], **fit_options.of(options))
    settings = json.dumps({"songs": songs.resolve(), **options}, default=str, indent=1)
    _refuse_others(run / "settings.json", settings)
    datasets = _prepare_rates(songs, {rate: run / str(rate) for rate in RATES}, options, run / "settings.json")
    with atomic_write(run / "settings.json") as path:
        path.write_text(settings, "utf-8")
    for dataset in datasets:
        _train_and_evaluate(dataset, config)
    result = compare(datasets)
    with atomic_write(run / "compare-rates.json") as path:
        path.write_text(result.to_json(), "utf-8")
    _print(result, as_json=as_json)


def _prepare_rates(songs: Path, folders: dict[int, Path], options: dict[str, Any], begun: Path) -> list[Dataset]:
    """The dataset of each rate; those of an earlier call are kept where its file ``begun`` exists."""
    from train.dataset.dataset import read_dataset
    from train.evaluation.sample_rates import check_same_split
    from train.run import Run

    settings = {rate: prepare_settings(sample_rate=rate, **_prepare_options.of(options)) for rate in folders}
    for rate, folder in folders.items():
        if not (begun.is_file() and Run(folder).dataset_csv.is_file()):
            say(f"{rate} Hz: preparing")
            run_prepare(songs, folder, settings[rate])
    datasets = [read_dataset(Run(folder)) for folder in folders.values()]
    check_same_split(datasets)
    return datasets


def _train_and_evaluate(dataset: Dataset, config: TrainingConfig) -> None:
    """Do what an earlier call has not done."""
    from keras.utils import clear_session

    from train.training import Checkpoint

    run, rate = dataset.run, dataset.spectrogram.sample_rate
    clear_session()  # or the networks of all rates stay in memory
    if not _is_trained(dataset):
        say(f"{rate} Hz: training")
        run_fit(run.folder, None if Checkpoint(run).exists() else config)
    if not run.evaluation_json("test").is_file():
        say(f"{rate} Hz: evaluating")
        run_evaluate(run.folder, "test")


def _refuse_others(path: Path, settings: str) -> None:
    """The rates of a comparison must be trained on the same songs with the same options."""
    if path.is_file() and path.read_bytes() != settings.encode():
        raise TmgcError(
            f"the rates of a comparison are trained with the same songs and options: {path.parent} was begun with "
            f"others, which {path.name} there lists. Use those, or name another RUN"
        )


def _is_trained(dataset: Dataset) -> bool:
    run = dataset.run
    return run.model.is_file() and run.card_json.is_file() and dataset.trained(run.card())

"""``tmgc-train cross-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from edge_runtime.terminal import print_json, print_lines
from train.cli.fit import fit_options, fit_settings
from train.cli.options import require_keras
from train.cli.prepare import prepare_options, prepare_settings, run_prepare
from train.cli.trainings import Begun, resumed_by_the_same_command, train_and_evaluate, use_rate_of_architecture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.dataset.dataset import Dataset
    from train.evaluation.cross_validation import CrossValidation
    from train.evaluation.pooled_predictions import OtherPredictions, Predictions
    from train.teachers import Teacher
    from train.training import TrainingConfig

_prepare_options = prepare_options.without("split_folders")


@click.command("cross-validate")
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Number of folds.")
@_prepare_options
@fit_options
@click.option(
    "--baseline/--no-baseline",
    default=True,
    show_default=True,
    help="Whether to compare with an SVM on MFCC statistics, and with a teacher if one is named.",
)
@click.option("--baselines-only", is_flag=True, help="Train no network: what can be had of these songs in a minute?")
@click.option("--baseline-teacher", metavar="NAME", help="Teacher of the baseline: musicnn, or another RUN.")
@click.option(
    "--compare-with",
    type=click.Path(path_type=Path),
    metavar="OTHER",
    help="RUN of another cross-validation of the same songs: also print the paired difference to it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print cross-validation.json.")
def cross_validate(
    songs: Path,
    run: Path,
    folds: int,
    baseline: bool,
    baselines_only: bool,
    baseline_teacher: str | None,
    compare_with: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train on SONGS once for each fold, test on that fold, and evaluate all folds together.

    RUN/fold-1, RUN/fold-2 and so on are ordinary runs, which share the clips in RUN. Groups of songs stay together, and
    the first two of --split-ratios divide the other folds into train and validation. --minutes are those of a fold. Run
    the command again to resume it after an interruption.
    """
    require_keras()
    from train.run import Run

    if baselines_only and (not baseline or (run / _TRAINING).is_file()):
        raise TmgcError(
            f"--baselines-only is for a RUN without networks, and goes without --no-baseline: leave it out for {run}"
        )
    use_rate_of_architecture(options)
    prepared = Begun(run / "settings.json", songs=songs.resolve(), folds=folds, **_prepare_options.of(options))
    trained = None if baselines_only else Begun(run / _TRAINING, **fit_options.of(options))
    config = None if baselines_only else fit_settings(seed=options["seed"], **fit_options.of(options))
    other = _other(compare_with)
    teacher = _teacher(baseline_teacher or next(iter(options["teachers"]), None)) if baseline else None
    with resumed_by_the_same_command():
        datasets = _prepare_folds(songs, run, folds, options, begun=prepared.exists())
        _check_unknown(datasets[0], baseline_teacher, *options["teachers"], options["weights"])
        prepared.write()
        with Run(run).lock():
            predictions = _predict_baselines(datasets, teacher) if baseline else []
            if trained and config:
                trained.write()
                predictions = [_predict_network(datasets, config), *predictions]
            settings = prepared.settings | (_used(trained, config) if trained and config else {})
            result = write_result(run, datasets, predictions, settings, other=other)
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(result.as_text().splitlines())


_TRAINING = "training.json"
"""The options of the networks, once one has been begun."""


def _used(trained: Begun, config: TrainingConfig) -> dict[str, Any]:
    """The options with the values that a recipe has put in their place."""
    used = {**config.to_json(), "augment": list(config.augmentation.names)}
    return {name: used.get(name, value) for name, value in trained.settings.items()}


def _teacher(name: str | None) -> Teacher | None:
    from train.teachers import open_teacher

    return open_teacher(name) if name else None


def _check_unknown(dataset: Dataset, *names: str | None) -> None:
    """No teacher and no weights, named by a run or by a file in it, may know the songs."""
    from train.dataset.folds import check_unknown
    from train.run import Run

    for path in (Path(name) for name in names if name and Path(name).exists()):
        check_unknown(dataset, Run(path if path.is_dir() else path.parent))


def _other(run: Path | None) -> OtherPredictions | None:
    from train.evaluation.pooled_predictions import OtherPredictions

    return OtherPredictions(run) if run else None


def _prepare_folds(
    songs: Path, folder: Path, count: int, options: dict[str, Any], *, begun: bool
) -> tuple[Dataset, ...]:
    """The dataset of each fold; the clips of an earlier call are kept if its folds were begun."""
    from train.dataset.dataset import read_dataset
    from train.dataset.folds import fold_datasets, write_fold
    from train.run import Run

    settings = prepare_settings(split_folders=False, **_prepare_options.of(options))
    if not (begun and Run(folder).dataset_csv.is_file()):
        run_prepare(songs, folder, settings)
    dataset = read_dataset(Run(folder))
    folds = fold_datasets(dataset, count, split_ratios=settings.split_ratios, seed=settings.seed)
    for fold in folds:
        write_fold(fold)
    return folds


def _predict_baselines(folds: Sequence[Dataset], teacher: Teacher | None) -> list[Predictions]:
    from train.cli.progress import ProgressBar
    from train.evaluation.cross_validation import predict_baselines

    with ProgressBar() as bar:
        return predict_baselines(folds, bar, teacher=teacher)


def _predict_network(folds: Sequence[Dataset], config: TrainingConfig) -> Predictions:
    """Train what an earlier call has not trained, and predict the folds."""
    from train.cli.progress import ProgressBar
    from train.evaluation.cross_validation import predict_network

    for fold in folds:
        train_and_evaluate(fold, config, f"{fold.run.name} of {len(folds)}")
    with ProgressBar() as bar:
        return predict_network(folds, bar)


def write_result(
    run: Path,
    folds: Sequence[Dataset],
    predictions: Sequence[Predictions],
    settings: dict[str, Any],
    *,
    other: OtherPredictions | None = None,
    teacher: OtherPredictions | None = None,
) -> CrossValidation:
    """Write the predictions, the result and the report of a cross-validation, and return the result."""
    from train.evaluation.cross_validation import compare_with_other, cross_validation
    from train.evaluation.cross_validation_report import html_report
    from train.evaluation.pooled_predictions import FILE_NAME, write_predictions
    from train.run import Run

    others = compare_with_other(folds[0], predictions, other) if other else []
    result = cross_validation(folds, predictions, settings, others=others, teacher=teacher)
    write_predictions(run / FILE_NAME, folds, predictions)
    with atomic_write(Run(run).cross_validation_json) as path:
        path.write_text(result.to_json(), "utf-8")
    report = run / "cross-validation.html"
    with atomic_write(report) as path:
        path.write_text(html_report(result, Run(run)), "utf-8", errors="replace")
    say(f"  report: {report}")
    return result

"""``tmgc-train compare-rates``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import say
from edge_runtime.files import atomic_write
from edge_runtime.terminal import print_json, print_lines
from train.cli.fit import fit_options, fit_settings
from train.cli.options import require_keras
from train.cli.prepare import prepare_options, prepare_settings, run_prepare
from train.cli.trainings import Begun, resumed_by_the_same_command, train_and_evaluate

if TYPE_CHECKING:
    from train.dataset.dataset import Dataset

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
    begun = Begun(run / "settings.json", songs=songs.resolve(), **options)
    with resumed_by_the_same_command():
        datasets = _prepare_rates(songs, {rate: run / str(rate) for rate in RATES}, options, begun=begun.exists())
        begun.write()
        for rate, dataset in zip(RATES, datasets, strict=True):
            train_and_evaluate(dataset, config, f"{rate} Hz")
        result = compare(datasets)
    with atomic_write(run / "compare-rates.json") as path:
        path.write_text(result.to_json(), "utf-8")
    if as_json:
        print_json(result.to_json())
    else:
        print_lines(result.as_text().splitlines())


def _prepare_rates(songs: Path, folders: dict[int, Path], options: dict[str, Any], *, begun: bool) -> list[Dataset]:
    """The dataset of each rate; those of an earlier call are kept if the trainings were begun."""
    from train.dataset.dataset import read_dataset
    from train.evaluation.sample_rates import check_same_split
    from train.run import Run

    settings = {rate: prepare_settings(sample_rate=rate, **_prepare_options.of(options)) for rate in folders}
    for rate, folder in folders.items():
        if not (begun and Run(folder).dataset_csv.is_file()):
            say(f"{rate} Hz: preparing")
            run_prepare(songs, folder, settings[rate])
    datasets = [read_dataset(Run(folder)) for folder in folders.values()]
    check_same_split(datasets)
    return datasets

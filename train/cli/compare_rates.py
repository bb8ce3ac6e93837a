"""``tmgc-train compare-rates``: the same songs, split and training at three sample rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.commands import one_line_errors, say
from edge_runtime.errors import TmgcError
from edge_runtime.files import written_whole
from train.cli.evaluate import run_evaluate
from train.cli.fit import fit_options, fit_settings, run_fit
from train.cli.options import require_keras
from train.cli.prepare import prepare_options, prepare_settings, run_prepare

if TYPE_CHECKING:
    from train.corpus import Corpus

_prepare_options = prepare_options.without("sample_rate")


@click.command("compare-rates")
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@_prepare_options
@fit_options
@click.option("--json", "as_json", is_flag=True, help="Print compare-rates.json.")
@one_line_errors
def compare_rates(songs: Path, run: Path, as_json: bool, **options: Any) -> None:
    """Train on SONGS at 11 025, 22 050 and 44 100 Hz, and say which rate is really better.

    RUN/11025, RUN/22050 and RUN/44100 are ordinary runs, with the same songs on each split. Run the command again
    after an interruption: it goes on where it was.
    """
    require_keras()
    from keras.utils import clear_session

    from train.corpus import read_corpus
    from train.fitting import Checkpoint
    from train.judging.compare_rates import RATES, check_same_split
    from train.judging.compare_rates import compare_rates as compare
    from train.run import Run

    fitting = fit_settings(seed=options["seed"], **fit_options.of(options))
    preparing = {rate: prepare_settings(sample_rate=rate, **_prepare_options.of(options)) for rate in RATES}
    runs = {rate: Run(run / str(rate)) for rate in RATES}
    settings = json.dumps({"songs": songs.resolve(), **options}, default=str, indent=1)
    _refuse_others(run / "settings.json", settings)
    begun = (run / "settings.json").is_file()
    for rate in RATES:
        if not (begun and runs[rate].corpus_csv.is_file()):
            say(f"{rate} Hz: preparing")
            run_prepare(songs, runs[rate].folder, preparing[rate])
    corpora = [read_corpus(runs[rate]) for rate in RATES]
    check_same_split(corpora)
    with written_whole(run / "settings.json") as path:
        path.write_text(settings, "utf-8")
    for rate, corpus in zip(RATES, corpora, strict=True):
        clear_session()  # or the networks of all three rates stay in memory
        if not _is_trained(corpus):
            say(f"{rate} Hz: training")
            run_fit(corpus.run.folder, None if Checkpoint(corpus.run).exists() else fitting)
        if not corpus.run.evaluation_json("test").is_file():
            say(f"{rate} Hz: judging")
            run_evaluate(corpus.run.folder, "test")
    result = compare(corpora)
    with written_whole(run / "compare-rates.json") as path:
        path.write_text(result.to_json(), "utf-8")
    click.echo(result.to_json() if as_json else result.as_text())


def _refuse_others(path: Path, settings: str) -> None:
    """Rates that were trained in another way, or on other songs, must not be compared."""
    if path.is_file() and path.read_bytes() != settings.encode():
        raise TmgcError(
            f"the rates of a comparison are trained alike: {path.parent} was begun with other songs or options, which "
            f"{path.name} there names. Use those, or name another RUN"
        )


def _is_trained(corpus: Corpus) -> bool:
    run = corpus.run
    return run.model.is_file() and run.card_json.is_file() and corpus.trained(run.card())

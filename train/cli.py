"""``tmgc-train``: makes a demonstration corpus, prepares songs, trains and judges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.commands import newest_run, one_line_errors, say

if TYPE_CHECKING:
    from train.evaluate import Evaluation
    from train.fit import FitSettings
    from train.prepare import PrepareSettings

Command = Callable[..., Any]


SEED = click.IntRange(min=0, max=2**32 - 1)


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Numbers that are separated by commas."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"offsets are seconds separated by commas, got {value!r}: try 60,70,80,90") from None


def _prepare_options(command: Command) -> Command:
    for option in (
        click.option("--seed", type=SEED, default=0, show_default=True, help="Which songs come to which split."),
        click.option("--image-size", default=224, show_default=True, help="Pixels of a picture's side."),
        click.option("--sample-rate", default=44_100, show_default=True, help="Hz that songs are resampled to."),
        click.option(
            "--offsets",
            callback=_seconds,
            default="60,70,80,90",
            show_default=True,
            help="Where clips begin, in seconds.",
        ),
    ):
        command = option(command)
    return command


def _fit_options(command: Command) -> Command:
    for option in (
        click.option("--batch-size", default=32, show_default=True, help="Pictures in a training step."),
        click.option("--learning-rate", default=1e-4, show_default=True, help="Of fine-tuning, at its highest."),
        click.option("--epochs", default=20, show_default=True, help="Of fine-tuning at most."),
        click.option("--head-epochs", default=20, show_default=True, help="Of the head on the frozen backbone."),
        click.option(
            "--weights", default="imagenet", show_default=True, help="imagenet, none (random) or a weights FILE."
        ),
        click.option("--architecture", default="inception_resnet_v2", show_default=True, help="Of the network."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tmgc")
def main() -> None:
    """Train a genre classifier on a folder of songs: SONGS/<genre>/<song>.mp3."""


@main.command("demo-corpus")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--songs", default=30, show_default=True, help="Songs of each genre.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of a song.")
@click.option("--difficulty", default="easy", show_default=True, help="easy, medium or hard: how alike neighbours are.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Same seed, same bytes.")
@one_line_errors
def demo_corpus(folder: Path, songs: int, seconds: float, difficulty: str, seed: int) -> None:
    """Synthesise ten genres of demonstration music into FOLDER.

    It shows that everything works on a machine without data. Nothing about real Turkish music follows from it.
    """
    from train.demo_corpus import GENRES, write_demo_corpus
    from train.progress import ProgressBar

    with ProgressBar() as bar:
        bar.phase("synthesising songs", songs * len(GENRES))
        count = write_demo_corpus(
            folder,
            songs_per_genre=songs,
            seconds=seconds,
            difficulty=difficulty,
            seed=seed,
            on_song=lambda path: bar.step({}),
        )
    say(f"{count} songs of {seconds:g} s in {folder}: synthesised, for demonstration only")


@main.command()
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@_prepare_options
@one_line_errors
def prepare(songs: Path, run: Path, offsets: tuple[float, ...], sample_rate: int, image_size: int, seed: int) -> None:
    """Cut SONGS/<genre>/** into 2-second clips and pictures in RUN."""
    _prepare(songs, run, _prepare_settings(offsets, sample_rate, image_size, seed))
    say(f"next: tmgc-train fit {run}")


@main.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@_fit_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of random weights and the order of pictures.")
@one_line_errors
def fit(run: Path | None, **options: Any) -> None:
    """Train a network on the prepared RUN (default: the newest under ./runs)."""
    run = run or newest_run("corpus.csv")
    _fit(run, _fit_settings(**options))
    say(f"next: tmgc-train evaluate {run}")


@main.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--split", default="test", show_default=True, type=click.Choice(["train", "validation", "test"]))
@click.option("--json", "as_json", is_flag=True, help="Print evaluation.json.")
@one_line_errors
def evaluate(run: Path | None, split: str, as_json: bool) -> None:
    """Judge the model of RUN on songs that it has not heard."""
    run = run or newest_run("model.keras")
    result = _evaluate(run, split)
    click.echo(result.to_json() if as_json else result.as_text())
    say(f"next: tmgc-export {run}")


@main.command("all")
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@_prepare_options
@_fit_options
@one_line_errors
def everything(
    songs: Path,
    run: Path,
    offsets: tuple[float, ...],
    sample_rate: int,
    image_size: int,
    seed: int,
    **options: Any,
) -> None:
    """Prepare SONGS, train on them and judge the result, all in RUN."""
    settings = _fit_settings(seed=seed, **options)
    _prepare(songs, run, _prepare_settings(offsets, sample_rate, image_size, seed))
    _fit(run, settings)
    click.echo(_evaluate(run, "test").as_text())
    say(f"next: tmgc-export {run}")


def _prepare_settings(offsets: tuple[float, ...], sample_rate: int, image_size: int, seed: int) -> PrepareSettings:
    from edge_runtime.spectrogram import SpectrogramSettings
    from train.prepare import PrepareSettings

    spectrogram = SpectrogramSettings(sample_rate=sample_rate, image_height=image_size, image_width=image_size)
    return PrepareSettings(offsets_seconds=offsets, spectrogram=spectrogram, seed=seed)


def _fit_settings(**options: Any) -> FitSettings:
    _require_keras()
    from train.fit import FitSettings

    return FitSettings(**options)


def _require_keras() -> None:
    """Import Keras and wake its backend without what they print on the way: no user can act on it."""
    from train.libraries import library, silence

    with silence():
        library("keras", extra="train").ops.zeros(1)


def _prepare(songs: Path, folder: Path, settings: PrepareSettings) -> None:
    from train.prepare import prepare
    from train.progress import ProgressBar
    from train.run import SPLITS, Run

    with ProgressBar() as bar:
        corpus, skipped = prepare(
            songs,
            Run(folder),
            settings,
            on_songs=lambda total: bar.phase("cutting songs into clips", total),
            on_song=lambda: bar.step({}),
        )
    for split in SPLITS:
        clips = corpus.of(split)
        say(f"  {split}: {len(clips)} clips of {len({clip.song for clip in clips})} songs")
    if skipped:
        say(f"  {len(skipped)} left out, each with its reason in {corpus.run.skipped_csv}")


def _fit(folder: Path, settings: FitSettings) -> None:
    from train.corpus import read_corpus
    from train.fit import fit
    from train.progress import ProgressBar
    from train.run import Run

    corpus = read_corpus(Run(folder))
    with ProgressBar() as bar:
        fit(corpus, settings, bar)
    say(f"  model and card in {folder}")


def _evaluate(folder: Path, split: str) -> Evaluation:
    _require_keras()
    from train.corpus import read_corpus
    from train.evaluate import evaluate
    from train.progress import ProgressBar
    from train.run import Run

    corpus = read_corpus(Run(folder))
    with ProgressBar() as bar:
        bar.phase(f"judging on the {split} songs", 0)
        return evaluate(corpus, split)

"""``tmgc-train prepare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.commands import one_line_errors, say
from train.cli.options import SEED, Options

if TYPE_CHECKING:
    from train.preparing import PrepareSettings


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Numbers that are separated by commas."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"offsets are seconds separated by commas, got {value!r}: try 60,70,80,90") from None


prepare_options = Options(
    click.option(
        "--offsets",
        callback=_seconds,
        default="60,70,80,90",
        show_default=True,
        help="Where clips begin, in seconds.",
    ),
    click.option("--sample-rate", default=44_100, show_default=True, help="Hz that songs are resampled to."),
    click.option("--image-size", default=224, show_default=True, help="Pixels of a picture's side."),
    click.option("--seed", type=SEED, default=0, show_default=True, help="Which songs come to which split."),
)


@click.command()
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@prepare_options
@one_line_errors
def prepare(songs: Path, run: Path, **options: Any) -> None:
    """Cut SONGS/<genre>/** into 2-second clips and pictures in RUN."""
    run_prepare(songs, run, prepare_settings(**options))
    say(f"next: tmgc-train fit {run}")


def prepare_settings(*, offsets: tuple[float, ...], sample_rate: int, image_size: int, seed: int) -> PrepareSettings:
    """The settings that the options ask for."""
    from edge_runtime.spectrogram import SpectrogramSettings
    from train.preparing import PrepareSettings

    spectrogram = SpectrogramSettings(sample_rate=sample_rate, image_height=image_size, image_width=image_size)
    return PrepareSettings(offsets_seconds=offsets, spectrogram=spectrogram, seed=seed)


def run_prepare(songs: Path, folder: Path, settings: PrepareSettings) -> None:
    """Prepare, with progress and what came of it on standard error."""
    from train.preparing import prepare
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

"""``tmgc-train prepare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import click

from edge_runtime.cli.base import end_interrupted, one_line_errors, say
from train.cli.options import SEED, Options

if TYPE_CHECKING:
    from train.dataset import DatasetConfig, Skipped
    from train.dataset.dataset import Dataset


@click.command("demo-corpus")
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


def _numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Numbers that are separated by commas."""
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{parameter.name} are numbers separated by commas, got {value!r}: try {parameter.default}"
        ) from None


prepare_options = Options(
    click.option(
        "--offsets",
        callback=_numbers,
        default="60,70,80,90",
        show_default=True,
        help="Where clips begin, in seconds.",
    ),
    click.option("--sample-rate", default=44_100, show_default=True, help="Hz that songs are resampled to."),
    click.option("--image-size", default=224, show_default=True, help="Pixels of a picture's side."),
    click.option(
        "--group-by",
        type=click.Choice(["song", "artist", "groups"]),
        help="What stays on one side of the split: a file, the files of an artist (by tags), or those of a group in "
        "SONGS/groups.csv (path,group). Default: those of an artist and those of a group.",
    ),
    click.option(
        "--split-ratios",
        callback=_numbers,
        default="80,10,10",
        show_default=True,
        help="Of a genre's songs, in percent: train, validation, test.",
    ),
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


def prepare_settings(
    *,
    offsets: tuple[float, ...],
    sample_rate: int,
    image_size: int,
    group_by: str | None,
    split_ratios: tuple[float, ...],
    seed: int,
) -> DatasetConfig:
    """The settings that the options ask for."""
    from edge_runtime.spectrogram import SpectrogramSettings
    from train.dataset import DatasetConfig

    return DatasetConfig(
        offsets_seconds=offsets,
        spectrogram=SpectrogramSettings(sample_rate=sample_rate, image_height=image_size, image_width=image_size),
        split_ratios=cast(tuple[float, float, float], tuple(share / 100 for share in split_ratios)),
        seed=seed,
        group_by=group_by,
    )


def run_prepare(songs: Path, folder: Path, settings: DatasetConfig) -> None:
    """Prepare, with progress and what came of it on standard error."""
    try:
        dataset, skipped = _prepared(songs, folder, settings)
    except KeyboardInterrupt:
        end_interrupted(
            f"interrupted, and nothing is lost: the same command goes on from here, with what stands in {folder}"
        )
    for line in summary(dataset, skipped):
        say(f"  {line}")


def summary(dataset: Dataset, skipped: Sequence[Skipped]) -> list[str]:
    """What came of all files, a line each; the counts add up."""
    from train.dataset.discover import NOT_AUDIO
    from train.dataset.split import same_artist
    from train.run import SPLITS

    lines = []
    for split in SPLITS:
        clips = dataset.of(split)
        songs, artists = {clip.song for clip in clips}, {same_artist(clip.artist) for clip in clips} - {""}
        known = f", {len(artists)} artists" if artists else ""
        lines.append(f"{split}: {len(clips)} clips of {len(songs)} songs{known}")
    used = {clip.song for clip in dataset.clips}
    no_audio = {item.song for item in skipped if item.reason == NOT_AUDIO}
    left_out = {item.song for item in skipped} - used - no_audio
    total = len(used) + len(left_out) + len(no_audio)
    counts = f"{total} files: {len(used)} used, {len(left_out)} left out, {len(no_audio)} not audio"
    return [*lines, f"{counts}. Reasons: {dataset.run.skipped_csv}" if skipped else counts]


def _prepared(songs: Path, folder: Path, settings: DatasetConfig) -> tuple[Dataset, list[Skipped]]:
    from train.dataset import prepare
    from train.progress import ProgressBar
    from train.run import Run

    cut, begun = 0, monotonic()

    def begin(total: int) -> None:
        nonlocal begun
        begun = monotonic()
        bar.phase("cutting songs into clips", total)

    def step() -> None:
        nonlocal cut
        cut += 1
        bar.step({"songs/s": cut / (monotonic() - begun)})

    with ProgressBar() as bar:
        return prepare(
            songs, Run(folder), settings, on_songs=begin, on_song=step, on_note=lambda line: say(f"  {line}")
        )

"""``tmgc-train prepare`` and ``tmgc-train demo-corpus``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from edge_runtime.cli.base import end_interrupted, say
from train.cli.options import SEED, Options, image_options

if TYPE_CHECKING:
    from train.dataset import DatasetConfig, Skipped
    from train.dataset.dataset import Dataset


@click.command("demo-corpus")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--songs", default=30, show_default=True, help="Songs of each genre.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of a song.")
@click.option("--difficulty", default="easy", show_default=True, help="easy, medium or hard: how alike genres are.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Random seed; the same seed, the same files.")
def demo_corpus(folder: Path, songs: int, seconds: float, difficulty: str, seed: int) -> None:
    """Synthesise songs of ten genres into FOLDER, to try everything without data.

    Results on synthesised songs say nothing about real Turkish music.
    """
    from train.cli.progress import ProgressBar
    from train.demo_corpus import GENRES, write_demo_corpus

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


def _numbers(context: click.Context, parameter: click.Option, value: str | None) -> tuple[float, ...] | None:
    """Numbers separated by commas."""
    try:
        return None if value is None else tuple(float(part) for part in value.split(","))
    except ValueError:
        name = str(parameter.name).replace("_", " ")
        raise click.BadParameter(
            f"{name} are numbers separated by commas, got {value!r}: try {parameter.show_default}"
        ) from None


_WINDOWS_PER_SONG = 8
"""Where neither windows nor offsets are given."""


prepare_options = Options(
    click.option(
        "--offsets",
        callback=_numbers,
        show_default="60,70,80,90",
        help="Start of clips in their song, seconds. Given alone: of these and no others.",
    ),
    click.option(
        "--windows-per-song",
        type=int,
        show_default=str(_WINDOWS_PER_SONG),
        help="Clips of a song: those at the offsets that it is long enough for, and others, spread evenly over the "
        "rest of it.",
    ),
    click.option("--sample-rate", default=44_100, show_default=True, help="Hz: songs are resampled to it."),
    *image_options,
    click.option(
        "--group-by",
        type=click.Choice(["song", "artist", "groups"]),
        help="What must be in one split: a file, all files of an artist (from tags), or all files of a group in "
        "SONGS/groups.csv (path,group). Default: artist and groups.",
    ),
    click.option(
        "--split-ratios",
        callback=_numbers,
        default="80,10,10",
        show_default="80,10,10",
        help="Percent of each genre's songs for train, validation and test.",
    ),
    click.option("--seed", type=SEED, default=0, show_default=True, help="Random seed of the split."),
    click.option(
        "--split-folders",
        is_flag=True,
        help="Take SONGS/train/<genre>, SONGS/test/<genre> and perhaps SONGS/validation/<genre> as the split.",
    ),
)


corrections_option = click.option(
    "--corrections",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Train also on the answers that users of tmgc-listen --keep-corrections DIR have corrected.",
)


@click.command()
@click.argument("songs", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@prepare_options
@corrections_option
def prepare(songs: Path, run: Path, corrections: Path | None, **options: Any) -> None:
    """Build the dataset of RUN from SONGS/<genre>/**: 2-second clips and their spectrogram images.

    A song gives 8 clips, or those that it is long enough for. The original's four are --offsets 60,70,80,90.

    Run the command again after an interruption: songs that are done are not extracted again.
    """
    run_prepare(songs, run, prepare_settings(**options), corrections=corrections)
    say(f"next: tmgc-train fit {run}")


def prepare_settings(
    *,
    offsets: tuple[float, ...] | None,
    windows_per_song: int | None,
    sample_rate: int,
    image_size: tuple[int, int],
    colormap: str,
    group_by: str | None,
    split_ratios: tuple[float, ...],
    seed: int,
    split_folders: bool,
) -> DatasetConfig:
    """The settings of the options."""
    from edge_runtime.spectrogram import SpectrogramSettings
    from train.dataset import DatasetConfig

    if windows_per_song is None and offsets is None:
        windows_per_song = _WINDOWS_PER_SONG
    return DatasetConfig(
        offsets_seconds=offsets or DatasetConfig.offsets_seconds,
        windows_per_song=windows_per_song,
        spectrogram=SpectrogramSettings(sample_rate=sample_rate, image_height=image_size[0], image_width=image_size[1]),
        colormap=colormap,
        split_ratios=cast(tuple[float, float, float], tuple(percent / 100 for percent in split_ratios)),
        seed=seed,
        group_by=group_by,
        split_folders=split_folders,
    )


def run_prepare(songs: Path, folder: Path, settings: DatasetConfig, *, corrections: Path | None = None) -> None:
    """Build the dataset of the run in ``folder``, with progress and a summary on standard error."""
    from train.cli.progress import ProgressBar
    from train.dataset import prepare
    from train.run import Run

    try:
        with ProgressBar() as bar:
            dataset, skipped = prepare(songs, Run(folder), settings, corrections=corrections, reporter=bar)
    except KeyboardInterrupt:
        end_interrupted(f"interrupted, nothing is lost: the same command continues with the files in {folder}")
    for line in summary(dataset, skipped):
        say(f"  {line}")


def summary(dataset: Dataset, skipped: Sequence[Skipped]) -> list[str]:
    """Counts of clips, songs and files, a line each; every file is counted once."""
    from train.dataset.artists import artist_keys
    from train.dataset.discover import NOT_AUDIO
    from train.run import SPLITS

    tags = {clip.song: clip.artist for clip in dataset.clips if not clip.is_correction}
    artist_of = {song: keys[0] for song, keys in zip(tags, artist_keys(list(tags.values())), strict=True) if keys}
    used = set(tags)
    lines = []
    for split in SPLITS:
        clips = [clip for clip in dataset.of(split) if not clip.is_correction]
        songs = {clip.song for clip in clips}
        artists = len({artist_of[song] for song in songs if song in artist_of})
        lines.append(f"{split}: {len(clips)} clips of {len(songs)} songs, {artists} artists")
    if corrected := [clip.song for clip in dataset.clips if clip.is_correction]:
        lines.append(f"train, too: {len(corrected)} images of {len(set(corrected))} corrections")
    unknown = len(used) - len(artist_of)
    together = "; songs of an unknown artist may be in several splits" if unknown else ""
    lines.append(f"tags name an artist of {len(artist_of)} of {len(used)} songs{together}")
    no_audio = {item.song for item in skipped if item.reason == NOT_AUDIO}
    left_out = {item.song for item in skipped} - used - no_audio
    total = len(used) + len(left_out) + len(no_audio)
    counts = f"{total} files: {len(used)} used, {len(left_out)} left out, {len(no_audio)} not audio"
    return [*lines, f"{counts}. Reasons: {dataset.run.skipped_csv}" if skipped else counts]

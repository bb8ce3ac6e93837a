"""``tmgc-train pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edge_runtime.cli.base import end_interrupted, say
from edge_runtime.terminal import print_line
from train.cli.options import SEED, WIDTH, image_options, require_keras


@click.command()
@click.argument("music", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--teacher", default="musicnn", show_default=True, help="musicnn, or the folder of a trained run.")
@click.option(
    "--architecture",
    default="inception_resnet_v2",
    show_default=True,
    help="For small boards efficientnet_lite0 or mobilenet_v2. Also another name of keras.applications.",
)
@WIDTH
@click.option(
    "--weights",
    help="Initial weights: imagenet, none (random), the folder of a RUN, or a FILE. Default: the pre-trained ones.",
)
@click.option(
    "--windows-per-song", default=30, show_default=True, help="Windows of a file at most, spread over its length."
)
@click.option("--sample-rate", default=44_100, show_default=True, help="Hz: music is resampled to it.")
@image_options
@click.option("--epochs", default=20, show_default=True, help="Epochs at most.")
@click.option("--minutes", type=float, help="Time limit of the training: no epoch begins after it.")
@click.option("--batch-size", default=32, show_default=True, help="Images in a training step.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="Highest learning rate.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "mixed_bfloat16", "mixed_float16"]),
    default="float32",
    show_default=True,
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of random weights and the order of the windows.")
@click.option("--no-resume", is_flag=True, help="Discard an interrupted pretraining.")
def pretrain(
    music: tuple[Path, ...],
    run: Path,
    teacher: str,
    weights: str | None,
    sample_rate: int,
    image_size: tuple[int, int],
    no_resume: bool,
    **options: Any,
) -> None:
    """Pretrain a network on MUSIC without labels: folders or files of whatever music there is.

    The network learns what the teacher answers. RUN then holds initial weights for tmgc-train fit --weights RUN. Run
    the command again after an interruption: it continues.
    """
    require_keras()
    from edge_runtime.spectrogram import SpectrogramSettings
    from train.cli.progress import ProgressBar
    from train.pretraining.pretrain import PretrainingConfig
    from train.pretraining.pretrain import pretrain as run_pretraining
    from train.run import Run
    from train.teachers import open_teacher
    from train.training.architectures import find_architecture, find_weights

    config = PretrainingConfig(
        weights=find_weights(find_architecture(options["architecture"], width=options["width"]), weights),
        spectrogram=SpectrogramSettings(sample_rate=sample_rate, image_height=image_size[0], image_width=image_size[1]),
        **options,
    )
    try:
        with ProgressBar() as bar:
            document = run_pretraining(music, Run(run), open_teacher(teacher), config, discard=no_resume, reporter=bar)
    except KeyboardInterrupt:
        end_interrupted(f"interrupted, nothing is lost: the same command continues with the files in {run}")
    pieces, windows = document["pieces"], document["windows"]
    say(
        f"  {windows['train']} windows of {pieces['train']} files; left out: {pieces['skipped']}, see {run}/skipped.csv"
    )
    print_line(
        f"explained variance of the teacher's outputs on {windows['validation']} windows of other files: "
        f"{document['explained_variance']:.3f} after {document['epochs']} epochs"
    )
    width = "" if config.width == 1 else f"--width {config.width:g} "
    say(f"next: tmgc-train fit RUN --architecture {config.architecture} {width}--weights {run}")

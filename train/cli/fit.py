"""``tmgc-train fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import end_interrupted, one_line_errors, say
from edge_runtime.errors import TmgcError
from edge_runtime.models import newest_run
from train.cli.options import SEED, Options, require_keras

if TYPE_CHECKING:
    from train.training import TrainingConfig


def _names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Kinds of augmentation that are separated by commas."""
    return () if value == "none" else tuple(value.split(","))


def _rate(context: click.Context, parameter: click.Parameter, value: str) -> float | None:
    """A number, or None for auto."""
    if value == "auto":
        return None
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"a number such as 1e-4, or auto, got {value!r}") from None


fit_options = Options(
    click.option(
        "--architecture",
        default="inception_resnet_v2",
        show_default=True,
        help="Of the network: also efficientnet_v2_b0, mobilenet_v3_small, or another name of keras.applications.",
    ),
    click.option(
        "--weights",
        default="imagenet",
        show_default=True,
        help="imagenet, none (random), or a FILE: weights or a run's model.keras.",
    ),
    click.option("--head-epochs", default=20, show_default=True, help="Of the head on the frozen backbone."),
    click.option("--epochs", default=20, show_default=True, help="Of fine-tuning at most."),
    click.option(
        "--minutes",
        type=float,
        help="Of the whole training: no epoch of fine-tuning begins after them. The rate falls over --epochs.",
    ),
    click.option("--unfreeze", default=1.0, show_default=True, help="Share of the backbone to tune, from the top."),
    click.option("--batch-size", default=32, show_default=True, help="Pictures in a training step."),
    click.option(
        "--batch-normalization",
        default="auto",
        show_default=True,
        help="frozen, trained, or auto: trained for random weights.",
    ),
    click.option("--patience", default=4, show_default=True, help="Epochs without a lower validation loss, then stop."),
    click.option("--optimizer", default="adam", show_default=True, help="adam, adamax or adamw."),
    click.option(
        "--learning-rate",
        callback=_rate,
        default="1e-4",
        show_default=True,
        help="Of fine-tuning, at its highest. auto finds one by a range test.",
    ),
    click.option("--label-smoothing", default=0.0, show_default=True, help="Share taken from the true genre."),
    click.option(
        "--class-weights/--no-class-weights",
        default=True,
        show_default=True,
        help="Whether a genre with few clips counts as much as one with many.",
    ),
    click.option(
        "--augment",
        callback=_names,
        default="shift,gain,noise,masks,negatives,mixup",
        show_default=True,
        help="What is varied in a clip each time, or none.",
    ),
    click.option("--precision", default="float32", show_default=True, help="or mixed_bfloat16, mixed_float16."),
    click.option("--data-parallel", is_flag=True, help="Use all accelerators of this machine (KERAS_BACKEND=jax)."),
    click.option(
        "--recipe",
        type=click.Choice(["tmgc", "original"]),
        default="tmgc",
        show_default=True,
        help="original trains as the system did that this one reimplements, for comparison.",
    ),
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@fit_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of random weights and the order of pictures.")
@click.option(
    "--resume/--no-resume", default=None, help="Go on with an interrupted training as it was begun, or forget it."
)
@one_line_errors
def fit(run: Path | None, resume: bool | None, **options: Any) -> None:
    """Train a network on the prepared RUN (default: the newest under ./runs)."""
    run = run or newest_run("dataset.csv")
    if resume:
        _refuse_other_options(click.get_current_context())
    elif resume is None:
        refuse_interrupted(run)
    run_fit(run, None if resume else fit_settings(**options))
    say(f"next: tmgc-train evaluate {run}")


def fit_settings(*, recipe: str, augment: tuple[str, ...], **options: Any) -> TrainingConfig:
    """The settings that the options ask for."""
    require_keras()
    from train.training import Augmentation, TrainingConfig
    from train.training.config import ORIGINAL

    if recipe == "original":
        given = _given(click.get_current_context()).items()
        if its_own := [option for name, option in given if name == "augment" or name in ORIGINAL]:
            raise TmgcError(f"--recipe original sets {its_own[0]} itself, as the original did: leave it out")
    settings = TrainingConfig(augmentation=Augmentation.only(augment), **options)
    return settings.as_the_original() if recipe == "original" else settings


def run_fit(folder: Path, settings: TrainingConfig | None) -> None:
    """Train, with progress on standard error; without settings, go on with an interrupted training."""
    require_keras()
    from train.dataset.dataset import read_dataset
    from train.progress import ProgressBar
    from train.run import Run
    from train.training import Checkpoint, fit, resume

    dataset = read_dataset(Run(folder))
    try:
        with ProgressBar() as bar:
            if settings:
                fit(dataset, settings, bar)
            else:
                resume(dataset, bar)
    except KeyboardInterrupt:
        kept = f"tmgc-train fit {folder} --resume goes on from the last whole epoch"
        end_interrupted(
            f"interrupted: {kept if Checkpoint(dataset.run).exists() else 'before the first epoch, so nothing is kept'}"
        )
    say(f"  model and card in {folder}")
    if dataset.run.exports.is_dir():
        say(f"  the files in {dataset.run.exports} are of an earlier model: tmgc-export {folder} --force")


def refuse_interrupted(folder: Path) -> None:
    """Nobody loses an interrupted training without saying so."""
    require_keras()
    from train.run import Run
    from train.training import Checkpoint

    if Checkpoint(Run(folder)).exists():
        raise TmgcError(
            f"an interrupted training stands in {folder}: go on with it by tmgc-train fit {folder} --resume, or forget "
            "it by --no-resume in its place"
        )


def _given(context: click.Context) -> dict[str, str]:
    """Options and arguments that the command line names, as they are spelt there, by the name of their value."""
    return {
        str(parameter.name): parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    }


def _refuse_other_options(context: click.Context) -> None:
    """A resumed training goes on as it was begun."""
    if given := [option for name, option in _given(context).items() if name not in ("run", "resume")]:
        raise TmgcError(
            f"--resume goes on with the settings that the training was begun with, got {given[0]}: leave it out"
        )

"""``tmgc-train fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import end_interrupted, say
from edge_runtime.errors import TmgcError
from train.cli.options import SEED, WIDTH, Options, require_keras

if TYPE_CHECKING:
    from train.training import TrainingConfig
    from train.training.architectures import Architecture


_AUGMENT = ("shift", "gain", "noise", "spec_augment", "negatives", "mixup")


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Split names at commas; ``none`` is no name."""
    if value is None:
        return None
    return () if value == "none" else tuple(value.split(","))


def _rate(context: click.Context, parameter: click.Parameter, value: str) -> float | None:
    """Parse a number, or ``auto`` as None."""
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
        help="For small boards efficientnet_lite0 or mobilenet_v2; for few songs musicnn, which has heard much real "
        "music. Also another name of keras.applications.",
    ),
    WIDTH,
    click.option(
        "--weights",
        help="Initial weights: imagenet, musicnn, none (random), the folder of a RUN (trained or pretrained), or a "
        "FILE. Default: the pre-trained ones of the architecture.",
    ),
    click.option(
        "--head-epochs", default=20, show_default=True, help="Epochs of the head alone, on the frozen backbone."
    ),
    click.option("--epochs", default=20, show_default=True, help="Epochs of fine-tuning at most."),
    click.option(
        "--minutes",
        type=float,
        help="Time limit of the training: no epoch begins after it. The schedule still spans --epochs. What a refit "
        "takes, about as long, comes on top.",
    ),
    click.option(
        "--unfreeze", default=1.0, show_default=True, help="Share of the backbone to fine-tune, from the top."
    ),
    click.option("--batch-size", default=32, show_default=True, help="Images in a training step."),
    click.option(
        "--batch-normalization",
        default="auto",
        show_default=True,
        help="frozen, trained, or auto: trained for random weights.",
    ),
    click.option(
        "--monitor",
        default="val_loss",
        show_default=True,
        help="Keep the epoch with the lowest val_loss or the highest val_accuracy, or the last one.",
    ),
    click.option(
        "--refit/--no-refit",
        default=False,
        show_default=True,
        help="Then train once more for as many epochs on the training and the validation songs together.",
    ),
    click.option("--patience", default=4, show_default=True, help="Epochs without a better one, then stop."),
    click.option("--optimizer", default="adam", show_default=True, help="adam, adamax or adamw."),
    click.option(
        "--learning-rate",
        callback=_rate,
        default="1e-4",
        show_default=True,
        help="Highest learning rate of fine-tuning; auto finds one by a range test.",
    ),
    click.option("--label-smoothing", default=0.0, show_default=True, help="Probability moved to the other genres."),
    click.option(
        "--class-weights/--no-class-weights",
        default=True,
        show_default=True,
        help="Whether every genre contributes equally to the loss, and every song of a genre.",
    ),
    click.option(
        "--augment",
        callback=_names,
        help=f"Augmentation of the training clips, or none. Default: {','.join(_AUGMENT)}; with a teacher without "
        "spec_augment. For sound of another bandwidth than that of the songs, add bandwidth; roll rotates clips in "
        "time.",
    ),
    click.option(
        "--teacher",
        "teachers",
        multiple=True,
        help="Learn what this teacher hears beside the labels: musicnn, or the folder of a trained RUN. May be given "
        "several times.",
    ),
    click.option(
        "--label-weight",
        default=0.1,
        show_default=True,
        help="Share of the labels where a teacher has the same genres: the rest is its probabilities'.",
    ),
    click.option(
        "--teacher-weight",
        default=1.0,
        show_default=True,
        help="In the loss, of a teacher with other outputs than the genres, beside the genres' 1.",
    ),
    click.option("--precision", default="float32", show_default=True, help="float32, mixed_bfloat16 or mixed_float16."),
    click.option("--data-parallel", is_flag=True, help="Use all accelerators of this machine (KERAS_BACKEND=jax)."),
    click.option(
        "--recipe",
        type=click.Choice(["tmgc", "few-songs", "reference"]),
        default="tmgc",
        show_default=True,
        help="few-songs suits some hundred songs and a pretrained network; reference trains as the system that this "
        "project reimplements, for comparison.",
    ),
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@fit_options
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of random weights and the order of the clips.")
@click.option(
    "--resume/--no-resume", default=None, help="Continue an interrupted training with its settings, or discard it."
)
def fit(run: Path | None, resume: bool | None, **options: Any) -> None:
    """Train a network on the prepared RUN (default: the newest under ./runs)."""
    from train.dataset.dataset import read_dataset
    from train.run import Run, newest_run

    run = run or newest_run("dataset.csv")
    if resume:
        _refuse_other_options(click.get_current_context())
    elif resume is None:
        refuse_interrupted(run)
    read_dataset(Run(run))  # a missing one is found before Keras is loaded
    run_fit(run, None if resume else fit_settings(**options))
    say(f"next: tmgc-train evaluate {run}")


def fit_settings(
    *,
    recipe: str,
    augment: tuple[str, ...] | None,
    architecture: str,
    width: float,
    weights: str | None,
    **options: Any,
) -> TrainingConfig:
    """The configuration that the options describe, with everything checked that needs no dataset."""
    from train.teachers import open_teachers
    from train.training import Augmentation, TrainingConfig
    from train.training.architectures import find_architecture, find_weights

    require_keras()
    if augment is None:  # a teacher does not hear the masks
        augment = tuple(name for name in _AUGMENT if name != "spec_augment" or not options["teachers"])
    found = find_architecture(architecture, width=width)
    weights = find_weights(found, weights)
    if options["teachers"]:
        open_teachers(options["teachers"])  # a missing one is found before anything slow
    config = TrainingConfig(
        architecture=architecture, width=width, weights=weights, augmentation=Augmentation.only(augment), **options
    )
    named = _on_command_line(click.get_current_context())
    _refuse_options_without_effect(named, recipe, augment, found, teachers=config.teachers)
    config = config.with_recipe(recipe, found.input_kind)
    if "patience" in named and config.monitor == "last":
        raise TmgcError("--patience ends nothing where the last epoch is kept: leave it out")
    return config


def _refuse_options_without_effect(
    named: dict[str, str],
    name_of_recipe: str,
    augment: tuple[str, ...],
    architecture: Architecture,
    *,
    teachers: tuple[str, ...],
) -> None:
    from train.training.config import recipe

    replaced = recipe(name_of_recipe, architecture.input_kind)
    fixed = [option for name, option in named.items() if {"augment": "augmentation"}.get(name, name) in replaced]
    if fixed:
        raise TmgcError(f"--recipe {name_of_recipe} sets {fixed[0]} itself: leave it out")
    for name in ("label_weight", "teacher_weight"):
        if name in named and not teachers:
            raise TmgcError(f"{named[name]} is the weight of a teacher: use it together with --teacher")
    of_images = [name for name in augment if name in ("bandwidth", "spec_augment")]
    if "augment" in named and of_images and architecture.input_kind == "waveform":
        raise TmgcError(f"--augment {of_images[0]} is for images, {architecture.name} takes waveforms: leave it out")


def run_fit(folder: Path, config: TrainingConfig | None, *, resumed_by: str = "") -> None:
    """Train with progress on standard error; without a configuration, resume an interrupted training.

    ``resumed_by`` is what continues it after an interruption, where that is not ``tmgc-train fit``.
    """
    require_keras()
    from train.cli.progress import ProgressBar
    from train.dataset.dataset import read_dataset
    from train.run import Run
    from train.training import Checkpoint, fit, resume

    dataset = read_dataset(Run(folder))
    try:
        with ProgressBar() as bar:
            if config:
                fit(dataset, config, bar)
            else:
                resume(dataset, bar)
    except KeyboardInterrupt:
        if Checkpoint(dataset.run).exists():
            again = resumed_by or f"tmgc-train fit {folder} --resume"
            end_interrupted(f"interrupted: {again} continues from the last complete epoch")
        end_interrupted(f"interrupted before fine-tuning: {resumed_by or 'the same command'} begins it again")
    say(f"  model and card in {folder}")
    if dataset.run.exports.is_dir():
        say(f"  the files in {dataset.run.exports} are of an earlier model: tmgc-export {folder} --force")


def refuse_interrupted(folder: Path) -> None:
    """Refuse to discard an interrupted training silently."""
    from train.run import Run
    from train.training import Checkpoint

    if Checkpoint(Run(folder)).exists():
        raise TmgcError(
            f"{folder} holds an interrupted training: continue it with tmgc-train fit {folder} --resume, or discard "
            "it with --no-resume in its place"
        )


def _on_command_line(context: click.Context) -> dict[str, str]:
    """Options and arguments that the command line names, by the name of their parameter."""
    return {
        str(parameter.name): parameter.opts[0]
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    }


def _refuse_other_options(context: click.Context) -> None:
    if others := [option for name, option in _on_command_line(context).items() if name not in ("run", "resume")]:
        raise TmgcError(
            f"--resume continues with the settings that the training began with, got {others[0]}: leave it out"
        )

"""Several trainings by one command, which is run again to resume them after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import end_interrupted, say
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write
from train.cli.evaluate import run_evaluate
from train.cli.fit import run_fit

if TYPE_CHECKING:
    from train.dataset.dataset import Dataset
    from train.training import TrainingConfig


class Begun:
    """The songs and options that trainings were begun with: all of them must have the same.

    Parameters
    ----------
    path : Path
        JSON file that lists them; it need not exist yet.
    **settings
        What JSON can hold, and paths.

    Raises
    ------
    TmgcError
        The file exists and lists others.
    """

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path, self._text = path, json.dumps(settings, default=str, indent=1)
        self.settings: dict[str, Any] = json.loads(self._text)
        if self.exists() and path.read_bytes() != self._text.encode():
            raise TmgcError(
                f"all trainings in {path.parent} have the same songs and options: they were begun with others, which "
                f"{path.name} there lists. Use those, or name another RUN"
            )

    def exists(self) -> bool:
        """Whether they were begun by an earlier call."""
        return self.path.is_file()

    def write(self) -> None:
        """Write the file."""
        with atomic_write(self.path) as path:
            path.write_text(self._text, "utf-8")


def use_rate_of_architecture(options: dict[str, Any]) -> None:
    """Set the sample rate to that of the architecture, if it has one and the command line names none."""
    from train.training.architectures import find_architecture

    if click.get_current_context().get_parameter_source("sample_rate") is click.core.ParameterSource.DEFAULT:
        options["sample_rate"] = find_architecture(options["architecture"]).sample_rate or options["sample_rate"]


def train_and_evaluate(
    dataset: Dataset, config: TrainingConfig, name: str, *, compare_with: Path | None = None
) -> None:
    """Do what an earlier call has not done.

    Parameters
    ----------
    dataset : Dataset
    config : TrainingConfig
    name : str
        What is trained, for notices: ``44100 Hz`` or ``fold-1``.
    compare_with : Path, optional
        Folder of its teacher's run.
    """
    from keras.utils import clear_session

    from train.training import Checkpoint

    run = dataset.run
    clear_session()  # or the networks of all trainings stay in memory
    if not _is_trained(dataset):
        say(f"{name}: training")
        run_fit(run.folder, None if Checkpoint(run).exists() else config, resumed_by="the same command")
    compared = compare_with is None or "teacher" in run.card().accuracy
    if not (compared and run.evaluation_json("test").is_file() and run.report_html("test").is_file()):
        say(f"{name}: evaluating")
        run_evaluate(run.folder, "test", compare_with=compare_with)


@contextmanager
def resumed_by_the_same_command() -> Iterator[None]:
    """Say so at Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        end_interrupted("interrupted: the same command continues")


def _is_trained(dataset: Dataset) -> bool:
    run = dataset.run
    return run.model.is_file() and run.card_json.is_file() and dataset.trained(run.card())

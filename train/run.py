"""A training run: one folder, and what stands in it under which name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard

SPLITS = ("train", "validation", "test")

PLOTS = ("confusion", "reliability", "training", "spectrograms", "examples")
"""What an evaluation draws."""


@dataclass(frozen=True)
class Run:
    """The folder of a run. Nothing is read or made until it is asked for."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's name, which its exports carry on."""
        return self.folder.resolve().name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other commands from changing the run meanwhile, where the system can. The folder is made.

        Raises
        ------
        TmgcError
            Another one holds it.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go by the system if this process is killed
            except BlockingIOError:
                raise TmgcError(
                    f"one command at a time changes a run: another is at work in {self.folder}. Wait for it, or end it"
                ) from None
            yield
        finally:
            os.close(folder)

    @property
    def dataset_csv(self) -> Path:
        """Every clip: see :mod:`train.dataset.dataset`."""
        return self.folder / "dataset.csv"

    @property
    def dataset_json(self) -> Path:
        """The settings that the clips were prepared with."""
        return self.folder / "dataset.json"

    @property
    def skipped_csv(self) -> Path:
        """Songs and clips that were left out, each with its reason."""
        return self.folder / "skipped.csv"

    @property
    def duplicates_csv(self) -> Path:
        """Songs with the same sound, those of one sound under one number."""
        return self.folder / "duplicates.csv"

    @property
    def clips(self) -> Path:
        """The audio of each clip with margins, FLAC, and a JSON file for each song."""
        return self.folder / "clips"

    @property
    def images(self) -> Path:
        """The index images, PNG."""
        return self.folder / "images"

    @property
    def model(self) -> Path:
        """The trained network."""
        return self.folder / "model.keras"

    @property
    def card_json(self) -> Path:
        """The model card."""
        return self.folder / "card.json"

    @property
    def history_csv(self) -> Path:
        """Loss and accuracy of every epoch."""
        return self.folder / "history.csv"

    @property
    def tensorboard(self) -> Path:
        """The same, for TensorBoard."""
        return self.folder / "tensorboard"

    @property
    def plots(self) -> Path:
        """What can be seen of a training and of its judgement, PNG."""
        return self.folder / "plots"

    def evaluation_json(self, split: str) -> Path:
        """How the model does on a split: ``evaluation.json`` on songs that it has not heard, the test split."""
        return self.folder / f"evaluation{_ending(split)}.json"

    def report_html(self, split: str) -> Path:
        """The same for a person to read, with its plots: ``report.html`` for the test split."""
        return self.folder / f"report{_ending(split)}.html"

    def plot(self, name: str, split: str) -> Path:
        """A plot of the evaluation on a split, PNG: ``plots/<name>.png`` for the test split."""
        return self.plots / f"{name}{_ending(split)}.png"

    def remove_evaluation(self) -> None:
        """Take away what was found out about a model that is no longer here, and nothing else."""
        for split in SPLITS:
            plots = (self.plot(name, split) for name in PLOTS)
            for path in (self.evaluation_json(split), self.report_html(split), *plots):
                path.unlink(missing_ok=True)
        for ending in ("csv", "png"):
            self.lr_finder(ending).unlink(missing_ok=True)

    def lr_finder(self, ending: str) -> Path:
        """How the learning rate was found: ``csv`` or ``png``."""
        return self.plots / f"learning_rate.{ending}"

    @property
    def exports(self) -> Path:
        """The files for the edge."""
        return self.folder / "exports"

    @property
    def parity_json(self) -> Path:
        """How far the exports' answers are from Keras'."""
        return self.folder / "parity.json"

    @property
    def bench(self) -> Path:
        """Latency reports."""
        return self.folder / "bench"

    def card(self) -> ModelCard:
        """The model card.

        Raises
        ------
        TmgcError
            The run has not been trained.
        """
        return ModelCard.read(self.card_json)

    def existing(self) -> Run:
        """The run itself, if its folder is there.

        Raises
        ------
        TmgcError
            It is not.
        """
        if not self.folder.is_dir():
            raise TmgcError(f"a run folder must exist: there is none at {self.folder}. Make one: tmgc-train prepare")
        return self


def _ending(split: str) -> str:
    """What tells the files of another split from those of the test split, which is the one that counts."""
    return "" if split == "test" else f".{split}"

"""A training run: a folder, and the names of the files in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_runtime.errors import TmgcError, shortened
from edge_runtime.files import PARTIAL, remove_partial
from edge_runtime.model_card import ModelCard
from edge_runtime.models import RUNS

_WORK = f"{PARTIAL}work-"

SPLITS = ("train", "validation", "test")

PLOTS = ("confusion", "reliability", "song_answers", "training", "spectrograms", "examples")
"""Plots of an evaluation."""


@dataclass(frozen=True)
class Run:
    """The folder of a run; nothing is read or created until it is needed."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of the folder, which the exported files bear, too."""
        return self.folder.resolve().name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the run against other commands that change it, where the system supports it; creates the folder.

        What interrupted commands left in the folder is removed.

        Raises
        ------
        TmgcError
            Another command holds the lock, or the folder has a name that a model cannot have.
        """
        if not self.name.isprintable():
            raise TmgcError(
                f"a run's folder gives its model a name, which must be printable, got {shortened(self.name)}: rename it"
            )
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released by the system if this process is killed
            except BlockingIOError:
                raise TmgcError(
                    f"one command at a time changes a run: another is at work in {self.folder}. Wait for it, or end it"
                ) from None
            for place in (self.folder, self.plots):
                remove_partial(place)
            yield
        finally:
            os.close(folder)

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A temporary folder in the locked run, into which libraries put their temporary files, too, meanwhile.

        It is removed at the end; what a killed process left is removed when the next one begins.

        Yields
        ------
        folder : Path
            Its name is not to be guessed, and nobody else can read it.
        """
        for left in self.folder.glob(f"{_WORK}*"):
            left.unlink() if left.is_symlink() or not left.is_dir() else shutil.rmtree(left)
        with TemporaryDirectory(prefix=_WORK, dir=self.folder) as name:
            before = tempfile.tempdir, os.environ.get("TMPDIR")
            tempfile.tempdir = os.environ["TMPDIR"] = name
            try:
                yield Path(name)
            finally:
                tempfile.tempdir = before[0]
                os.environ.pop("TMPDIR") if before[1] is None else os.environ.update(TMPDIR=before[1])

    @property
    def dataset_csv(self) -> Path:
        """Every clip: see :mod:`train.dataset.dataset`."""
        return self.folder / "dataset.csv"

    @property
    def dataset_json(self) -> Path:
        """The settings that the clips were cut with."""
        return self.folder / "dataset.json"

    @property
    def skipped_csv(self) -> Path:
        """Skipped songs and clips, each with its reason."""
        return self.folder / "skipped.csv"

    @property
    def duplicates_csv(self) -> Path:
        """Songs that sound the same, with a number for each group of them."""
        return self.folder / "duplicates.csv"

    @property
    def clips(self) -> Path:
        """Audio of each clip with margins, FLAC, and a JSON file for each song."""
        return self.folder / "clips"

    @property
    def images(self) -> Path:
        """Index images, PNG."""
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
    def pretraining_json(self) -> Path:
        """How a pretraining was made, and the scaling of its targets: see :mod:`train.pretraining.pretrain`."""
        return self.folder / "pretraining.json"

    @property
    def validation_outputs(self) -> Path:
        """A pretrained network's scaled outputs for music that it was not trained on, ``[n, n_targets]``, float16."""
        return self.folder / "validation_outputs.npy"

    @property
    def validation_probabilities(self) -> Path:
        """After a refit: those of the validation clips, by the network that had not been trained on them, ``[n,
        n_genres]``, float32."""
        return self.folder / "validation_probabilities.npy"

    @property
    def teacher_targets(self) -> Path:
        """A teacher's outputs for the clips: see :mod:`train.training.teacher_targets`."""
        return self.folder / "teacher"

    @property
    def cross_validation_json(self) -> Path:
        """The result of a cross-validation, whose folds are runs in this folder."""
        return self.folder / "cross-validation.json"

    @property
    def features(self) -> Path:
        """The features of the clips that baselines are fitted to, in a folder for each baseline."""
        return self.folder / "features"

    @property
    def history_csv(self) -> Path:
        """Loss and accuracy of every epoch."""
        return self.folder / "history.csv"

    @property
    def tensorboard(self) -> Path:
        """The same as TensorBoard logs."""
        return self.folder / "tensorboard"

    @property
    def plots(self) -> Path:
        """Plots of the training and of its evaluation, PNG."""
        return self.folder / "plots"

    def evaluation_json(self, split: str) -> Path:
        """Metrics on a split: ``evaluation.json`` for the test split."""
        return self.folder / f"evaluation{_ending(split)}.json"

    def report_html(self, split: str) -> Path:
        """The same as a page with plots: ``report.html`` for the test split."""
        return self.folder / f"report{_ending(split)}.html"

    def plot(self, name: str, split: str) -> Path:
        """A plot of the evaluation on a split, PNG: ``plots/<name>.png`` for the test split."""
        return self.plots / f"{name}{_ending(split)}.png"

    def remove_evaluation(self) -> None:
        """Remove the evaluation and the learning-rate range test of a model that was replaced."""
        for split in SPLITS:
            plots = (self.plot(name, split) for name in PLOTS)
            for path in (self.evaluation_json(split), self.report_html(split), *plots):
                path.unlink(missing_ok=True)
        for ending in ("csv", "png"):
            self.lr_finder(ending).unlink(missing_ok=True)

    def lr_finder(self, ending: str) -> Path:
        """The learning-rate range test: ``csv`` or ``png``."""
        return self.plots / f"lr_finder.{ending}"

    @property
    def exports(self) -> Path:
        """Exported models."""
        return self.folder / "exports"

    @property
    def parity_json(self) -> Path:
        """Differences between the exported models and Keras."""
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

    def check_vacant(self) -> None:
        """Check that the folder is new or empty.

        Raises
        ------
        TmgcError
            It holds something.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise TmgcError(f"a run is a folder, {self.folder} is a file: name another place")
        if held := sorted(path.name for path in self.folder.iterdir() if not path.name.startswith(PARTIAL)):
            raise TmgcError(f"a new or empty folder is needed: {self.folder} holds {held[0]}. Name another one")

    def existing(self) -> Run:
        """The run itself, if its folder exists.

        Raises
        ------
        TmgcError
            It does not.
        """
        if not self.folder.is_dir():
            raise TmgcError(f"a run folder must exist: there is none at {self.folder}. Create one: tmgc-train prepare")
        return self


def newest_run(file_name: str) -> Path:
    """The run folder under ``./runs`` in which a file was written last.

    Parameters
    ----------
    file_name : str
        For example ``model.keras``.

    Raises
    ------
    TmgcError
        There is none.
    """
    found = [path for path in RUNS.glob(f"*/{file_name}") if path.is_file()]
    if not found:
        raise TmgcError(
            f"a run folder is needed: no ./{RUNS}/*/{file_name} here. Name one, or make one: tmgc-train all"
        )
    return max(found, key=lambda path: path.stat().st_mtime).parent


def _ending(split: str) -> str:
    """Suffix of the files of a split; those of the test split have none."""
    return "" if split == "test" else f".{split}"

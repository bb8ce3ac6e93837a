"""A trained network and its card, written into its run."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Dataset
from train.libraries import versions
from train.run import SPLITS, Run
from train.training.config import TrainingConfig
from train.training.model import build_network


@dataclass
class Progress:
    """How far a training has come."""

    epochs: int = 0
    """Of fine-tuning that are done."""
    learning_rate: float | None = None
    """Of fine-tuning, at its highest, once it is known."""
    lr_finder: dict[str, list[float]] | None = None
    """How that was found: see :class:`train.training.lr_finder.LRFinder`."""
    lowest_loss: float | None = None
    """On validation."""
    waited: int = 0
    """Epochs since then."""
    best: float | None = None
    """Of what decides which weights are kept."""
    seconds: float = 0.0
    """Of the whole training."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One row an epoch, of both phases."""


class Checkpoint:
    """The state of a training in its run's folder.

    Each epoch is written into a folder of its own, which gets its name when it is whole. Killed at any moment, the
    training so finds an epoch that is.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._folder = run.folder / ".training"

    def exists(self) -> bool:
        """Whether a training was interrupted here."""
        return bool(self._epochs())

    def save(
        self, network: keras.Model, progress: Progress, *, settings: TrainingConfig, dataset_sha256: str, is_best: bool
    ) -> None:
        """Write the state after an epoch; ``is_best`` says that its weights are the best so far."""
        writing = self._folder / "writing"
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        _check_room(writing, network)
        network.save_weights(writing / _LAST)
        _link(writing / _LAST if is_best else self._epochs()[-1] / _BEST, writing / _BEST)
        document = {"settings": settings.to_json(), "dataset_sha256": dataset_sha256, "progress": asdict(progress)}
        (writing / _STATE).write_text(json.dumps(document), "utf-8")
        older = self._epochs()
        writing.rename(self._folder / f"epoch-{progress.epochs:06d}")
        for path in older:
            shutil.rmtree(path)

    def read(self, dataset_sha256: str) -> tuple[TrainingConfig, Progress]:
        """The settings and the progress of the interrupted training.

        Raises
        ------
        TmgcError
            There is none, it cannot be read, or it was trained on other clips.
        """
        if not self.exists():
            raise TmgcError(
                f"--resume goes on with an interrupted training: there is none in {self._run.folder}. Leave it out"
            )
        try:
            document: Mapping[str, Any] = json.loads((self._epochs()[-1] / _STATE).read_text("utf-8"))
            settings, progress = TrainingConfig.from_json(document["settings"]), Progress(**document["progress"])
            trained_on = document["dataset_sha256"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise TmgcError(
                f"the interrupted training in {self._folder} cannot be read ({first_line(error)}): start anew with "
                "--no-resume"
            ) from error
        if trained_on != dataset_sha256:
            raise TmgcError(
                f"the interrupted training in {self._run.folder} saw other clips than the run holds now: start anew "
                "with --no-resume"
            )
        return settings, progress

    def load_last(self, network: keras.Model) -> None:
        """Give a compiled network the weights, and its optimizer the state, of the last whole epoch."""
        self._load(network, _LAST)

    def load_best(self, network: keras.Model) -> None:
        """Give a compiled network the weights of the epoch that is to be kept."""
        self._load(network, _BEST)

    def remove(self) -> None:
        """Forget the training: it is done, or starts anew."""
        if self._folder.exists():  # renamed first, so that nothing half taken away is found
            forgotten = self._folder.rename(self._folder.with_name(".training-forgotten"))
            shutil.rmtree(forgotten, ignore_errors=True)

    def _load(self, network: keras.Model, name: str) -> None:
        path = self._epochs()[-1] / name
        try:
            network.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise TmgcError(
                f"the weights of the interrupted training, {path}, cannot be read ({first_line(error)}): start anew "
                "with --no-resume"
            ) from error

    def _epochs(self) -> list[Path]:
        return sorted(self._folder.glob("epoch-*"))


def _check_room(folder: Path, network: keras.Model) -> None:
    """HDF5 ends the whole process where a disk is full."""
    variables = [*network.variables, *network.optimizer.variables]
    needed = _OVERHEAD + sum(math.prod(variable.shape) * _BYTES for variable in variables)
    free = shutil.disk_usage(folder).free
    if free < needed:
        folder.rmdir()
        raise TmgcError(
            f"the state after an epoch needs {needed / 1e6:.0f} MB, {folder.parent} has {free / 1e6:.0f} MB left: make "
            "room, then go on with --resume"
        )


_BYTES = 4
"""Of a float32."""
_OVERHEAD = 16_000_000
"""Names and groups in the file."""


def _link(path: Path, name: Path) -> None:
    """One file under two names, or a copy where the file system knows no links."""
    try:
        os.link(path, name)
    except OSError:
        shutil.copyfile(path, name)


_LAST, _BEST, _STATE = "last.weights.h5", "best.weights.h5", "state.json"


_LIBRARIES = ("tmgc", "keras", "tensorflow", "jax", "torch", "numpy")


def save_network(network: keras.Model, dataset: Dataset, settings: TrainingConfig, progress: Progress) -> ModelCard:
    """Write ``model.keras`` and ``card.json``; what was said of an earlier model is forgotten.

    The model is in float32 whatever it was trained in, and without the optimizer's state, which would make the file
    three times as large.
    """
    card = _card(network, dataset, settings, progress)
    if settings.precision == "float32":
        whole = keras.Model(network.inputs, network.outputs, name=network.name)
    else:
        whole = _in_float32(network, dataset, settings)
    with atomic_write(dataset.run.model) as path:
        whole.save(path)
        dataset.run.card_json.unlink(missing_ok=True)  # or the new model could stand beside the old one's card
    with atomic_write(dataset.run.card_json) as path:
        path.write_text(card.to_json(), "utf-8")
    dataset.run.remove_evaluation()
    return card


def _in_float32(network: keras.Model, dataset: Dataset, settings: TrainingConfig) -> keras.Model:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    whole = build_network(
        settings.architecture,
        image_height=dataset.spectrogram.image_height,
        image_width=dataset.spectrogram.image_width,
        n_genres=len(dataset.genres),
        weights="none",
        rescale_to_unit=settings.rescale_to_unit,
    )
    keras.config.set_dtype_policy(policy)
    whole.set_weights(network.get_weights())
    return whole


def _card(network: keras.Model, dataset: Dataset, settings: TrainingConfig, progress: Progress) -> ModelCard:
    phases = [row["phase"] for row in progress.history]
    training: dict[str, Any] = {
        "dataset_sha256": dataset.fingerprint(),
        "settings": settings.to_json(),
        "learning_rate": progress.learning_rate,
        "head_epochs": phases.count("head"),
        "epochs": phases.count("fine-tuning"),
        "seconds": round(progress.seconds, 1),
        "backend": keras.config.backend(),
    }
    for split in SPLITS:
        clips = dataset.of(split)
        training[split] = {"songs": len({(clip.genre, clip.song) for clip in clips}), "clips": len(clips)}
    return ModelCard(
        name=dataset.run.name,
        genres=dataset.genres,
        spectrogram=dataset.spectrogram,
        colormap=tuple(map(tuple, dataset.colormap.tolist())),
        demonstration=dataset.demonstration,
        network={
            "architecture": network.name,
            "parameters": network.count_params(),
            "initial_weights": settings.weights,
        },
        training=training,
        versions=versions(_LIBRARIES),
    )

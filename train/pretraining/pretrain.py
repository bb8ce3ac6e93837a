"""Training of a backbone on the teacher's outputs for windows of unlabelled music."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write, check_writable, sha256_of
from edge_runtime.spectrogram import Colormap, SpectrogramSettings
from edge_runtime.system_info import usable_cores
from train.dataset.build import named_colormap, write_skipped
from train.dataset.dataset import COLORMAPS
from train.dataset.discover import Skipped
from train.libraries import versions
from train.pretraining.music import MusicFolder, Piece, Windows, WindowSettings, find_music, validation_pieces
from train.progress import Reporter
from train.run import Run
from train.teachers import Teacher, joined_notices
from train.training.architectures import check_weights, find_architecture
from train.training.augmentation import limit_bandwidth, mixup
from train.training.callbacks import BatchProgress, CheckpointAndEarlyStopping, EpochHistory, is_over
from train.training.checkpoint import (
    LIBRARIES,
    Checkpoint,
    TrainingState,
    licence_of_weights,
    write_history,
)
from train.training.compilation import compile_with, cosine_decay
from train.training.config import WIDEST
from train.training.distillation import TargetScaling
from train.training.model import build_target_network, freeze

_log = getLogger("tmgc.pretraining")

SCHEMA = 1
"""Version of ``pretraining.json``."""

_WARM_UP = 0.05
"""Share of the steps over which the learning rate rises."""

_MIXUP_ALPHA = 0.3
_LIMITED_SHARE = 0.5
"""Share of the images without their highest frequencies: many recordings have none above 11 kHz."""


@dataclass(frozen=True)
class PretrainingConfig:
    """How a backbone is pretrained."""

    architecture: str = "inception_resnet_v2"
    """Of a network that takes images: see :func:`train.training.architectures.find_architecture`."""
    width: float = 1.0
    """Factor for the channels of its layers."""
    weights: str = "imagenet"
    """Initial weights, as of :class:`train.training.config.TrainingConfig`."""
    spectrogram: SpectrogramSettings = SpectrogramSettings()
    colormap: str = COLORMAPS[0]
    """One of :data:`train.dataset.dataset.COLORMAPS`."""
    windows_per_song: int = 30
    """Windows of a piece of music at most."""
    epochs: int = 20
    minutes: float | None = None
    """Time limit: no epoch begins after it, except for the first."""
    patience: int = 5
    """Early stopping: epochs without a lower validation loss."""
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    """Of AdamW."""
    precision: str = "float32"
    seed: int = 0

    monitor = "val_loss"

    def __post_init__(self) -> None:
        for option, value, lowest in (
            ("--windows-per-song", self.windows_per_song, 1),
            ("--epochs", self.epochs, 1),
            ("--batch-size", self.batch_size, 2),
        ):
            if value < lowest:
                raise TmgcError(f"{option} is at least {lowest}, got {value}. See tmgc-train pretrain --help")
        if not 0 < self.learning_rate <= 1 or (self.minutes is not None and self.minutes <= 0):
            raise TmgcError(
                f"--learning-rate is above 0 and at most 1, and --minutes above 0, got {self.learning_rate:g} and "
                f"{self.minutes}. See tmgc-train pretrain --help"
            )
        if not 0 < self.width <= WIDEST:
            raise TmgcError(
                f"--width is above 0 and at most {WIDEST:g}, got {self.width:g}. See tmgc-train pretrain --help"
            )
        architecture = find_architecture(self.architecture, width=self.width)
        if architecture.input_kind != "image":
            raise TmgcError(
                f"a pretraining is for networks that take images: {self.architecture} takes waveforms. Use it itself: "
                f"tmgc-train fit --architecture {self.architecture}"
            )
        check_weights(architecture, self.weights)

    def to_json(self) -> dict[str, Any]:
        """The settings as a checkpoint holds them."""
        return asdict(self) | {"spectrogram": self.spectrogram.to_json()}


def pretrain(
    music: Sequence[Path],
    run: Run,
    teacher: Teacher,
    config: PretrainingConfig,
    *,
    tested: Set[str] = frozenset(),
    discard: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Pretrain a backbone; the same call continues after an interruption.

    Parameters
    ----------
    music : sequence of Path
        Folders or files.
    run : Run
        Of this pretraining; its folder is created.
    teacher : Teacher
    config : PretrainingConfig
    tested : set of str
        SHA-256 of files that are left out of the music, since the network is tested on them later.
    discard : bool
        Discard an interrupted pretraining.
    reporter : Reporter, optional

    Returns
    -------
    document : dict
        As in ``pretraining.json``, which is written beside ``model.keras`` and ``validation_outputs.npy``.

    Raises
    ------
    TmgcError
        There is no music; the folder holds something else, or an interrupted pretraining with other settings or music;
        or one of the reasons of :func:`train.training.trainer.fit`.
    """
    pieces, others = find_music(music)
    if tested:
        pieces, heard = _without_tested(pieces, tested)
        others += heard
    _check_folder(run)
    check_writable(run.folder)
    settings = WindowSettings(config.spectrogram, config.windows_per_song, teacher.weights_sha256, teacher.sample_rate)
    folder, reporter = (
        MusicFolder(run.folder / _WINDOWS, settings, named_colormap(config.colormap)),
        reporter or Reporter(),
    )
    with run.lock(), run.work_folder():
        used, skipped = folder.extract(pieces, teacher, reporter)
        write_skipped(run, [*others, *skipped])
        parts = validation_pieces(used)
        training = _Pretraining(run, config, teacher, [folder.read(part) for part in parts], reporter)
        return training.run(folder.fingerprint(*parts), discard=discard, pieces=parts, skipped=skipped)


_WINDOWS = "windows"


def _sha256(path: Path) -> str:
    """Of a file; empty for one that cannot be read, which the extraction skips."""
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _without_tested(pieces: Sequence[Piece], tested: Set[str]) -> tuple[list[Piece], list[Skipped]]:
    """The music without the test songs, and these."""
    left_out = [piece for piece in pieces if _sha256(piece.path) in tested]
    if len(left_out) == len(pieces):
        raise TmgcError(
            f"a pretraining needs music that is not tested: all {len(pieces)} files are test songs. Name other music"
        )
    kept = [piece for piece in pieces if piece not in left_out]
    return kept, [Skipped(piece.name, "a test song") for piece in left_out]


def _check_folder(run: Run) -> None:
    """Refuse the folder of a run of another kind, and one that holds something else."""
    if run.dataset_json.exists() or run.card_json.exists():
        raise TmgcError(
            f"a pretraining goes into a folder of its own: {run.folder} is another run. Name another folder"
        )
    if not (run.folder / _WINDOWS).is_dir():
        run.check_vacant()


class _Pretraining:
    """One pretraining; its methods stand in the order in which they run."""

    def __init__(
        self, run: Run, config: PretrainingConfig, teacher: Teacher, parts: Sequence[Windows], reporter: Reporter
    ) -> None:
        self._run, self._config, self._teacher, self._reporter = run, config, teacher, reporter
        self._train, self._validation = parts
        self._scaling = TargetScaling.of(np.concatenate(self._train.targets))
        self._checkpoint = Checkpoint(run)
        self._colormap = named_colormap(config.colormap)

    def run(
        self, fingerprint: str, *, discard: bool, pieces: Sequence[Sequence[Piece]], skipped: Sequence[Skipped]
    ) -> dict[str, Any]:
        state, resumes = self._state(fingerprint, discard=discard)
        precision = keras.config.dtype_policy()
        keras.utils.set_random_seed((self._config.seed + state.epochs) % 2**32)
        keras.config.set_dtype_policy(self._config.precision)
        try:
            network = self._build(resumes=resumes)
            self._fit(network, state, fingerprint, resumes=resumes)
        finally:
            keras.config.set_dtype_policy(precision)
        return self._save(network, state, pieces=pieces, skipped=skipped)

    def _state(self, fingerprint: str, *, discard: bool) -> tuple[TrainingState, bool]:
        """The state to continue from, and whether there is one."""
        if discard:
            self._checkpoint.remove()
        if not self._checkpoint.exists():
            architecture = find_architecture(self._config.architecture, width=self._config.width)
            return TrainingState(licence=licence_of_weights(architecture, self._config.weights)), False
        settings, state = self._checkpoint.read_settings(fingerprint)
        # what limits the length may change; the schedule spans --epochs
        if dict(settings) | {"minutes": None} != self._config.to_json() | {"minutes": None}:
            raise TmgcError(
                f"an interrupted pretraining continues with its own settings: that in {self._run.folder} began with "
                "others. Use those, or discard it with --no-resume"
            )
        _log.info("the pretraining continues after epoch %d", state.epochs)
        return state, True

    def _build(self, *, resumes: bool) -> keras.Model:
        config = self._config
        self._reporter.phase(f"building {config.architecture}", 0)
        network = build_target_network(
            config.architecture,
            config.spectrogram,
            n_targets=len(self._teacher.target_names),
            width=config.width,
            channels=self._colormap.shape[1],
            weights="none" if resumes else config.weights,
        )
        # a momentum of 0.99 and more needs more steps than there are here
        freeze(network, unfreeze=1.0, batch_normalization=True, momentum=0.9)
        return network

    def _fit(self, network: keras.Model, state: TrainingState, fingerprint: str, *, resumes: bool) -> None:
        config = self._config
        batches = MusicBatches(
            self._train, self._scaling, self._colormap, config.batch_size, seed=config.seed, first_epoch=state.epochs
        )
        validation = MusicBatches(self._validation, self._scaling, self._colormap, config.batch_size, seed=None)
        _compile(network, config, steps=config.epochs * len(batches))
        checkpoints = CheckpointAndEarlyStopping(self._checkpoint, state, config, dataset_sha256=fingerprint)
        if resumes:
            self._checkpoint.load_last(network)
        epochs_left = 0 if is_over(state, config) else config.epochs - state.epochs
        self._reporter.phase("learning the teacher's outputs", epochs_left * len(batches))
        state.learning_rate = config.learning_rate
        if epochs_left:
            network.fit(
                batches,
                validation_data=validation,
                initial_epoch=state.epochs,
                epochs=config.epochs,
                callbacks=[
                    BatchProgress(self._reporter),
                    EpochHistory("pretraining", state, self._reporter),
                    checkpoints,
                ],
                shuffle=False,
                verbose=0,
            )
        self._checkpoint.load_best(network)

    def _save(
        self,
        network: keras.Model,
        state: TrainingState,
        *,
        pieces: Sequence[Sequence[Piece]],
        skipped: Sequence[Skipped],
    ) -> dict[str, Any]:
        """Write everything, ``pretraining.json`` last."""
        self._reporter.phase("saving the network", 0)
        run, config = self._run, self._config
        network = _in_float32(network, config, len(self._teacher.target_names))
        outputs, expected = self._validate(network)
        error = float(np.square(outputs - expected).mean())
        explained = 1 - error / float(np.square(expected).mean())  # scaled targets: 0 is the mean of the training
        with atomic_write(run.model) as path:
            network.save(path)
            run.pretraining_json.unlink(missing_ok=True)
        with atomic_write(run.validation_outputs) as path, path.open("wb") as file:
            np.save(file, outputs.astype(np.float16))
        write_history(run, state.history)
        document = {
            "schema": SCHEMA,
            "settings": config.to_json(),
            "colormap": self._colormap.tolist(),
            "teacher": self._teacher.name,
            "licence": joined_notices(state.licence, self._teacher.licence),
            "target_names": list(self._teacher.target_names),
            "target_mean": self._scaling.mean.tolist(),
            "target_deviation": self._scaling.deviation.tolist(),
            "pieces": {"train": len(pieces[0]), "validation": len(pieces[1]), "skipped": len(skipped)},
            "windows": {"train": sum(map(len, self._train.images)), "validation": len(outputs)},
            "validation_loss": error,
            "explained_variance": explained,
            "epochs": state.epochs,
            "seconds": round(state.seconds, 1),
            "backend": keras.config.backend(),
            "versions": versions(LIBRARIES),
        }
        with atomic_write(run.pretraining_json) as path:
            path.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
        self._checkpoint.remove()
        return document

    def _validate(self, network: keras.Model) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The network's outputs for the validation windows, and the teacher's, both scaled."""
        batches = MusicBatches(self._validation, self._scaling, self._colormap, self._config.batch_size, seed=None)
        outputs = np.asarray(network.predict(batches, verbose=0), np.float32)
        return outputs, np.concatenate([targets for _, targets in (batches[n] for n in range(len(batches)))])


def _compile(network: keras.Model, config: PretrainingConfig, *, steps: int) -> None:
    schedule = cosine_decay(config.learning_rate, steps=steps, warm_up=_WARM_UP)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
    compile_with(network, optimizer, loss=keras.losses.MeanSquaredError())


def _in_float32(network: keras.Model, config: PretrainingConfig, n_targets: int) -> keras.Model:
    """The network without its optimizer, in float32 whatever precision it was trained in."""
    whole = build_target_network(
        config.architecture,
        config.spectrogram,
        n_targets=n_targets,
        width=config.width,
        channels=network.input_shape[-1],
        weights="none",
    )
    whole.set_weights(network.get_weights())
    return whole


class MusicBatches(keras.utils.PyDataset):
    """Images of windows with scaled targets: shuffled and varied anew in every epoch, or as they are.

    Parameters
    ----------
    windows : Windows
    scaling : TargetScaling
    colormap : np.ndarray [shape=(256, channels)], uint8
    batch_size : int > 0
    seed : int or None
        None takes all windows in their order, and varies nothing.
    first_epoch : int >= 0
    """

    def __init__(
        self,
        windows: Windows,
        scaling: TargetScaling,
        colormap: Colormap,
        batch_size: int,
        *,
        seed: int | None,
        first_epoch: int = 0,
    ) -> None:
        threads = usable_cores()
        super().__init__(workers=threads, max_queue_size=4 * threads)
        self._images, self._colormap, self._seed, self._epoch = windows.images, colormap, seed, first_epoch
        self._targets = scaling(np.concatenate(windows.targets))
        sizes = [len(images) for images in windows.images]
        self._places = [(piece, row) for piece, size in enumerate(sizes) for row in range(size)]
        self._batch_size = min(batch_size, len(self._places))
        self._order = self._shuffled()

    def __len__(self) -> int:
        count = len(self._places) / self._batch_size
        return math.ceil(count) if self._seed is None else int(count)

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._order = self._shuffled()

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        chosen = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        images = np.stack([self._images[piece][row] for piece, row in (self._places[one] for one in chosen)])
        targets = self._targets[chosen]
        if self._seed is not None:
            random = np.random.default_rng([self._seed, self._epoch, number])
            images, targets = _varied(images, targets, random)
        return self._colormap[images], targets

    def _shuffled(self) -> NDArray[np.intp]:
        count = len(self._places)
        if self._seed is None:
            return np.arange(count)
        return np.random.default_rng([self._seed, self._epoch]).permutation(count)


def _varied(
    images: NDArray[np.uint8], targets: NDArray[np.float32], random: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Roll index images in time, take the highest frequencies from some, and mix them, with their targets."""
    images = np.stack([np.roll(image, random.integers(image.shape[1]), axis=1) for image in images])
    for image in images:
        if random.random() < _LIMITED_SHARE:
            limit_bandwidth(image, random=random)
    return mixup(images, targets, alpha=_MIXUP_ALPHA, random=random)


def read_pretraining(run: Run) -> Mapping[str, Any]:
    """``pretraining.json`` of a run.

    Raises
    ------
    TmgcError
        The run is no pretraining, or the file is damaged.
    """
    try:
        document: Mapping[str, Any] = json.loads(run.pretraining_json.read_text("utf-8"))
        if document["schema"] != SCHEMA or len(document["target_names"]) != len(document["target_mean"]):
            raise ValueError("it is of another version")
    except FileNotFoundError as error:
        raise TmgcError(f"{run.folder} is no pretraining: there is no {run.pretraining_json.name} in it") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise TmgcError(f"{run.pretraining_json} cannot be read ({error}): run tmgc-train pretrain again") from error
    return document

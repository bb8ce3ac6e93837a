"""Training in two phases: first the head on the frozen backbone's features, then the whole network (fine-tuning).

A refit goes through both once more with the validation clips among those that are trained on.

The head comes first so that its random gradients do not spoil pretrained weights; the backbone's features of every
image are computed once for it. Fine-tuning serves more than accuracy: a head on random features relies on differences
that 8-bit activations round away, so that only a fine-tuned network survives quantization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import check_writable, remove_tree
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Dataset
from train.dataset.folds import known_songs
from train.dataset.inputs import Held, NetworkInputs
from train.libraries import has_tensorflow, library
from train.progress import Reporter
from train.run import Run
from train.teachers import open_teachers
from train.teachers.tagger import pretrained_tagger
from train.training.architectures import check_weights, find_architecture
from train.training.callbacks import BatchProgress, CheckpointAndEarlyStopping, EpochHistory, is_over
from train.training.checkpoint import Checkpoint, TrainingState, licence_of_weights, save_model
from train.training.compilation import compile_network, losses, lr_schedule
from train.training.config import TrainingConfig
from train.training.data import SequentialBatches, Split, TrainingBatches, negative_targets, negative_windows
from train.training.distillation import student, target_head
from train.training.environment import environment, float32, on_one_device
from train.training.lr_finder import LRFinderCurve, lr_finder, write_lr_finder
from train.training.model import (
    BACKBONE,
    FRONT_END,
    HEAD,
    build_network,
    calibrate_batch_normalization,
    feature_extractor,
    freeze,
)
from train.training.teacher_targets import TeacherTargets, ask_teacher, check_teachable

_CALIBRATION_IMAGES = 256
"""Enough for the statistics of batch normalisation, which are means over all pixels of an image."""


def fit(dataset: Dataset, config: TrainingConfig, reporter: Reporter | None = None) -> ModelCard:
    """Train a network on a dataset, and write model, card and history into its run.

    An interrupted training of the run is discarded.

    Parameters
    ----------
    dataset : Dataset
    config : TrainingConfig
    reporter : Reporter, optional

    Returns
    -------
    card : ModelCard
        As written beside ``model.keras``.

    Raises
    ------
    TmgcError
        The initial weights are missing or do not fit, the images are too small for the architecture, a clip cannot be
        read, the devices do not fit ``data_parallel``, the loss is not a number, the disk is full, or another command
        has locked the run.
    """
    architecture = find_architecture(config.architecture, width=config.width)
    check_weights(architecture, config.weights)
    check_teachable(dataset, config.teachers)
    _check_validation_unknown(dataset, Path(config.weights))
    _check_writable(dataset)
    state = TrainingState(licence=licence_of_weights(architecture, config.weights))
    with dataset.run.lock(), environment(config), _errors_of_logs(dataset.run):
        return _Training(dataset, config, state, reporter or Reporter(), resumes=False).run()


def resume(dataset: Dataset, reporter: Reporter | None = None) -> ModelCard:
    """Continue an interrupted training from its last complete epoch, with the settings that it began with.

    Parameters
    ----------
    dataset : Dataset
    reporter : Reporter, optional

    Returns
    -------
    card : ModelCard

    Raises
    ------
    TmgcError
        There is no interrupted training, it cannot be read, or the dataset has changed since; or one of the reasons of
        :func:`fit`.
    """
    _check_writable(dataset)
    with dataset.run.lock():
        config, state = Checkpoint(dataset.run).read(dataset.fingerprint())
        with environment(config, epochs_done=state.epochs), _errors_of_logs(dataset.run):
            return _Training(dataset, config, state, reporter or Reporter(), resumes=True).run()


def _check_validation_unknown(dataset: Dataset, weights: Path) -> None:
    """Refuse initial weights that a refit has trained on songs which are validated on."""
    run = Run(weights.parent)
    if weights.suffix != ".keras" or not run.card_json.is_file() or "refit_epochs" not in run.card().training:
        return
    if known_songs(dataset.of("validation"), run):
        raise TmgcError(
            f"validation songs are new to the network: a refit has trained {run.folder} on some of these. Choose "
            "other --weights"
        )


def _check_writable(dataset: Dataset) -> None:
    """Check all places that training writes to: TensorBoard fails late, and in many lines."""
    run, logs = dataset.run, dataset.run.tensorboard
    subfolders = (path for path in logs.rglob("*") if path.is_dir())
    check_writable(run.folder, run.plots, Checkpoint(run).folder, logs, *subfolders)


@contextmanager
def _errors_of_logs(run: Run) -> Iterator[None]:
    """TensorBoard's writer reports what the system refuses, such as a full disk, as an error of TensorFlow."""
    if not has_tensorflow():  # no logs are written then
        yield
        return
    errors = library("tensorflow", extra="train").errors
    try:
        yield
    except errors.OpError as error:
        if str(run.tensorboard) not in error.message:
            raise
        reason = first_line(error, longest=1000).rpartition("; ")[2]
        raise TmgcError(
            f"the logs of a training go to {run.tensorboard}: they cannot be written ({reason}). Make room, or change "
            "its permissions, then train again"
        ) from error


class _Training:
    """One training; its methods stand in the order in which they run."""

    def __init__(
        self, dataset: Dataset, config: TrainingConfig, state: TrainingState, reporter: Reporter, *, resumes: bool
    ) -> None:
        self._dataset, self._run, self._config, self._state = dataset, dataset.run, config, state
        self._saved = config
        self._reporter, self._resumes = reporter, resumes
        self._dataset_sha256 = dataset.fingerprint()
        self._checkpoint = Checkpoint(dataset.run)
        self._teacher: TeacherTargets | None = None

    def run(self) -> ModelCard:
        with self._run.work_folder():
            return self._steps()

    def _steps(self) -> ModelCard:
        self._inputs = NetworkInputs(self._dataset, find_architecture(self._config.architecture).input_kind)
        if not self._refits:
            genres = self._fit()
            if not self._config.refit:
                return self._save(genres)
            self._keep_validation(genres)
            self._resumes = False
            del genres  # or it would take its memory beside the next network
        self._begin_refit()
        return self._save(self._fit())

    @property
    def _refits(self) -> bool:
        return self._state.refit_epochs > 0

    def _fit(self) -> keras.Model:
        """Both phases; returns the network to probabilities of genres."""
        genres = self._build()
        self._load_data()
        network = self._with_targets(genres)
        if not self._resumes:
            if not self._refits:
                self._discard_earlier_training()
            before, start = self._state.seconds, perf_counter()
            with on_one_device():
                self._calibrate(network)
                self._fit_head(network)
            self._freeze(network)
            self._choose_learning_rate(network)
            self._state.seconds = before + perf_counter() - start  # epochs of the head were added, too
        self._fine_tune(network)
        return genres

    def _keep_validation(self, genres: keras.Model) -> None:
        """Predict the validation clips before they are trained on."""
        batches = self._in_order(self._validation.held, self._validation.targets)
        self._reporter.phase("predicting the validation split", len(batches))
        with on_one_device():
            predicted = genres.predict(batches, callbacks=[BatchProgress(self._reporter)], verbose=0)
        state = self._state
        state.validation_probabilities = predicted.astype(float).tolist()
        state.refit_epochs = state.best_epoch
        state.epochs = state.epochs_without_improvement = 0

    def _begin_refit(self) -> None:
        """Nothing is left to validate on: both phases end at the epoch that was the best."""
        state = self._state
        self._config = replace(
            self._saved,
            head_epochs=state.best_head_epoch,
            epochs=state.refit_epochs,
            minutes=None,
            monitor="last",
            learning_rate=state.learning_rate,
        )
        keras.utils.set_random_seed((self._config.seed + state.epochs) % 2**32)

    def _build(self) -> keras.Model:
        self._reporter.phase(f"building {self._config.architecture}", 0)
        return build_network(
            self._config.architecture,
            self._dataset.spectrogram,
            n_genres=len(self._dataset.genres),
            width=self._config.width,
            channels=self._dataset.colormap.shape[1],
            weights="none" if self._resumes else self._config.weights,
            rescale_to_unit=self._config.rescale_to_unit,
        )

    def _load_data(self) -> None:
        self._reporter.phase("loading clips", 0)
        trained_on = ("train", "validation") if self._refits else "train"
        self._train = Split(self._dataset, trained_on, self._inputs)
        self._validation = Split(self._dataset, "validation", self._inputs)
        augmentation, settings = self._config.augmentation, self._inputs.settings
        per_kind = augmentation.negatives_per_kind if augmentation.negative_share else 0
        windows = negative_windows(settings, per_kind=per_kind)
        self._negatives: Held = self._inputs.hold(windows) if windows else self._train.held[:0]
        if self._config.teachers:
            with float32(), on_one_device():
                teachers = open_teachers(self._config.teachers)
                self._teacher = ask_teacher(
                    self._dataset,
                    self._train.clips,
                    windows,
                    teachers,
                    label_weight=self._config.label_weight,
                    augmentation=augmentation,
                    reporter=self._reporter,
                )

    def _with_targets(self, network: keras.Model) -> keras.Model:
        """The network that is trained: with a teacher of targets, one that answers for it, too."""
        if not (self._teacher and self._teacher.count):
            return network
        window = network.inputs[0]
        features = network.get_layer(BACKBONE)(network.get_layer(FRONT_END)(window))
        self._target_head = target_head(self._teacher.count)
        whole = student(window, features, network.get_layer(HEAD), self._target_head, name=network.name)
        if not self._resumes:
            self._inherit_targets(self._teacher)
        return whole

    def _inherit_targets(self, teacher: TeacherTargets) -> None:
        """Begin with what a pretraining learned of the same teacher, if the initial weights come from one."""
        path = Path(self._config.weights)
        pretraining = Run(path.parent)
        if path.suffix != ".keras" or not pretraining.pretraining_json.is_file():
            return
        tagger, scaling = pretrained_tagger(pretraining), teacher.scaling
        if set(teacher.target_names) <= set(tagger.tags):  # beside a run, its teacher had the genres, too
            columns = [tagger.tags.index(name) for name in teacher.target_names]
            bias = (tagger.bias[columns] - scaling.mean) / scaling.deviation
            self._target_head.set_weights([tagger.kernel[:, columns] / scaling.deviation, bias])

    def _discard_earlier_training(self) -> None:
        self._checkpoint.remove()
        remove_tree(self._run.tensorboard)

    def _calibrate(self, network: keras.Model) -> None:
        """Start random weights with the moving statistics that real images cause."""
        if self._config.weights != "none" or not self._config.calibrate_batch_normalization:
            return
        batches = self._training_batches()
        count = max(1, min(len(batches), _CALIBRATION_IMAGES // self._config.batch_size))
        self._reporter.phase("calibrating batch normalisation", count)
        for number in range(count):
            inputs, _, _ = batches[number]
            calibrate_batch_normalization(network, inputs, earlier_batches=number)
            self._reporter.step({})

    def _fit_head(self, network: keras.Model) -> None:
        """Train the head on the backbone's features, which are computed once."""
        config = self._config
        if not config.head_epochs:
            return
        held, targets = self._head_data()
        validation_targets = self._validation.targets
        parts = [self._in_order(held, targets)]
        if not self._refits:
            parts.append(self._in_order(self._validation.held, validation_targets))
        train, *validation = self._features(network, parts)
        head, genres = self._head(network, train.shape[1:]), validation_targets.shape[1]
        steps = config.head_epochs * math.ceil(len(train) / config.batch_size)
        learning_rate = lr_schedule(config, config.head_learning_rate, steps=steps)
        head.compile(keras.optimizers.Adam(learning_rate), **losses(config, genres))
        self._reporter.phase("training the head", steps)
        weights = np.ones(len(targets), np.float32)  # of negatives, too
        if config.class_weights:
            weights[: len(self._train.clips)] = self._train.clip_weights()
        callbacks, state = self._callbacks("head"), self._state
        best = keras.callbacks.EarlyStopping(
            config.monitor,
            patience=config.head_epochs,
            mode="min" if config.monitor == "val_loss" else "max",
            restore_best_weights=True,
        )
        head.fit(
            train,
            targets,
            sample_weight=weights,
            validation_data=None if self._refits else (*validation, validation_targets),
            epochs=config.head_epochs,
            batch_size=config.batch_size,
            callbacks=callbacks if config.monitor == "last" else [*callbacks, best],
            verbose=0,
        )
        if config.monitor == "last":
            state.best_head_epoch = config.head_epochs
        else:
            state.best_head_epoch = best.best_epoch + 1
            state.best_score = best.best if config.monitor == "val_accuracy" else -best.best

    def _features(self, network: keras.Model, batches: list[SequentialBatches]) -> list[NDArray[np.float32]]:
        self._reporter.phase("computing the backbone's features", sum(map(len, batches)))
        extractor, progress = feature_extractor(network), BatchProgress(self._reporter)
        return [extractor.predict(part, callbacks=[progress], verbose=0).astype(np.float32) for part in batches]

    def _head(self, network: keras.Model, shape: tuple[int, ...]) -> keras.Model:
        """What follows the backbone: the head alone, or with a teacher's targets."""
        features, head = keras.Input(shape), network.get_layer(HEAD)
        if self._teacher and self._teacher.count:
            return student(features, features, head, self._target_head, name=HEAD)
        return keras.Model(features, head(features))

    def _head_data(self) -> tuple[Held, NDArray[np.float32]]:
        """The training clips and their targets, and as many negatives as fine-tuning shows in an epoch."""
        held, targets = self._train.held, self._train.targets
        genres = targets.shape[1]
        if self._teacher:
            targets = self._teacher.taught_unshifted(targets)
        count = min(len(self._negatives), round(self._config.augmentation.negative_share * len(held)))
        if not count:
            return held, targets
        chosen = np.linspace(0, len(self._negatives) - 1, count).astype(int)
        without_genre = negative_targets(len(self._negatives), genres, self._teacher)[chosen]
        return np.concatenate([held, self._negatives[chosen]]), np.concatenate([targets, without_genre])

    def _freeze(self, network: keras.Model) -> None:
        trains = self._config.trains_batch_normalization
        freeze(
            network,
            unfreeze=self._config.unfreeze,
            batch_normalization=trains,
            momentum=self._config.batch_normalization_momentum if trains else None,
        )

    def _choose_learning_rate(self, network: keras.Model) -> None:
        self._state.learning_rate = self._config.learning_rate
        if self._state.learning_rate is not None:
            return
        batches = self._training_batches()
        with batches.own_errors():
            curve = lr_finder(network, batches, lambda rate: self._compile(network, rate), self._reporter)
        self._state.learning_rate, self._state.lr_finder = curve.suggestion, asdict(curve)

    def _fine_tune(self, network: keras.Model) -> None:
        """Train the network, and load the weights of the best epoch at the end."""
        config, state, batches = self._config, self._state, self._training_batches()
        self._freeze(network)
        self._compile(network, lr_schedule(config, state.learning_rate or 0.0, steps=config.epochs * len(batches)))
        checkpoints = CheckpointAndEarlyStopping(
            self._checkpoint, state, config, dataset_sha256=self._dataset_sha256, saved=self._saved
        )
        if self._resumes:
            self._checkpoint.load_last(network)
        else:
            if config.refit:  # a refit has an epoch of fine-tuning at least, as what is chosen before it must have
                state.best_score = None
            checkpoints.save(network, is_best=True)
        epochs_left = 0 if is_over(state, config) else config.epochs - state.epochs
        self._reporter.phase(f"{'resuming ' * self._resumes}fine-tuning", epochs_left * len(batches))
        if epochs_left:
            with batches.own_errors():
                network.fit(
                    batches,
                    validation_data=None if self._refits else self._validation_batches(),
                    initial_epoch=state.epochs,
                    epochs=config.epochs,
                    callbacks=[*self._callbacks("fine-tuning"), checkpoints],
                    shuffle=False,  # the batches shuffle themselves, in an order that a seed repeats
                    verbose=0,
                )
        self._checkpoint.load_best(network)

    def _save(self, network: keras.Model) -> ModelCard:
        self._reporter.phase("saving the model", 0)
        card = save_model(network, self._dataset, self._saved, self._state, teacher=self._teacher)
        if self._state.lr_finder:
            write_lr_finder(self._run, LRFinderCurve(**self._state.lr_finder))
        self._checkpoint.remove()
        return card

    def _compile(self, network: keras.Model, learning_rate: Any) -> None:
        compile_network(network, self._config, learning_rate, n_genres=len(self._dataset.genres))

    def _training_batches(self) -> TrainingBatches:
        return TrainingBatches(
            self._train,
            batch_size=self._config.batch_size,
            augmentation=self._config.augmentation,
            weighted=self._config.class_weights,
            negatives=self._negatives,
            seed=self._config.seed,
            first_epoch=self._state.epochs,
            teacher=self._teacher,
        )

    def _validation_batches(self) -> SequentialBatches:
        multiple = self._config.batch_size if keras.config.backend() == "jax" else 1
        return self._in_order(self._validation.held, self._validation.targets, multiple=multiple)

    def _in_order(self, held: Held, targets: NDArray[np.float32], *, multiple: int = 1) -> SequentialBatches:
        return SequentialBatches(self._inputs, held, targets, batch_size=self._config.batch_size, multiple=multiple)

    def _callbacks(self, phase: str) -> list[keras.callbacks.Callback]:
        phase = f"refit {phase}" if self._refits else phase
        callbacks = [BatchProgress(self._reporter), EpochHistory(phase, self._state, self._reporter)]
        if has_tensorflow():
            library("tensorboard", extra="train")
            callbacks.append(keras.callbacks.TensorBoard(self._run.tensorboard / phase, write_graph=False))
        return callbacks

"""Training in two phases: the head on the frozen backbone's features, then the whole network.

The head comes first so that its random gradients do not spoil pretrained weights; the backbone's features of every
picture are computed once for it. The fine-tuning that follows is not only for accuracy: a head on random features
lives on differences that 8-bit activations round away, so nothing that was not fine-tuned survives quantisation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import perf_counter
from typing import Any

import keras
import numpy as np

from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from train.dataset.dataset import Dataset
from train.libraries import library
from train.progress import Reporter
from train.training.callbacks import CheckpointAndEarlyStopping, History, Steps, is_over
from train.training.checkpoint import Checkpoint, Progress, save_network
from train.training.config import TrainingConfig
from train.training.data import PictureBatches, Split, TrainingBatches, negative_images
from train.training.lr_finder import LRFinder, lr_finder, write_lr_finder
from train.training.model import (
    HEAD,
    build_network,
    calibrate_batch_normalization,
    feature_extractor,
    freeze,
)


@contextmanager
def environment(settings: TrainingConfig, *, epochs_done: int = 0) -> Iterator[None]:
    """Set them for a training, and put them back.

    Parameters
    ----------
    settings : TrainingConfig
    epochs_done : int >= 0
        A training that goes on draws other dropout than it began with.

    Raises
    ------
    TmgcError
        The devices cannot share a batch.
    """
    if settings.data_parallel:
        _check_devices(settings.batch_size)
    precision, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    keras.utils.set_random_seed((settings.seed + epochs_done) % 2**32)
    keras.config.set_dtype_policy(settings.precision)
    try:
        if settings.data_parallel:
            keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
        yield
    finally:
        keras.config.set_dtype_policy(precision)
        keras.distribution.set_distribution(distribution)


@contextmanager
def on_one_device() -> Iterator[None]:
    """Compute without sharing batches among devices: what does not divide by their number cannot be shared."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def sharing_devices() -> int:
    """Devices that each batch is shared among; 1 where none is."""
    return len(keras.distribution.list_devices()) if keras.distribution.distribution() else 1


def _check_devices(batch_size: int) -> None:
    if keras.config.backend() != "jax":
        raise TmgcError(
            f"--data-parallel needs the JAX backend, got {keras.config.backend()}: pip install 'jax[cuda12]', then run "
            "the command again with KERAS_BACKEND=jax before it"
        )
    devices = len(keras.distribution.list_devices())
    if batch_size % devices:
        raise TmgcError(
            f"--data-parallel shares each batch among {devices} devices, got --batch-size {batch_size}: take a "
            f"multiple of {devices}"
        )


_OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamax": keras.optimizers.Adamax, "adamw": keras.optimizers.AdamW}

_WARM_UP = 0.1
"""Share of the steps over which the learning rate rises, so that Adam's estimates settle first."""


def compile_network(network: keras.Model, settings: TrainingConfig, rate: Any) -> None:
    """Make a network ready to be trained, at a learning rate or by a schedule of it."""
    # TensorFlow would spend many minutes in XLA for a network of this depth; JAX has no other way.
    jit_compile: bool | str = False if keras.config.backend() == "tensorflow" else "auto"
    network.compile(
        _OPTIMIZERS[settings.optimizer](rate), loss(settings), weighted_metrics=["accuracy"], jit_compile=jit_compile
    )
    network.optimizer.build(network.trainable_variables)


def loss(settings: TrainingConfig) -> keras.losses.Loss:
    """Cross-entropy, of targets ``[shape=(n, n_genres)]``."""
    return keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)


def lr_schedule(settings: TrainingConfig, highest: float, *, steps: int) -> Any:
    """The learning rate of each step: rising, then falling to zero along a half cosine; or always the highest."""
    if not settings.falling:
        return highest
    warm_up = max(1, round(_WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=highest, warmup_steps=warm_up
    )


_CALIBRATION_PICTURES = 256
"""Pictures that batch normalisation is calibrated on; each of its statistics is a mean over all their pixels."""


def fit(dataset: Dataset, settings: TrainingConfig, reporter: Reporter) -> ModelCard:
    """Train a network on a prepared dataset; writes model, card and history into its run.

    An earlier training of the run that was interrupted is forgotten.

    Parameters
    ----------
    dataset : Dataset
    settings : TrainingConfig
    reporter : Reporter

    Returns
    -------
    card : ModelCard
        As written beside ``model.keras``.

    Raises
    ------
    TmgcError
        The weights cannot be had, or the pictures are too small for the architecture.
    """
    with dataset.run.lock(), environment(settings):
        return _Training(dataset, settings, Progress(), reporter, resumes=False).run()


def resume(dataset: Dataset, reporter: Reporter) -> ModelCard:
    """Go on with a training that was interrupted, from its last whole epoch, as it was begun.

    Parameters
    ----------
    dataset : Dataset
    reporter : Reporter

    Raises
    ------
    TmgcError
        None was interrupted, or it saw other clips.
    """
    settings, progress = Checkpoint(dataset.run).read(dataset.fingerprint())
    with dataset.run.lock(), environment(settings, epochs_done=progress.epochs):
        return _Training(dataset, settings, progress, reporter, resumes=True).run()


class _Training:
    """The phases of one training."""

    def __init__(
        self, dataset: Dataset, settings: TrainingConfig, progress: Progress, reporter: Reporter, *, resumes: bool
    ) -> None:
        self._corpus, self._settings, self._progress, self._reporter = dataset, settings, progress, reporter
        self._checkpoint = Checkpoint(dataset.run)
        self._resumes = resumes
        self._corpus_sha256 = dataset.fingerprint()
        self._train, self._validation = Split(dataset, "train"), Split(dataset, "validation")
        self._impostors = np.zeros((0,), np.uint8)
        if settings.augmentation.impostor_share:
            self._impostors = negative_images(dataset.spectrogram, dataset.colormap)

    def run(self) -> ModelCard:
        """Train to the end, and write the model and its card."""
        self._reporter.phase(f"building {self._settings.architecture}", 0)
        network = build_network(
            self._settings.architecture,
            image_height=self._corpus.spectrogram.image_height,
            image_width=self._corpus.spectrogram.image_width,
            n_genres=len(self._corpus.genres),
            weights="none" if self._resumes else self._settings.weights,
            rescale_to_unit=self._settings.rescale_to_unit,
        )
        if not self._resumes:
            self._checkpoint.remove()
            shutil.rmtree(self._corpus.run.tensorboard, ignore_errors=True)
            self._before_fine_tuning(network)
        self._fine_tune(network)
        self._reporter.phase("saving the model", 0)
        card = save_network(network, self._corpus, self._settings, self._progress)
        if self._progress.lr_finder:
            write_lr_finder(self._corpus.run, LRFinder(**self._progress.lr_finder))
        self._checkpoint.remove()
        return card

    def _before_fine_tuning(self, network: keras.Model) -> None:
        """All that a resumed training has behind itself."""
        begun = perf_counter()
        with on_one_device():
            if self._settings.weights == "none" and self._settings.calibrate:
                self._calibrate(network)
            if self._settings.head_epochs:
                self._fit_head(network)
        self._freeze(network)
        self._progress.learning_rate = self._settings.learning_rate
        if self._progress.learning_rate is None:
            found = lr_finder(
                network,
                self._training_batches(),
                lambda rate: compile_network(network, self._settings, rate),
                self._reporter,
            )
            self._progress.learning_rate, self._progress.lr_finder = found.chosen, asdict(found)
        self._progress.seconds = perf_counter() - begun

    def _calibrate(self, network: keras.Model) -> None:
        """Give batch normalisation the statistics that random weights cause."""
        batches = self._training_batches()
        count = max(1, min(len(batches), _CALIBRATION_PICTURES // self._settings.batch_size))
        self._reporter.phase("calibrating batch normalisation", count)
        for number in range(count):
            calibrate_batch_normalization(network, batches[number][0], earlier_batches=number)
            self._reporter.step({})

    def _fit_head(self, network: keras.Model) -> None:
        """Train the head on the backbone's features of every picture, computed once."""
        settings, extractor = self._settings, feature_extractor(network)
        parts = [PictureBatches(split, batch_size=settings.batch_size) for split in (self._train, self._validation)]
        self._reporter.phase("computing the backbone's features", sum(len(part) for part in parts))
        train, validation = (
            extractor.predict(part, callbacks=[Steps(self._reporter)], verbose=0).astype(np.float32) for part in parts
        )
        head = keras.Sequential([keras.Input(train.shape[1:]), network.get_layer(HEAD)])
        head.compile(keras.optimizers.Adam(settings.head_learning_rate), loss(settings), weighted_metrics=["accuracy"])
        self._reporter.phase("training the head on them", settings.head_epochs * len(parts[0]))
        weights = self._train.class_weights() if settings.class_weights else np.ones(len(self._corpus.genres))
        head.fit(
            train,
            self._train.targets,
            sample_weight=weights[self._train.labels],
            validation_data=(validation, self._validation.targets),
            epochs=settings.head_epochs,
            batch_size=settings.batch_size,
            callbacks=[
                Steps(self._reporter),
                History("head", self._progress, self._corpus.run, self._reporter),
                self._tensorboard("head"),
            ],
            verbose=0,
        )

    def _freeze(self, network: keras.Model) -> None:
        freeze(
            network,
            unfreeze=self._settings.unfreeze,
            batch_normalization=self._settings.trains_batch_normalization,
            momentum=self._settings.batch_normalization_momentum if self._settings.trains_batch_normalization else None,
        )

    def _fine_tune(self, network: keras.Model) -> None:
        """Train the unfrozen part of the network, and keep the weights of the best epoch."""
        settings, progress = self._settings, self._progress
        batches = self._training_batches()
        self._freeze(network)
        steps = settings.epochs * len(batches)
        compile_network(network, settings, lr_schedule(settings, progress.learning_rate or 0.0, steps=steps))
        keeper = CheckpointAndEarlyStopping(self._checkpoint, progress, settings, dataset_sha256=self._corpus_sha256)
        if self._resumes:
            self._checkpoint.load_last(network)
        else:
            keeper.save(network, is_best=True)
        left = 0 if is_over(progress, settings) else settings.epochs - progress.epochs
        name = "going on with fine-tuning" if self._resumes else "fine-tuning"
        self._reporter.phase(name, left * len(batches))
        callbacks = [
            Steps(self._reporter),
            History("fine-tuning", progress, self._corpus.run, self._reporter),
            keeper,
            self._tensorboard("fine-tuning"),
        ]
        if left:
            with batches.own_errors():
                network.fit(
                    batches,
                    validation_data=PictureBatches(
                        self._validation, batch_size=settings.batch_size, multiple=sharing_devices()
                    ),
                    initial_epoch=progress.epochs,
                    epochs=settings.epochs,
                    callbacks=callbacks,
                    shuffle=False,  # the batches shuffle themselves, in a way that can be repeated
                    verbose=0,
                )
        self._checkpoint.load_best(network)

    def _training_batches(self) -> TrainingBatches:
        return TrainingBatches(
            self._train,
            batch_size=self._settings.batch_size,
            augmentation=self._settings.augmentation,
            weighted=self._settings.class_weights,
            negatives=self._impostors,
            seed=self._settings.seed,
            first_epoch=self._progress.epochs,
            workers=os.cpu_count() or 1,
        )

    def _tensorboard(self, phase: str) -> keras.callbacks.TensorBoard:
        library("tensorboard", extra="train")
        return keras.callbacks.TensorBoard(self._corpus.run.tensorboard / phase, write_graph=False)

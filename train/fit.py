"""Training in two phases: the head on the frozen backbone's features, then the whole network.

The head comes first so that its random gradients do not spoil pretrained weights; the backbone's features of every
picture are computed once for it. The fine-tuning that follows is not only for accuracy: a head on random features
lives on differences that 8-bit activations round away, so nothing that was not fine-tuned survives quantisation.

Batch normalisation stays in inference mode throughout, with the statistics of the pretrained weights, or those that
random weights were calibrated to. What is validated is then exactly what is exported, after every step.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from edge_runtime.card import ModelCard
from edge_runtime.errors import TmgcError
from edge_runtime.files import written_whole
from edge_runtime.spectrogram import Palette
from train.corpus import Corpus
from train.libraries import versions
from train.network import ARCHITECTURES, HEAD, build_network, calibrate_batch_normalization, feature_extractor
from train.progress import Reporter
from train.run import SPLITS

_CALIBRATION_PICTURES = 256
"""Pictures that batch normalisation is calibrated on; each of its statistics is a mean over all their pixels."""

_WARM_UP = 0.1
"""Share of the fine-tuning steps over which the learning rate rises, so that Adam's estimates settle first."""

_LOSS = "sparse_categorical_crossentropy"

_LIBRARIES = ("tmgc", "keras", "tensorflow", "numpy")


@dataclass(frozen=True)
class FitSettings:
    """How a network is trained."""

    architecture: str = "inception_resnet_v2"
    weights: str = "imagenet"
    """``imagenet``, ``none`` (random) or the path of a weights file."""
    head_epochs: int = 20
    head_learning_rate: float = 1e-3
    epochs: int = 20
    """Of fine-tuning; it stops earlier when the validation loss no longer falls."""
    learning_rate: float = 1e-4
    """Of fine-tuning, at its highest; it falls to zero along a half cosine."""
    patience: int = 4
    """Epochs without a lower validation loss before it stops."""
    batch_size: int = 32
    seed: int = 0
    """Of random weights, dropout and the order of the pictures."""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise TmgcError(f"--architecture is one of {', '.join(ARCHITECTURES)}: got {self.architecture}")
        if self.epochs < 1 or self.head_epochs < 0:
            raise TmgcError(
                f"--epochs is at least 1 and --head-epochs at least 0, got {self.epochs} and {self.head_epochs}: a "
                "network that was never fine-tuned does not survive quantisation"
            )
        if self.batch_size < 1:
            raise TmgcError(f"--batch-size is at least 1, got {self.batch_size}")
        if not 0 < self.learning_rate <= 1:
            raise TmgcError(f"--learning-rate is above 0 and at most 1, got {self.learning_rate}")


class Labelled(NamedTuple):
    """Pictures of one split and what they show."""

    grey: NDArray[np.uint8]
    """``[shape=(n, image_height, image_width)], uint8``: indices into the palette."""
    labels: NDArray[np.int64]
    """``[shape=(n,)]``: indices of the genres."""


class PictureBatches(keras.utils.PyDataset):
    """Batches of pictures, coloured only when they are needed: in memory they are a third as large.

    With a ``shuffle_seed`` the pictures come in another order each epoch, and all batches are of one size: those that
    do not fill the last one are left out, others each time, since a batch of another size would have the whole
    training step traced again.
    """

    def __init__(self, data: Labelled, palette: Palette, *, batch_size: int, shuffle_seed: int | None = None) -> None:
        super().__init__()
        count = len(data.labels)
        self._data, self._palette, self._batch_size = data, palette, min(batch_size, count)
        self._random = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)
        self._batches = math.ceil(count / self._batch_size) if self._random is None else count // self._batch_size
        self._order = np.arange(count)
        self.on_epoch_end()

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        chosen = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        return self._palette[self._data.grey[chosen]], self._data.labels[chosen]

    def on_epoch_end(self) -> None:
        if self._random is not None:
            self._order = self._random.permutation(len(self._order))


def fit(corpus: Corpus, settings: FitSettings, reporter: Reporter) -> ModelCard:
    """Train a network on a prepared corpus; writes model, card and history into its run.

    Parameters
    ----------
    corpus : Corpus
    settings : FitSettings
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
    begun = perf_counter()
    keras.utils.set_random_seed(settings.seed)
    reporter.phase(f"building {settings.architecture}", 0)
    network = build_network(
        settings.architecture,
        image_height=corpus.spectrogram.image_height,
        image_width=corpus.spectrogram.image_width,
        n_genres=len(corpus.genres),
        weights=settings.weights,
    )
    training = _Training(corpus, settings, reporter)
    if settings.weights == "none":
        training.calibrate(network)
    if settings.head_epochs:
        training.fit_head(network)
    training.fine_tune(network)
    reporter.phase("saving the model", 0)
    card = _card(network, corpus, settings, history=training.history, seconds=perf_counter() - begun)
    # A model of its own around the same layers: without the optimizer's state the file is a third as large.
    with written_whole(corpus.run.model) as path:
        keras.Model(network.inputs, network.outputs, name=network.name).save(path)
    with written_whole(corpus.run.card_json) as path:
        path.write_text(card.to_json(), "utf-8")
    _write_history(corpus, training.history)
    return card


class _Training:
    """The phases of one training, and the history of their epochs."""

    def __init__(self, corpus: Corpus, settings: FitSettings, reporter: Reporter) -> None:
        self.history: list[dict[str, Any]] = []
        self._settings, self._reporter, self._palette = settings, reporter, corpus.palette
        train, validation = corpus.of("train"), corpus.of("validation")
        self._train = Labelled(corpus.grey(train), corpus.labels(train))
        self._validation = Labelled(corpus.grey(validation), corpus.labels(validation))

    def calibrate(self, network: keras.Model) -> None:
        """Give batch normalisation the statistics that random weights cause."""
        batches = self._batches(self._train, shuffle=True)
        count = max(1, min(len(batches), _CALIBRATION_PICTURES // self._settings.batch_size))
        self._reporter.phase("calibrating batch normalisation", count)
        for number in range(count):
            calibrate_batch_normalization(network, batches[number][0], earlier_batches=number)
            self._reporter.step({})

    def fit_head(self, network: keras.Model) -> None:
        """Train the head on the backbone's features of every picture, computed once."""
        extractor = feature_extractor(network)
        parts = [self._batches(data) for data in (self._train, self._validation)]
        self._reporter.phase("computing the backbone's features", sum(len(part) for part in parts))
        train, validation = (extractor.predict(part, callbacks=[_Steps(self._reporter)], verbose=0) for part in parts)
        head = keras.Sequential([keras.Input(train.shape[1:]), network.get_layer(HEAD)])
        head.compile(keras.optimizers.Adam(self._settings.head_learning_rate), _LOSS, metrics=["accuracy"])
        self._reporter.phase("training the head on them", self._settings.head_epochs * len(parts[0]))
        head.fit(
            train,
            self._train.labels,
            validation_data=(validation, self._validation.labels),
            epochs=self._settings.head_epochs,
            batch_size=self._settings.batch_size,
            callbacks=[_Steps(self._reporter), _Epochs("head", self.history, self._reporter)],
            verbose=0,
        )

    def fine_tune(self, network: keras.Model) -> None:
        """Train the whole network, and keep the weights of the lowest validation loss."""
        batches = self._batches(self._train, shuffle=True)
        steps = self._settings.epochs * len(batches)
        warm_up = max(1, round(_WARM_UP * steps))
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warm_up), warmup_target=self._settings.learning_rate, warmup_steps=warm_up
        )
        network.compile(keras.optimizers.Adam(schedule), _LOSS, metrics=["accuracy"], jit_compile=False)
        self._reporter.phase("fine-tuning the whole network (the first step takes a minute or so)", steps)
        network.fit(
            batches,
            validation_data=self._batches(self._validation),
            epochs=self._settings.epochs,
            callbacks=[
                _Steps(self._reporter),
                _Epochs("fine-tuning", self.history, self._reporter),
                keras.callbacks.EarlyStopping(patience=self._settings.patience, restore_best_weights=True),
            ],
            verbose=0,
        )

    def _batches(self, data: Labelled, *, shuffle: bool = False) -> PictureBatches:
        seed = self._settings.seed if shuffle else None
        return PictureBatches(data, self._palette, batch_size=self._settings.batch_size, shuffle_seed=seed)


class _Steps(keras.callbacks.Callback):
    """Tells the reporter of every batch."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._reporter.step(logs or {})

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._reporter.step({})


class _Epochs(keras.callbacks.Callback):
    """Tells the history and the reporter of every epoch."""

    def __init__(self, phase: str, history: list[dict[str, Any]], reporter: Reporter) -> None:
        super().__init__()
        self._phase, self._history, self._reporter = phase, history, reporter

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._begun = perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._history.append(
            {"phase": self._phase, "epoch": epoch + 1, **values, "seconds": perf_counter() - self._begun}
        )
        self._reporter.epoch(epoch + 1, values)


def _card(
    network: keras.Model, corpus: Corpus, settings: FitSettings, *, history: list[dict[str, Any]], seconds: float
) -> ModelCard:
    phases = [row["phase"] for row in history]
    training: dict[str, Any] = {
        "corpus_sha256": corpus.fingerprint(),
        "head_epochs": phases.count("head"),
        "epochs": phases.count("fine-tuning"),
        "seconds": round(seconds, 1),
    }
    for split in SPLITS:
        clips = corpus.of(split)
        training[split] = {"songs": len({(clip.genre, clip.song) for clip in clips}), "clips": len(clips)}
    return ModelCard(
        name=corpus.run.name,
        genres=corpus.genres,
        spectrogram=corpus.spectrogram,
        palette=tuple(map(tuple, corpus.palette.tolist())),
        demonstration=corpus.demonstration,
        network={
            "architecture": settings.architecture,
            "parameters": network.count_params(),
            "initial_weights": settings.weights,
        },
        training=training,
        versions=versions(_LIBRARIES),
    )


def _write_history(corpus: Corpus, history: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in history for name in row))
    with written_whole(corpus.run.history_csv) as path, path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(history)

"""Batches of coloured pictures: as they are, or varied anew each time they are trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Colormap, Spectrogram, SpectrogramSettings
from train.dataset.dataset import Clip, Dataset
from train.synthesis.negatives import TRAINED_ON, negatives
from train.training.augmentation import augment_waveform, mask, mix
from train.training.config import Augmentation

Batch = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]
"""Pictures ``[shape=(n, height, width, 3)]``, targets ``[shape=(n, n_genres)]``, weights ``[shape=(n,)]``."""


_NEGATIVES_PER_KIND = 100
_NEGATIVES_SEED = 3
"""Judging draws others, from seeds of its own."""


class Split:
    """The pictures of one split in memory, before they are coloured, which takes a third of the room.

    Parameters
    ----------
    dataset : Dataset
    name : str
        ``train``, ``validation`` or ``test``.

    Attributes
    ----------
    clips : list of Clip
    labels : np.ndarray [shape=(n_clips,)], int64
    targets : np.ndarray [shape=(n_clips, n_genres)], float32
        One-hot.
    grey : np.ndarray [shape=(n_clips, image_height, image_width)], uint8
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        self.dataset = dataset
        self.clips: list[Clip] = dataset.of(name)
        if not self.clips:
            raise TmgcError(f"training needs {name} clips: {dataset.run.folder} has none. Run: tmgc-train prepare")
        self.labels = dataset.labels(self.clips)
        self.targets = np.eye(len(dataset.genres), dtype=np.float32)[self.labels]
        self.grey = dataset.index_images(self.clips)

    def class_weights(self) -> NDArray[np.float32]:
        """Weight of each genre, ``[shape=(n_genres,)]``: inverse to its clips; over all clips the mean is 1."""
        counts = np.maximum(self.targets.sum(axis=0), 1.0)
        weights: NDArray[np.float32] = len(self.labels) / (np.count_nonzero(self.targets.sum(axis=0)) * counts)
        return weights.astype(np.float32)


def negative_images(settings: SpectrogramSettings, colormap: Colormap) -> NDArray[np.uint8]:
    """Pictures of sound that is no music, ``[shape=(n, image_height, image_width)], uint8``, not yet coloured."""
    spectrogram = Spectrogram(settings, colormap)
    sounds = (
        samples
        for kind in TRAINED_ON
        for samples in negatives(kind, settings, count=_NEGATIVES_PER_KIND, seed=_NEGATIVES_SEED)
    )
    return np.stack([spectrogram.index_image(samples) for samples in sounds])


class PictureBatches(keras.utils.PyDataset):
    """The pictures of a split as they are and in their order.

    Parameters
    ----------
    split : Split
    batch_size : int > 0
    multiple : int > 0
        Devices that share a batch: the last one is filled up to a multiple of it, with pictures that count nothing.
    """

    def __init__(self, split: Split, *, batch_size: int, multiple: int = 1) -> None:
        super().__init__()
        self._split, self._batch_size, self._multiple = split, batch_size, multiple

    def __len__(self) -> int:
        return math.ceil(len(self._split.labels) / self._batch_size)

    def __getitem__(self, number: int) -> Batch:
        count = len(self._split.labels)
        part = np.arange(number * self._batch_size, min((number + 1) * self._batch_size, count))
        filled = math.ceil(len(part) / self._multiple) * self._multiple
        weights = np.zeros(filled, np.float32)
        weights[: len(part)] = filled / len(part)  # Keras divides by the pictures, not by their weights
        part = np.resize(part, filled)
        return self._split.dataset.colormap[self._split.grey[part]], self._split.targets[part], weights


class TrainingBatches(keras.utils.PyDataset):
    """The pictures of a split in another order each epoch, varied anew.

    All batches are of one size: the pictures that do not fill the last one are left out, others each time, since a
    batch of another size would have the whole training step traced again. A batch depends on nothing but the seed, its
    epoch and its number, so that an interrupted training goes on with the batches that it would have had.

    Parameters
    ----------
    split : Split
    batch_size : int > 0
    augmentation : Augmentation
    weighted : bool
        Whether genres with few clips count as much as those with many.
    negatives : np.ndarray [shape=(n, image_height, image_width)], uint8
        Pictures that take the place of some, before they are coloured; see :func:`negative_images`.
    seed : int
    first_epoch : int >= 0
    workers : int > 0
        Threads that draw pictures while the network trains.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        augmentation: Augmentation,
        weighted: bool,
        negatives: NDArray[np.uint8],
        seed: int,
        first_epoch: int = 0,
        workers: int = 1,
    ) -> None:
        super().__init__(workers=workers, max_queue_size=2 * workers)
        count = len(split.labels)
        self._split, self._how, self._seed = split, augmentation, seed
        self._batch_size = min(batch_size, count)
        self._class_weights = split.class_weights() if weighted else np.ones(split.targets.shape[1], np.float32)
        self._spectrogram = Spectrogram(split.dataset.spectrogram, split.dataset.colormap)
        self._impostors = negatives
        self._epoch = first_epoch
        self._error: TmgcError | None = None
        self._order = self._shuffled()

    def __len__(self) -> int:
        return len(self._split.labels) // self._batch_size

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._order = self._shuffled()

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Raise what was wrong with a clip, and not what TensorFlow makes of it."""
        try:
            yield
        except Exception:
            if self._error:
                raise self._error from None
            raise

    def __getitem__(self, number: int) -> Batch:
        try:
            return self._batch(number)
        except TmgcError as error:
            self._error = error
            raise

    def _batch(self, number: int) -> Batch:
        random = np.random.default_rng([self._seed, self._epoch, number])
        chosen = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        grey = self._drawn(chosen, random) if self._how.varies_sound else self._split.grey[chosen]
        targets = self._split.targets[chosen]
        for picture in grey:
            mask(picture, how=self._how, random=random)
        if len(self._impostors):
            taken = np.flatnonzero(random.random(len(grey)) < self._how.impostor_share)
            grey[taken] = self._impostors[random.integers(len(self._impostors), size=len(taken))]
            targets[taken] = 1 / targets.shape[1]
        if self._how.flip:
            mirrored = random.random(len(grey)) < 0.5
            grey[mirrored] = grey[mirrored, :, ::-1]
        if self._how.mixup_alpha:
            grey, targets = mix(grey, targets, alpha=self._how.mixup_alpha, random=random)
        return self._split.dataset.colormap[grey], targets, targets @ self._class_weights

    def _drawn(self, chosen: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.uint8]:
        """New pictures of the chosen clips' sound, ``[shape=(n, image_height, image_width)]``."""
        dataset = self._split.dataset
        rate, length = dataset.spectrogram.sample_rate, dataset.spectrogram.window_samples
        pictures = []
        for index in chosen:
            clip = self._split.clips[index]
            first = round(clip.lead_seconds * rate)
            samples = augment_waveform(
                dataset.sound(clip), first, length, sample_rate=rate, how=self._how, random=random
            )
            pictures.append(self._spectrogram.index_image(samples))
        return np.stack(pictures)

    def _shuffled(self) -> NDArray[Any]:
        return np.random.default_rng([self._seed, self._epoch]).permutation(len(self._split.labels))

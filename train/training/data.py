"""Batches as Keras trains on them: unchanged for validation, augmented anew in every epoch for training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings
from edge_runtime.system_info import usable_cores
from train.dataset.dataset import Clip, Dataset
from train.dataset.inputs import Held, NetworkInputs
from train.synthesis.negatives import TRAINED_ON, negatives
from train.training.augmentation import augment_waveform, limit_bandwidth, mixup, roll, spec_augment
from train.training.config import Augmentation
from train.training.teacher_targets import TeacherTargets

Batch = tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]
"""Images or waveforms, targets ``[shape=(n, n_genres)]``, which a teacher's may follow, sample weights
``[shape=(n,)]``."""

_NEGATIVES_SEED = 3
"""Evaluation draws other negatives, from seeds of its own."""


class Split:
    """A split in memory, or several, as index images, which take a third of the memory of colours, or as waveforms.

    Parameters
    ----------
    dataset : Dataset
    names : str or tuple of str
        Of ``train``, ``validation`` and ``test``.
    inputs : NetworkInputs

    Attributes
    ----------
    clips : list of Clip
    labels : np.ndarray [shape=(n_clips,)], int64
    targets : np.ndarray [shape=(n_clips, n_genres)], float32
        One-hot.
    held : Held
    """

    def __init__(self, dataset: Dataset, names: str | tuple[str, ...], inputs: NetworkInputs) -> None:
        self.dataset, self.inputs = dataset, inputs
        self.clips: list[Clip] = []
        for name in (names,) if isinstance(names, str) else names:
            clips = [clip for clip in dataset.of(name) if inputs.kind == "image" or not clip.is_correction]
            if not clips:
                raise TmgcError(f"training needs {name} clips: {dataset.run.folder} has none. Run: tmgc-train prepare")
            self.clips += clips
        self.labels = dataset.labels(self.clips)
        self.targets = np.eye(len(dataset.genres), dtype=np.float32)[self.labels]
        self.held = inputs.hold_clips(self.clips)

    def clip_weights(self) -> NDArray[np.float32]:
        """Weight of each clip, ``[shape=(n_clips,)]``: genres count alike, and so do the songs of a genre; mean 1."""
        clips_of_song = Counter(clip.song for clip in self.clips)
        by_song = np.array([1 / clips_of_song[clip.song] for clip in self.clips])
        songs_of_genre = np.bincount(self.labels, weights=by_song)
        weights = by_song / songs_of_genre[self.labels]
        scaled: NDArray[np.float32] = (weights / weights.mean()).astype(np.float32)
        return scaled


def negative_windows(settings: SpectrogramSettings, *, per_kind: int) -> list[Samples]:
    """Out-of-distribution sounds: speech, noise, hum and silence.

    Parameters
    ----------
    settings : SpectrogramSettings
    per_kind : int >= 0

    Returns
    -------
    windows : list of np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
        ``n_kinds * per_kind``
    """
    return [
        samples for kind in TRAINED_ON for samples in negatives(kind, settings, count=per_kind, seed=_NEGATIVES_SEED)
    ]


def negative_targets(count: int, n_genres: int, teacher: TeacherTargets | None) -> NDArray[np.float32]:
    """Targets of the negatives: equal probabilities for all genres, and what teachers of targets say to them.

    Returns
    -------
    targets : np.ndarray [shape=(count, n_genres + n_targets)], float32
    """
    uniform = np.full((count, n_genres), 1 / n_genres, np.float32)
    return np.concatenate([uniform, teacher.scaled_of_negatives()], axis=1) if teacher else uniform


class SequentialBatches(keras.utils.PyDataset):
    """Clips as they are and in their order.

    Parameters
    ----------
    inputs : NetworkInputs
    held : Held
    targets : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
    batch_size : int > 0
    multiple : int > 0
        The last batch is padded to a multiple of this number with clips of weight 0: JAX compiles the network anew
        for every size of a batch, and shares only batches that are a multiple of its devices.
    """

    def __init__(
        self,
        inputs: NetworkInputs,
        held: Held,
        targets: NDArray[np.float32],
        *,
        batch_size: int,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        self._inputs, self._held, self._targets = inputs, held, targets
        self._batch_size, self._multiple = batch_size, multiple

    def __len__(self) -> int:
        return math.ceil(len(self._targets) / self._batch_size)

    def __getitem__(self, number: int) -> Batch:
        chosen = np.arange(len(self._targets))[number * self._batch_size :][: self._batch_size]
        padded = math.ceil(len(chosen) / self._multiple) * self._multiple
        weights = np.zeros(padded, np.float32)
        weights[: len(chosen)] = padded / len(chosen)  # Keras divides by the number of images, not by their weights
        chosen = np.resize(chosen, padded)
        return self._inputs.batch(self._held[chosen]), self._targets[chosen], weights


class TrainingBatches(keras.utils.PyDataset):
    """The clips of a split, shuffled and augmented anew in every epoch.

    All batches have the same size, since another size would have TensorFlow trace the training step again: the clips
    that do not fill the last batch are left out, others in each epoch. A batch depends on nothing but the seed, its
    epoch and its number, so that a resumed training continues with the batches that it would have had.

    Parameters
    ----------
    split : Split
    batch_size : int > 0
    augmentation : Augmentation
    weighted : bool
        Whether every genre contributes equally to the loss, and every song of a genre.
    negatives : Held
        They replace some of the clips; see :func:`negative_windows`.
    seed : int
    first_epoch : int >= 0
    teacher : TeacherTargets, optional
        Its probabilities are mixed into the labels, and its targets follow them. Shifts are then drawn from those that
        it has heard.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        augmentation: Augmentation,
        weighted: bool,
        negatives: Held,
        seed: int,
        first_epoch: int = 0,
        teacher: TeacherTargets | None = None,
    ) -> None:
        threads = usable_cores()
        super().__init__(workers=threads, max_queue_size=2 * threads)
        count = len(split.labels)
        self._split, self._augmentation, self._seed = split, augmentation, seed
        self._batch_size = min(batch_size, count)
        self._weights = split.clip_weights() if weighted else np.ones(count, np.float32)
        self._negatives, self._teacher = negatives, teacher
        self._negative_targets = negative_targets(len(negatives), split.targets.shape[1], teacher)
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
        """Raise the error of a damaged clip itself, not the one that TensorFlow wraps around it."""
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
        augmentation, random = self._augmentation, np.random.default_rng([self._seed, self._epoch, number])
        chosen = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        targets, weights, windows = self._split.targets[chosen], self._weights[chosen], np.zeros_like(chosen)
        if self._teacher:
            windows = self._teacher.draw(chosen, random)
            targets = self._teacher.taught(targets, chosen, windows)
        held = self._augmented(chosen, windows, random) if augmentation.of_waveform else self._split.held[chosen]
        if augmentation.roll:
            roll(held, random=random)
        if self._split.inputs.kind == "image":
            for image in held:
                if random.random() < augmentation.bandwidth_share:
                    limit_bandwidth(image, random=random)
                spec_augment(image, augmentation=augmentation, random=random)
        if len(self._negatives):
            replaced = np.flatnonzero(random.random(len(held)) < augmentation.negative_share)
            negatives = random.integers(len(self._negatives), size=len(replaced))
            held[replaced], targets[replaced] = self._negatives[negatives], self._negative_targets[negatives]
            weights[replaced] = 1
        if augmentation.flip:
            mirrored = random.random(len(held)) < 0.5
            held[mirrored] = held[mirrored][..., ::-1]
        if augmentation.mixup_alpha:
            both = np.column_stack([targets, weights])
            held, both = mixup(held, both, alpha=augmentation.mixup_alpha, random=random)
            targets, weights = both[:, :-1], both[:, -1]
        return self._split.inputs.batch(held), targets, weights

    def _augmented(self, chosen: NDArray[np.intp], windows: NDArray[np.intp], random: np.random.Generator) -> Held:
        dataset = self._split.dataset
        rate, length = dataset.spectrogram.sample_rate, dataset.spectrogram.window_samples
        augmented = self._split.held[chosen]
        for place, (index, window) in enumerate(zip(chosen, windows, strict=True)):
            clip = self._split.clips[index]
            if clip.is_correction:
                continue  # an image, of which there is no waveform
            audio, start = dataset.audio(clip), round(clip.lead_seconds * rate)
            if self._teacher:  # the window itself, which leaves nothing to shift
                audio, start = audio[start + self._teacher.shifts[window] :][:length], 0
            sound = augment_waveform(
                audio, start, length, sample_rate=rate, augmentation=self._augmentation, random=random
            )
            augmented[place] = self._split.inputs.hold([sound])[0]
        return augmented

    def _shuffled(self) -> NDArray[Any]:
        return np.random.default_rng([self._seed, self._epoch]).permutation(len(self._split.labels))

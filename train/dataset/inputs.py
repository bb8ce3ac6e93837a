"""What a network takes of a clip: the spectrogram image, or the waveform if it has a spectrogram of its own.

Clips are held as index images or waveforms, the smaller form, and become the network's input batch by batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.spectrogram import Spectrogram
from train.dataset.dataset import Clip, Dataset

Held = NDArray[Any]
"""Index images ``[shape=(n, image_height, image_width)], uint8``, or waveforms ``[shape=(n, window_samples)],
float32 in [-1, 1]``."""

Batch = NDArray[Any]
"""A network's input: images ``[shape=(n, image_height, image_width, channels)], uint8``, or waveforms."""


class NetworkInputs:
    """Converts clips and windows of audio to the input of a network.

    Parameters
    ----------
    dataset : Dataset
    kind : str
        One of :data:`edge_runtime.model_card.INPUT_KINDS`.
    """

    def __init__(self, dataset: Dataset, kind: str) -> None:
        self.kind = kind
        self.settings = dataset.spectrogram
        self._dataset = dataset
        self._spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)

    def hold(self, windows: Sequence[Samples]) -> Held:
        """Index images or waveforms of windows, each ``[shape=(window_samples,)], float32 in [-1, 1]``."""
        if self.kind == "waveform":
            return np.stack(windows)
        return np.stack([self._spectrogram.index_image(samples) for samples in windows])

    def hold_clips(self, clips: Sequence[Clip]) -> Held:
        """The same of clips, from their files."""
        if self.kind == "waveform":
            return self.hold([self._dataset.samples(clip) for clip in clips])
        return self._dataset.index_images(clips)

    def batch(self, held: Held) -> Batch:
        """The network's input."""
        return held if self.kind == "waveform" else self._dataset.colormap[held]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input of one window."""
        if self.kind == "waveform":
            return (self.settings.window_samples,)
        return (self.settings.image_height, self.settings.image_width, self._dataset.colormap.shape[1])

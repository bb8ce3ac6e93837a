"""A trained run of this project as a teacher: a large network teaches a small one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of
from edge_runtime.spectrogram import Spectrogram
from train.libraries import load_keras_model, predict_in_batches
from train.run import Run

_BATCH = 32


class RunTeacher:
    """The network of a run; its targets are the logarithms of the genres' probabilities.

    Parameters
    ----------
    run : Run

    Raises
    ------
    TmgcError
        The run has not been trained, or its model cannot be read.
    """

    def __init__(self, run: Run) -> None:
        card = run.card()
        self.name = run.name
        self.sample_rate = card.spectrogram.sample_rate
        self.target_names = card.genres
        self.licence: str = card.network.get("licence", "")
        self._window_samples = card.spectrogram.window_samples
        self._takes_waveforms = card.input_kind == "waveform"
        self._network = load_keras_model(run.model)
        self.weights_sha256 = sha256_of(run.model)
        self._spectrogram = Spectrogram(card.spectrogram, card.colormap_array)

    def targets(self, windows: Samples) -> NDArray[np.float32]:
        """Logits up to a constant: see :meth:`train.teachers.Teacher.targets`.

        Raises
        ------
        TmgcError
            The windows have another length than the run's.
        """
        if abs(windows.shape[1] - self._window_samples) > 1:  # resampling may round up
            heard, own = (samples / self.sample_rate for samples in (windows.shape[1], self._window_samples))
            raise TmgcError(
                f"a teacher hears windows of its own length: {self.name} has {own:g} s, got {heard:g} s. Choose another"
            )
        windows = np.pad(windows, ((0, 0), (0, 1)))[:, : self._window_samples]
        batches = [windows[first : first + _BATCH] for first in range(0, len(windows), _BATCH)]
        return np.concatenate([self._batch_targets(batch) for batch in batches])

    def _batch_targets(self, windows: Samples) -> NDArray[np.float32]:
        inputs = windows if self._takes_waveforms else np.stack([self._spectrogram.image(window) for window in windows])
        probabilities = predict_in_batches(self._network, inputs, batch_size=_BATCH)
        targets: NDArray[np.float32] = np.log(np.maximum(probabilities, np.float32(1e-7)))
        return targets

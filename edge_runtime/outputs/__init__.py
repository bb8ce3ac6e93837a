"""Outputs of ``tmgc-listen``: text, JSON lines, the live view, a SQLite history, MQTT and systemd, one module each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.predictions import Event, Prediction, Summary


class Output:
    """Receives the results of listening in their order. Every method does nothing: override what is needed."""

    wants_frames = False
    """Whether :meth:`frames` is called; the frames of a model with waveform input are computed for it alone."""

    def frames(self, power: NDArray[np.float32], end_seconds: float) -> None:
        """Handle spectrogram frames as they are computed, many times a second.

        Parameters
        ----------
        power : np.ndarray [shape=(frames, n_mels)], float32 >= 0
            Mel power, not to be changed.
        end_seconds : float
            Where the last frame ends, from the beginning of the source.
        """

    def window(self, prediction: Prediction) -> None:
        """Handle the prediction for one window."""

    def event(self, event: Event) -> None:
        """Handle a disturbance of the source. The session has logged it already."""

    def summary(self, summary: Summary) -> None:
        """Handle the end of a source."""

    def close(self) -> None:
        """Release what the output holds; nothing is sent to it afterwards."""

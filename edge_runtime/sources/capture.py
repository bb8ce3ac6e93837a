"""An open microphone: what PortAudio hands over, kept until somebody takes it."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.sources.devices import Device

MOST_SECONDS = 10.0
"""Sound that is kept; beyond it the oldest is lost, so that what waits is never staler."""

MOST_CHANNELS = 8
"""A device that offers more is no array of microphones but a sound server that makes as many as one asks for (and fills
them with silence), or a studio's interface: one channel is asked for, which a sound server mixes itself."""


class Taken(NamedTuple):
    """A block of sound as the device gave it."""

    block: NDArray[np.float32]
    """``[shape=(frames, channels)], float32 in [-1, 1]``"""
    after_gap: bool
    """Sound is missing before it."""


class Capture:
    """A device that records into a queue of limited length, from when it is made until it is closed.

    Parameters
    ----------
    device : Device

    Attributes
    ----------
    overflows : int
        Times that sound was lost: PortAudio says so, or the queue was full.

    Raises
    ------
    TmgcError
        The device does not open.
    """

    def __init__(self, device: Device) -> None:
        import sounddevice

        self.device = device
        self.overflows = 0
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._frames = 0
        self._after_gap = False
        self._last_came = monotonic()
        self._changed = threading.Condition()
        try:
            self._stream = sounddevice.InputStream(
                device=device.number,
                channels=device.channels if device.channels <= MOST_CHANNELS else 1,
                samplerate=device.sample_rate,
                dtype="float32",
                latency="high",
                callback=self._keep,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise TmgcError(
                f"a microphone must open: {device.name} does not ({first_line(error)}). Is another program using it?"
            ) from error

    @property
    def alive(self) -> bool:
        """Whether the device still records."""
        return bool(self._stream.active)

    @property
    def waiting_seconds(self) -> float:
        """Sound in the queue, seconds."""
        return self._frames / self.device.sample_rate

    @property
    def quiet_seconds(self) -> float:
        """Time since the device last gave anything, seconds."""
        return monotonic() - self._last_came

    def take(self, timeout_seconds: float) -> Taken | None:
        """The oldest block that waits; None where none comes in time."""
        with self._changed:
            if not self._blocks:
                self._changed.wait(timeout_seconds)
            if not self._blocks:
                return None
            block = self._blocks.popleft()
            self._frames -= len(block)
            after_gap, self._after_gap = self._after_gap, False
            return Taken(block, after_gap)

    def close(self) -> None:
        """Give the device back. One that hangs does not return from this."""
        self._stream.abort(ignore_errors=True)
        self._stream.close(ignore_errors=True)

    def _keep(self, block: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        """PortAudio's callback: copies and counts."""
        with self._changed:
            self.overflows += bool(status.input_overflow)
            if not frames:
                return
            self._last_came = monotonic()
            self._blocks.append(block.copy())
            self._frames += frames
            while self._frames > MOST_SECONDS * self.device.sample_rate:
                self._frames -= len(self._blocks.popleft())
                self.overflows += not self._after_gap
                self._after_gap = True
            self._changed.notify()

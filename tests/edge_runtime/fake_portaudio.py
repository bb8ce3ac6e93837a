"""A fake of sounddevice: devices that a test names, and streams whose callback it feeds."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PortAudioError(Exception):
    """As sounddevice has it."""


class FakeStream:
    """An input stream; ``play`` is what the sound card would do."""

    def __init__(self, *, device: int, channels: int, samplerate: int, callback: Callable[..., None], **_: Any) -> None:
        self.device = device
        self.channels = channels
        self.active = False
        self.closed = False
        self._callback = callback

    def start(self) -> None:
        self.active = True

    def abort(self, ignore_errors: bool) -> None:
        self.active = False

    def close(self, ignore_errors: bool) -> None:
        self.closed = True

    def play(self, sound: NDArray[np.float32], *, overflow: bool = False) -> None:
        """Hand over one block, ``[shape=(frames,) or (frames, channels)]``, in memory that is used again."""
        block = (sound if sound.ndim == 2 else sound[:, None]).copy()
        self._callback(block, len(block), None, SimpleNamespace(input_overflow=overflow))
        block.fill(99.0)


class FakePortAudio:
    """Stands in for the module ``sounddevice``."""

    PortAudioError = PortAudioError

    def __init__(self, *names: str, sample_rate: float = 22_050.0, channels: int = 1) -> None:
        self.names = list(names)
        self.sample_rate = sample_rate
        self.channels = channels
        self.missing_queries = 0
        """Number of queries that find no device."""
        self.started_anew = 0
        self.streams: list[FakeStream] = []
        self.on_start: Callable[[FakeStream], None] | None = None
        """Called with each stream that is opened."""

    @property
    def default(self) -> SimpleNamespace:
        return SimpleNamespace(device=[0, -1])

    def query_devices(self) -> list[dict[str, Any]]:
        if self.missing_queries:
            self.missing_queries -= 1
            return []
        return [
            {
                "index": number,
                "name": name,
                "max_input_channels": self.channels,
                "default_samplerate": self.sample_rate,
            }
            for number, name in enumerate(self.names)
        ]

    def InputStream(self, **options: Any) -> FakeStream:  # noqa: N802  # the library's name
        stream = FakeStream(**options)
        self.streams.append(stream)
        if self.on_start:
            self.on_start(stream)
        return stream

    def _terminate(self) -> None:
        self.started_anew += 1

    def _initialize(self) -> None:
        """Nothing is kept."""

    def _exit_handler(self) -> None:
        """Nothing is left."""

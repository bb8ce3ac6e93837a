"""A source that is read in real time, or at another speed, until the end is requested."""

from __future__ import annotations

import math
from collections.abc import Iterator
from time import monotonic

from edge_runtime.audio import Samples
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources import WatchedSource


class PacedSource:
    """Reads a source at a given speed.

    Parameters
    ----------
    source : WatchedSource
    sample_rate : int > 0, Hz
        Rate of the source's samples.
    stop : Shutdown
        Ends it between two blocks.
    speed : float > 0
        Seconds of audio per second; as fast as possible by default.
    """

    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, source: WatchedSource, *, sample_rate: int, stop: Shutdown, speed: float = math.inf) -> None:
        self.name = source.name
        self.warnings = source.warnings
        self._rested_seconds = 0.0
        self._source = source
        self._rate = sample_rate
        self._stop = stop
        self._speed = speed

    @property
    def idle_seconds(self) -> float:
        """Time that was spent waiting, for the pace or for data, seconds."""
        return self._rested_seconds + self._source.idle_seconds

    def blocks(self) -> Iterator[Samples | None]:
        """The source's blocks, each at the time when its last sample is played."""
        begun = monotonic()
        played = 0
        for block in self._source.blocks():
            played += 0 if block is None else len(block)
            self._wait_until(begun + played / self._rate / self._speed)
            if self._stop.requested:
                return
            yield block

    def _wait_until(self, time: float) -> None:
        early = time - monotonic()
        if early > 0:
            self._rested_seconds += early
            self._stop.rest(early)

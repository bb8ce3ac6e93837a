"""Graceful shutdown by Ctrl-C or SIGTERM, between two blocks of audio."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from time import monotonic, sleep
from types import FrameType, TracebackType
from typing import Any

POLL_SECONDS = 0.1
"""Interval at which a wait checks whether the end was requested."""


class Shutdown:
    """Whether the end was requested; a context manager that handles signals.

    The first SIGINT or SIGTERM requests the end and interrupts nothing, so that no line or row is left half written; a
    second one has its usual effect.

    Parameters
    ----------
    on_check : callable, optional
        Called at each check of :attr:`requested`: several times per second while listening.

    Attributes
    ----------
    signal : int or None
        Number of the signal that requested the end.
    """

    def __init__(self, on_check: Callable[[], None] | None = None) -> None:
        self._on_check = on_check
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """True once the end was requested."""
        if self._on_check:
            self._on_check()
        return self.signal is not None

    def request(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Request the end."""
        self.signal = number
        self._restore_handlers()

    def rest(self, seconds: float) -> None:
        """Sleep until the time has passed or the end is requested."""
        until = monotonic() + seconds
        while not self.requested and (left := until - monotonic()) > 0:
            sleep(min(left, POLL_SECONDS))

    def __enter__(self) -> Shutdown:
        if threading.current_thread() is threading.main_thread():  # only the main thread may set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self.request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

"""Asking what listens to end: Ctrl-C, or SIGTERM as a service manager sends it, heeded between two blocks of sound."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from time import monotonic, sleep
from types import FrameType, TracebackType
from typing import Any

_STEP_SECONDS = 0.1
"""A rest looks this often whether it was asked to end."""


class Shutdown:
    """Whether the end was asked for.

    Within ``with`` the first SIGINT or SIGTERM asks for it and interrupts nothing, so that no line and no row is left
    half written; a second one does what it always does.

    Parameters
    ----------
    looked : callable, optional
        Is called each time that somebody looks whether to end: whoever listens does so several times a second.

    Attributes
    ----------
    signal : int or None
        The number of the signal that asked.
    """

    def __init__(self, looked: Callable[[], None] | None = None) -> None:
        self._looked = looked
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """True once the end was asked for."""
        if self._looked:
            self._looked()
        return self.signal is not None

    def request(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Ask for the end."""
        self.signal = number
        self._give_back()

    def rest(self, seconds: float) -> None:
        """Sleep, but no longer than until the end is asked for."""
        until = monotonic() + seconds
        while not self.requested and (left := until - monotonic()) > 0:
            sleep(min(left, _STEP_SECONDS))

    def __enter__(self) -> Shutdown:
        if threading.current_thread() is threading.main_thread():  # others may not handle signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self.request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()

    def _give_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

"""Asking what listens to end: Ctrl-C, or SIGTERM as a service manager sends it, heeded between two blocks of sound."""

from __future__ import annotations

import signal
import threading
from time import monotonic, sleep
from types import FrameType, TracebackType
from typing import Any

_STEP_SECONDS = 0.1
"""A rest looks this often whether it was asked to end."""


class Stop:
    """Whether the end was asked for.

    Within ``with`` the first SIGINT or SIGTERM asks for it and interrupts nothing, so that no line and no row is left
    half written; a second one does what it always does.

    Attributes
    ----------
    signal : int or None
        The number of the signal that asked.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """True once the end was asked for."""
        return self.signal is not None

    def ask(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Ask for the end."""
        self.signal = number
        self._give_back()

    def rest(self, seconds: float) -> None:
        """Sleep, but no longer than until the end is asked for."""
        until = monotonic() + seconds
        while not self.asked and (left := until - monotonic()) > 0:
            sleep(min(left, _STEP_SECONDS))

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():  # others may not handle signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self.ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()

    def _give_back(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

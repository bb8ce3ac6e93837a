"""Graceful shutdown by Ctrl-C or SIGTERM, between two blocks of audio."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from types import FrameType, TracebackType
from typing import Any

POLL_SECONDS = 0.1
"""Interval at which a wait checks whether the end was requested."""


class Shutdown:
    """Whether the end was requested; a context manager that handles signals.

    The first SIGINT or SIGTERM requests the end and interrupts nothing, so that no line or row is left half written,
    but for :meth:`interrupting`; a second one has its usual effect.

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
        self._exit_code: int | None = None

    @property
    def requested(self) -> bool:
        """True once the end was requested."""
        if self._on_check:
            self._on_check()
        return self.signal is not None

    def request(self, number: int = signal.SIGTERM) -> None:
        """Request the end."""
        self.signal = number
        self._restore_handlers()

    def rest(self, seconds: float) -> None:
        """Sleep until the time has passed or the end is requested."""
        until = monotonic() + seconds
        while not self.requested and (left := until - monotonic()) > 0:
            sleep(min(left, POLL_SECONDS))

    @contextmanager
    def interrupting(self, exit_code: int) -> Iterator[None]:
        """For work that may take long and be left undone: a signal interrupts the block at once.

        Parameters
        ----------
        exit_code : int
            Of the process after SIGTERM. SIGINT raises KeyboardInterrupt as usual.
        """
        self._exit_code = exit_code
        try:
            yield
        finally:
            self._exit_code = None

    def __enter__(self) -> Shutdown:
        if threading.current_thread() is threading.main_thread():  # only the main thread may set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore_handlers()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.request(number)
        if self._exit_code is not None:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(self._exit_code)

    def _restore_handlers(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

"""Notices for a person on standard error, and what native libraries write there kept away from it.

Library code logs to ``logging.getLogger("tmgc.<area>")``. A command calls :func:`setup_logging` once; the live view
swaps the handler while it is shown.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = logging.getLogger("tmgc")
"""The parent of every logger of the project."""

_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.CRITICAL: "error: "}


def format_notice(record: logging.LogRecord) -> str:
    """A record as one printable line: INFO is the bare message, others begin with ``warning:`` or ``error:``.

    Parameters
    ----------
    record : logging.LogRecord
    """
    text = " ".join(record.getMessage().splitlines())
    return _PREFIXES.get(record.levelno, "") + "".join(map(_printable, text))


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


class StderrHandler(logging.Handler):
    """Writes each notice as a line to what ``sys.stderr`` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; without a standard error, nothing."""
        try:
            if sys.stderr is not None:
                sys.stderr.write(format_notice(record) + "\n")
                sys.stderr.flush()
        except Exception:
            self.handleError(record)


def setup_logging() -> None:
    """Have the project's notices, from INFO upwards, written to standard error by its only handler."""
    LOGGER.setLevel(logging.INFO)
    LOGGER.handlers[:] = [StderrHandler()]


@contextmanager
def replace_handler(handler: logging.Handler) -> Iterator[None]:
    """Have another handler take the project's notices meanwhile.

    Parameters
    ----------
    handler : logging.Handler
        Notices that it still keeps are its own to hand on afterwards.
    """
    before = LOGGER.handlers[:]
    LOGGER.handlers[:] = [handler]
    try:
        yield
    finally:
        LOGGER.handlers[:] = before


class _NativeStderr:
    """File descriptor 2 of the process, which any number of threads may want to be silent at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silencers = 0
        self._original = -1

    def silence(self) -> None:
        with self._lock:
            self._silencers += 1
            if self._silencers > 1:
                return
            _detach_python_stderr()
            try:
                self._original = os.dup(2)
            except OSError:  # the process was started without one
                return
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)

    def restore(self) -> None:
        with self._lock:
            self._silencers -= 1
            if self._silencers or self._original < 0:
                return
            os.dup2(self._original, 2)
            os.close(self._original)
            self._original = -1


_NATIVE_STDERR = _NativeStderr()
"""A process has one descriptor 2, so its state is one, too."""


@contextmanager
def silence_native_stderr() -> Iterator[None]:
    """What libraries in C write to standard error goes nowhere meanwhile.

    What Python writes arrives, whichever thread writes it and however long a library hangs: its standard error gets a
    file descriptor of its own first.
    """
    _NATIVE_STDERR.silence()
    try:
        yield
    finally:
        _NATIVE_STDERR.restore()


def _detach_python_stderr() -> None:
    stream = sys.__stderr__
    if stream is None or stream.closed or stream.fileno() != 2:
        return
    stream.flush()
    raw = getattr(stream.buffer, "raw", stream.buffer)
    # In place, so that whoever holds the stream keeps it: logging handlers, rich, an embedding program.
    raw.__init__(os.dup(2), "w")  # type: ignore[misc]  # of a built-in class

"""What libraries in C write to standard error, kept away from it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class _NativeStderr:
    """File descriptor 2 of the process, which any number of threads may want to be silent at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silencers = 0
        self._original: int | None = None

    def silence(self) -> None:
        with self._lock:
            if self._silencers == 0:
                self._original = _redirect_to_null()
            self._silencers += 1

    def restore(self) -> None:
        with self._lock:
            self._silencers -= 1
            if self._silencers == 0 and self._original is not None:
                original, self._original = self._original, None
                os.dup2(original, 2)
                os.close(original)


_NATIVE_STDERR = _NativeStderr()
"""A process has one descriptor 2, so its state is one, too."""


@contextmanager
def silence_native_stderr() -> Iterator[None]:
    """What is written to file descriptor 2 goes nowhere meanwhile, in the whole process.

    That includes what Python writes there, unless :func:`detach_python_stderr` was called before. A process without a
    descriptor 2, or without a free descriptor, goes on as it is.
    """
    _NATIVE_STDERR.silence()
    try:
        yield
    finally:
        _NATIVE_STDERR.restore()


def detach_python_stderr() -> None:
    """Give Python's standard error a file descriptor of its own, a duplicate of 2, for the rest of the process.

    What Python writes then arrives also while descriptor 2 is silenced, whichever thread writes it and however long a
    library hangs. A process without a standard error goes on as it is.
    """
    stream = sys.__stderr__
    if stream is None or stream.closed or stream.fileno() != 2:
        return
    with suppress(OSError):  # descriptor 2 is closed, or no other is free
        stream.flush()
        raw = getattr(stream.buffer, "raw", stream.buffer)
        # In place, so that whoever holds the stream keeps it: logging handlers, rich, an embedding program.
        raw.__init__(os.dup(2), "w")  # type: ignore[misc]  # of a built-in class


def _redirect_to_null() -> int | None:
    """Point descriptor 2 at the null device; returns a duplicate of what it was, or None where nothing has changed."""
    try:
        original = os.dup(2)
    except OSError:  # there is none, or no descriptor is free
        return None
    try:
        null = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        os.close(original)
        return None
    os.dup2(null, 2)
    os.close(null)
    return original

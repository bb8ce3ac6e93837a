"""Notices for a person on standard error.

Library code logs to ``logging.getLogger("tmgc.<area>")``. A command calls :func:`setup_logging` once; the live view
swaps the handler while it is shown.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from edge_runtime.native_stderr import detach_python_stderr
from edge_runtime.terminal import printable

LOGGER = logging.getLogger("tmgc")
"""The parent of every logger of the project."""

_PREFIXES = {logging.WARNING: "warning: ", logging.ERROR: "error: ", logging.CRITICAL: "error: "}


def format_notice(record: logging.LogRecord) -> str:
    """A record as one printable line: INFO is the bare message, others begin with ``warning:`` or ``error:``.

    Parameters
    ----------
    record : logging.LogRecord
    """
    return _PREFIXES.get(record.levelno, "") + printable(record.getMessage().rstrip())


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
    """Have the project's notices, from INFO upwards, written to standard error by its only handler.

    For programs alone: Python's standard error gets a file descriptor of its own for the rest of the process
    (:func:`detach_python_stderr`), so that notices arrive while native libraries are silenced.
    """
    LOGGER.setLevel(logging.INFO)
    LOGGER.handlers[:] = [StderrHandler()]
    LOGGER.propagate = False  # a library may configure the root logger, which would write each notice again
    detach_python_stderr()


@contextmanager
def replace_handler(handler: logging.Handler) -> Iterator[None]:
    """Have another handler take the project's notices meanwhile.

    Parameters
    ----------
    handler : logging.Handler
        Notices that it still keeps are its own to hand on afterwards.
    """
    before, propagate = LOGGER.handlers[:], LOGGER.propagate
    LOGGER.handlers[:], LOGGER.propagate = [handler], False
    try:
        yield
    finally:
        LOGGER.handlers[:], LOGGER.propagate = before, propagate

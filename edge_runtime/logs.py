"""Keeps what libraries in C write to standard error, past Python, from those who cannot use it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Standard error of the whole process goes nowhere meanwhile."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none to write to
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def standard_error_kept() -> Iterator[None]:
    """Standard error is afterwards what it was before, also where a thread hangs in :func:`silence_native_stderr`."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none to write to
        yield
        return
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

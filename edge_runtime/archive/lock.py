"""The lock of a folder of results: one run alone, or several shares of one at once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_runtime.archive.results import SHARDS
from edge_runtime.errors import TmgcError
from edge_runtime.files import remove_partial

LOCK = ".lock"
"""File that is locked, since network file systems lock no folders. It stays."""

_POLL_SECONDS = 0.5


class Lock:
    """A lock that is held.

    Parameters
    ----------
    out : Path
    file : int or None
        Descriptor of the locked file; None where the system locks none.
    alone : bool
        Whether nobody else works on the results; where the system locks no file, this is not known, and assumed.
    """

    def __init__(self, out: Path, file: int | None, *, alone: bool) -> None:
        self._out = out
        self._file = file
        self.alone = alone

    @property
    def surely_alone(self) -> bool:
        """Whether nobody else can be at work."""
        return self.alone and self._file is not None

    def let_others_in(self) -> None:
        """Allow other shares to work from now on.

        Raises
        ------
        TmgcError
            A whole run has come in between.
        """
        self.alone = False
        if self._file is not None and not _locked(self._file, shared=True):
            raise _taken(self._out)


@contextmanager
def lock_results(out: Path, *, shared: bool) -> Iterator[Lock]:
    """Lock the results against other runs, where the system supports it.

    What interruptions have left behind is removed when surely nobody else works.

    Parameters
    ----------
    out : Path
        Is created if it is missing.
    shared : bool
        For a share of a run: it is alone if it is the first, and has to let others in, which wait until then.

    Raises
    ------
    TmgcError
        Another run works on the results.
    """
    (out / SHARDS).mkdir(parents=True, exist_ok=True)
    file = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        lock = _lock(out, file, shared=shared)
        if lock.surely_alone:
            remove_partial(out)
            remove_partial(out / SHARDS)
        yield lock
    finally:
        os.close(file)


def _lock(out: Path, file: int, *, shared: bool) -> Lock:
    try:
        while not (alone := _locked(file, shared=False)):
            if not shared:
                raise _taken(out)
            if _locked(file, shared=True):
                break
            time.sleep(_POLL_SECONDS)  # the first share lists the songs; where it is killed, this one does
        return Lock(out, file, alone=alone)
    except (ImportError, OSError):  # Windows, and some network file systems
        return Lock(out, None, alone=True)


def _locked(file: int, *, shared: bool) -> bool:
    """Lock a file, or lock it in another way; whether nobody else's lock is in the way."""
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(out: Path) -> TmgcError:
    return TmgcError(
        f"one run at a time works on results: another is at work on {out}. Wait for it, or start all with --shard"
    )

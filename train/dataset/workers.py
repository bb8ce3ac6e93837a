"""Maps a function over items in worker processes: they end with this process, and one that crashes costs one item."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 3
"""Items submitted for each process: enough that none is idle, few enough that an interruption is quick."""


def work_through(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[tuple[Item, Result | None]]:
    """Call a function on each item in worker processes, and yield the results as they complete.

    Parameters
    ----------
    function : callable
        Of a module: another process imports it.
    items : iterable
    workers : int > 0

    Yields
    ------
    item : Item
    result : Result or None
        None if the item killed its process: its decoder crashed or memory ran out.
    """
    waiting = iter(items)
    while submitted := (yield from _until_broken(function, waiting, workers)):
        suspects = iter(submitted)  # one at a time, to find the one that kills its process
        while crashed := (yield from _until_broken(function, suspects, 1, ahead=1)):
            yield crashed[0], None


def _until_broken(
    function: Callable[[Item], Result], waiting: Iterator[Item], workers: int, *, ahead: int = _AHEAD
) -> Generator[tuple[Item, Result], None, list[Item]]:
    """Results until all items are done or a process dies; returns the items that were submitted then."""
    running: dict[Future[Result], Item] = {}
    # "spawn" is the only start method that works everywhere and next to TensorFlow's threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        while True:
            for item in islice(waiting, ahead * workers - len(running)):
                try:
                    with _without_interrupts():
                        running[pool.submit(function, item)] = item
                except BrokenProcessPool:
                    return [*running.values(), item]
            if not running:
                return []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield running.pop(future), result
    except BrokenProcessPool:
        return list(running.values())
    finally:
        with _ignoring_interrupts():
            pool.shutdown(cancel_futures=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Ctrl-C in processes that are started here: the terminal sends it to all, and this process ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Ignore a second Ctrl-C while processes are ended: none may be left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin() -> None:
    """Initialise a worker process: discard the messages of decoders, and end with the parent."""
    _keep_memory()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _keep_memory() -> None:
    """Let glibc keep freed memory: returning it to the system after each clip takes a tenth of the time."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""From malloc.h, see mallopt(3)."""


def _die_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)

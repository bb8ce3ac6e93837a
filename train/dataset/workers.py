"""Shares work among processes that die with this one, and outlives those that a damaged file brings down."""

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
"""Items in hand for each process: enough that none is idle, few enough that an interruption is quick."""


def work_through(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[tuple[Item, Result | None]]:
    """Call a function on each item, in processes, and give each result as soon as it is there.

    Parameters
    ----------
    function : callable
        Of a module, so that another process can import it.
    items : iterable
    workers : int > 0

    Yields
    ------
    item : Item
    result : Result or None
        None where the item killed its process: a decoder that crashes, memory that runs out.
    """
    waiting = iter(items)
    while in_hand := (yield from _until_broken(function, waiting, workers)):
        for item in in_hand:  # one at a time, so that it is known which of them broke it
            if (yield from _until_broken(function, iter([item]), 1)):
                yield item, None


def _until_broken(
    function: Callable[[Item], Result], waiting: Iterator[Item], workers: int
) -> Generator[tuple[Item, Result], None, list[Item]]:
    """Results until all items are done or a process dies; returns the items that were in hand then."""
    running: dict[Future[Result], Item] = {}
    # "spawn" is the one way to start processes that works everywhere and next to TensorFlow's threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        while True:
            for item in islice(waiting, _AHEAD * workers - len(running)):
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
    """Processes that are started here never see Ctrl-C, which the terminal sends to all: this one ends them."""
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
    """Who presses Ctrl-C again must not leave processes behind that nobody ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin() -> None:
    """Prepare a process: decoders' own messages are of no use to anybody, and it must not outlive its parent."""
    _keep_memory()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _keep_memory() -> None:
    """Have glibc keep what is freed: to give it back and ask for it anew with each clip takes a tenth of the time."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 256 * 2**20)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of malloc.h, mallopt(3)."""


def _die_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)

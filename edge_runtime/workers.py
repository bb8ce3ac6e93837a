"""Maps a function over items in worker processes: they end with this process, and what ends one costs one item."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any, Generic, NamedTuple, TypeVar

from edge_runtime.errors import TmgcError

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 2
"""Of an item whose process crashes or hangs: the second time alone."""

TRIES_KILLED = 5
"""Of an item whose process is killed from outside, which says little about the item."""

_GRACE_SECONDS = 2.0
"""How long processes may finish their items at the end before they are killed."""

_START_SECONDS = 60.0
"""How long a process may take to start, at least: a small machine imports for seconds."""

_BEATS = 10
"""Messages at most until a silent process is killed."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables by which libraries of numerics learn how many threads to start: one, since there is a process a core."""


class Lost(NamedTuple):
    """Instead of a result: what became of the item's process, each time that it was tried."""

    reason: str
    """One line."""
    killed: bool = False
    """Whether it was killed from outside, or where memory ran out, which says little about the item."""


def work_through(
    function: Callable[..., Result], items: Iterable[Item], *, workers: int, hang_seconds: float | None = None
) -> Iterator[tuple[Item, Result | Lost]]:
    """Call a function on each item in worker processes, and yield the results as they complete.

    An item whose process crashes, hangs or is killed is tried again while nothing else runs, for which memory may have
    been short.

    Parameters
    ----------
    function : callable
        Of a module: another process imports it. With ``hang_seconds``, its second argument is a callable that says
        that it is still at work.
    items : iterable
    workers : int > 0
    hang_seconds : float > 0, optional
        A process that is silent for longer is killed. None waits for ever.

    Yields
    ------
    item : Item
    result : Result or Lost

    Raises
    ------
    TmgcError
        Processes end before they begin to work.
    """
    team = _Team[Item, Result](function, hang_seconds)
    waiting, again = iter(items), deque[_Task[Item]]()
    try:
        while True:
            if again and not team.busy:
                team.begin(again.popleft())
            elif not again and not any(task.tried for task in team.tasks):
                for item in islice(waiting, workers - len(team.busy)):
                    team.begin(_Task(item))
            if not team.busy:
                return
            for task, result in team.results():
                if isinstance(result, _Death) and task.lives(result):
                    again.append(task)
                else:
                    yield task.item, Lost(*result) if isinstance(result, _Death) else result
    finally:
        with _ignoring_interrupts():
            team.end()


_NONE: Any = object()


class _Death(NamedTuple):
    """The end of a process while it worked on an item."""

    reason: str
    killed: bool
    """From outside, or by the system where memory ran out."""


class _Task(Generic[Item]):
    """An item and how often it was tried."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self._tries = self._kills = 0

    @property
    def tried(self) -> bool:
        """Whether it has ended a process."""
        return self._tries + self._kills > 0

    def lives(self, death: _Death) -> bool:
        """Count a death of its process; whether it is tried again."""
        self._tries += not death.killed
        self._kills += death.killed
        return self._tries < TRIES and self._tries + self._kills < TRIES_KILLED


class _Worker(Generic[Item]):
    """A process, and what it works on."""

    def __init__(self, function: Callable[..., Any], hang_seconds: float) -> None:
        # "spawn" is the only start method that works everywhere and next to TensorFlow's threads.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, theirs, hang_seconds), daemon=True)
        with _single_threaded(), _without_interrupts():
            self.process.start()
        theirs.close()
        self.task: _Task[Item] | None = None
        self.started = False
        self._limit = hang_seconds
        self.listen()

    def listen(self) -> None:
        """Wait for its next message from now on, until :attr:`deadline`."""
        self.deadline = monotonic() + (self._limit if self.started else max(self._limit, _START_SECONDS))

    def stop(self) -> None:
        """Kill it. A process that waits for a disk that does not answer ends when the disk does."""
        self.process.kill()
        self.process.join(_GRACE_SECONDS)
        self.connection.close()


class _Team(Generic[Item, Result]):
    """The processes: as many as were busy at once."""

    def __init__(self, function: Callable[..., Result], hang_seconds: float | None) -> None:
        self._function = function
        self._limit = math.inf if hang_seconds is None else hang_seconds
        self._idle: list[_Worker[Item]] = []
        self.busy: list[_Worker[Item]] = []

    @property
    def tasks(self) -> list[_Task[Item]]:
        """What is being worked on."""
        return [worker.task for worker in self.busy if worker.task]

    def begin(self, task: _Task[Item]) -> None:
        """Give a task to a process."""
        while True:
            worker = self._idle.pop() if self._idle else self._new()
            try:
                worker.connection.send(task.item)
            except OSError:  # it was killed while it was idle
                worker.stop()
                continue
            worker.task = task
            worker.listen()
            self.busy.append(worker)
            return

    def results(self) -> Iterator[tuple[_Task[Item], Result | _Death]]:
        """Wait for at least one task that is done, or whose process has ended, or for a message or the limit."""
        patience = min(worker.deadline for worker in self.busy) - monotonic()
        ready = wait([worker.connection for worker in self.busy], None if math.isinf(patience) else max(0.0, patience))
        for worker in self.busy[:]:
            result: Any = _NONE
            if worker.connection in ready:
                result = self._received(worker)
            elif monotonic() > worker.deadline:
                worker.stop()
                result = _Death(f"the decoder hung on it for {self._limit:g} s", killed=False)
            if result is not _NONE:
                self.busy.remove(worker)
                task, worker.task = worker.task, None
                assert task
                yield task, result

    def end(self) -> None:
        """End all processes: the idle ones at once, the others after their items or a moment."""
        workers = self._idle + self.busy
        for worker in workers:
            worker.connection.close()
        until = monotonic() + _GRACE_SECONDS
        for worker in workers:
            worker.process.join(max(0.0, until - monotonic()))
            worker.stop()

    def _new(self) -> _Worker[Item]:
        return _Worker(self._function, self._limit)

    def _received(self, worker: _Worker[Item]) -> Any:
        """The result of a process; nothing where it only says that it is at work."""
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            return _death(worker)
        worker.started = True
        worker.listen()
        if kind == _BEAT:
            return _NONE
        self._idle.append(worker)
        if kind == _ERROR:
            self.busy.remove(worker)
            raise content
        return content


def _death(worker: _Worker[Any]) -> _Death:
    worker.process.join(_GRACE_SECONDS)
    worker.stop()
    code = worker.process.exitcode or 0
    killed = -code == getattr(signal, "SIGKILL", None)
    if not worker.started and not killed:
        raise TmgcError(
            f"work is done by processes of its own, and these end as they start (exit code {code}): see above, and "
            "check the memory that they may take"
        )
    what = "its process was killed each time; memory may have run out" if killed else "the decoder crashed on it"
    return _Death(what, killed)


_BEAT, _DONE, _ERROR = range(3)


def _serve(function: Callable[..., Any], connection: Connection, hang_seconds: float) -> None:
    """The life of a worker process."""
    _begin()
    arguments = (_Beat(connection, hang_seconds / _BEATS),) if math.isfinite(hang_seconds) else ()
    with suppress(EOFError, OSError):  # the parent is done
        connection.send((_BEAT, None))
        while True:
            item = connection.recv()
            try:
                message = _DONE, function(item, *arguments)
            except Exception as error:
                message = _ERROR, error
            connection.send(message)


class _Beat:
    """Tells the parent, once in some seconds at most, that this process is at work."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._last = monotonic()

    def __call__(self) -> None:
        if (now := monotonic()) - self._last > self._seconds:
            self._last = now
            self._connection.send((_BEAT, None))


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Let processes that are started here compute with one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block Ctrl-C in processes that are started here: the terminal sends it to all, and this process ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # where the first process starts it, it would unblock Ctrl-C for that process
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

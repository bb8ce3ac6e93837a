"""The engine of several machines: Ray tasks on a cluster that is there, or on this machine."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from edge_runtime.archive.local import HANG_SECONDS, tag_locally
from edge_runtime.archive.results import NOT_READ
from edge_runtime.archive.song import Row, Song, Tagger
from edge_runtime.errors import TmgcError, first_line, pip_install_extra

log = logging.getLogger("tmgc.archive")

RETRIES = 3
"""Of a song that is tried alone, and whose machine has gone."""

_SONGS_A_TASK = 4
"""Ray takes time for each task."""

_AHEAD = 2
"""Tasks that are submitted for each core: enough that none is idle."""

_COUNT_SECONDS = 5.0
"""How often the cluster is asked for its cores: machines come and go."""

_SETS = 10
"""Of a watchdog at most in the time after which it ends a process."""

_LOST = f"{NOT_READ}Ray's process was killed each time, or its machine has gone"


def connect(workers: int | None = None) -> int:
    """Connect this process to the cluster of ``RAY_ADDRESS`` or of this machine, or else start one for the time.

    Parameters
    ----------
    workers : int > 0, optional
        Cores to take; all by default.

    Returns
    -------
    cores : int > 0

    Raises
    ------
    TmgcError
        Ray is not installed, or the cluster cannot be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise TmgcError(f"--engine ray needs ray, which is not installed: {pip_install_extra('ray')}") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    _check_answers(os.environ.get("RAY_ADDRESS", ""))
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:  # there is none
        os.environ.setdefault("RAY_worker_niceness", "0")  # as local processes; Ray takes 15
        ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
    log.info("Ray: %d machine(s), %d cores", len(ray.nodes()), cores := _cores(ray, workers))
    return cores


def _check_answers(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself waits for minutes, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise TmgcError(
            f"RAY_ADDRESS names a cluster that runs: {address} does not answer ({first_line(error)}). Start it, or "
            "leave RAY_ADDRESS out to start one on this machine"
        ) from error


def tag_with_ray(
    songs: Iterable[Song],
    tagger: Tagger,
    *,
    workers: int | None = None,
    hang_seconds: float = HANG_SECONDS,
) -> Generator[tuple[Song, Row], None, None]:
    """Classify songs as Ray tasks of some songs each, one task a core.

    Where a task is lost, Ray does not tell why. Each of its songs then gets a task of its own, which runs
    :func:`~edge_runtime.archive.local.tag_locally`: a song that crashes or hangs the decoder has the same row as there.

    The process is connected to a cluster (:func:`connect`), and is disconnected at the end. The model is sent to the
    machines; songs have the same paths or addresses on all.

    Parameters
    ----------
    songs : iterable of Song
    tagger : Tagger
    workers : int > 0, optional
        Cores to take; all of the cluster by default.
    hang_seconds : float > 0

    Yields
    ------
    song : Song
    row : Row
    """
    import ray

    together = ray.remote(num_cpus=1, max_retries=0)(_tag)
    watched = ray.remote(num_cpus=1, max_retries=RETRIES)(_tag_watched)
    content = ray.put(tagger.model.read_bytes())
    waiting, alone = iter(songs), list[Song]()
    running = dict[Any, tuple[list[Song], bool]]()
    cores, counted = _cores(ray, workers), monotonic()

    def chosen() -> tuple[list[Song], bool]:
        """The songs of the next task, and whether their process is watched."""
        if alone:
            return [alone.pop()], True
        # a core must not wait for a group
        return list(islice(waiting, _SONGS_A_TASK if len(running) >= cores else 1)), False

    try:
        while True:
            if monotonic() - counted > _COUNT_SECONDS:
                cores, counted = _cores(ray, workers), monotonic()
            for some, is_watched in islice(iter(chosen, ([], False)), max(0, _AHEAD * cores - len(running))):
                task = watched if is_watched else together
                running[task.remote(some, [content], tagger, hang_seconds)] = some, is_watched
            if not running:
                return
            for done in ray.wait(list(running), timeout=1.0)[0]:
                (some, is_watched), rows = running.pop(done), _results(ray, done)
                if rows is None and not is_watched:
                    alone += some
                else:
                    yield from zip(some, rows or [Row(error=_LOST)], strict=True)
    finally:
        for left in running:
            ray.cancel(left, force=True)
        ray.shutdown()


def _cores(ray: Any, workers: int | None) -> int:
    """Cores to take, of those that the cluster has at this moment."""
    there = int(ray.cluster_resources().get("CPU", 0))
    return max(1, min(there, workers or there))


def _results(ray: Any, done: Any) -> list[Row] | None:
    """The rows of a task; None where its process or machine has gone."""
    try:
        rows: list[Row] = ray.get(done)
        return rows
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError:  # of a worker, a machine, or lack of memory
        return None


def _tag(songs: Sequence[Song], content: list[Any], tagger: Tagger, hang_seconds: float) -> list[Row]:
    """The task, in a process that ends where a window takes too long."""
    watchdog = _Watchdog(hang_seconds)
    try:
        here = _loaded(tagger, content[0])
        return [here(song, watchdog) for song in songs]
    finally:
        faulthandler.cancel_dump_traceback_later()


def _tag_watched(songs: Sequence[Song], content: list[Any], tagger: Tagger, hang_seconds: float) -> list[Row]:
    """The task of songs that may have ended their process."""
    import ray

    sent = _SentTagger(tagger, ray.get(content[0]))
    return [row for _, row in tag_locally(songs, sent, workers=1, hang_seconds=hang_seconds)]


@dataclass(frozen=True)
class _SentTagger:
    """A tagger for a process that has no file of its model."""

    tagger: Tagger
    content: bytes
    """Of the model."""

    def __call__(self, song: Song, beat: Callable[[], None]) -> Row:
        return self._here(song, beat)

    @cached_property
    def _here(self) -> Tagger:
        return _with_model_here(self.tagger, self.content)


class _Watchdog:
    """Ends this process where it is not called for so long; each time that it is set takes a new thread."""

    def __init__(self, hang_seconds: float) -> None:
        self._seconds = hang_seconds
        self._set()

    def __call__(self) -> None:
        if monotonic() - self._last > self._seconds / _SETS:
            self._set()

    def _set(self) -> None:
        self._last = monotonic()
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=_nowhere())


@cache
def _nowhere() -> Any:
    return Path(os.devnull).open("w", encoding="utf-8")


@cache
def _loaded(tagger: Tagger, content: Any) -> Tagger:
    import ray

    return _with_model_here(tagger, ray.get(content))


def _with_model_here(tagger: Tagger, content: bytes) -> Tagger:
    """With the model in the memory of this process; its file, which only this user may read, is there until then."""
    with tempfile.TemporaryDirectory(prefix="tmgc-", ignore_cleanup_errors=True) as folder:
        here = replace(tagger, model=Path(folder, tagger.model.name))
        here.model.write_bytes(content)
        here.load()
    return here

"""The engine of several machines: Ray tasks on a cluster that is there, or on this machine."""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import tempfile
from collections.abc import Generator, Iterable
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from edge_runtime.archive.local import HANG_SECONDS
from edge_runtime.archive.song import Row, Song, Tagger
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write, sha256_of

log = logging.getLogger("tmgc.archive")

RETRIES = 3
"""Of a song whose process or machine has gone."""

_AHEAD = 2
"""Songs that are submitted for each core: enough that none is idle."""

_COUNT_SECONDS = 5.0
"""How often the cluster is asked for its cores: machines come and go."""

_LOST = "its process crashed, hung or was killed each time, or its machine has gone"


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
        raise TmgcError("--engine ray needs ray, which is not installed: pip install 'tmgc[ray]'") from error
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
    """Classify songs as Ray tasks, one a song and core.

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

    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_tag)
    content = ray.put(tagger.model.read_bytes())
    waiting, running = iter(songs), dict[Any, Song]()
    cores, counted = _cores(ray, workers), monotonic()
    try:
        while True:
            if monotonic() - counted > _COUNT_SECONDS:
                cores, counted = _cores(ray, workers), monotonic()
            for song in islice(waiting, max(0, _AHEAD * cores - len(running))):
                running[task.remote(song, [content], tagger, hang_seconds)] = song
            if not running:
                return
            for done in ray.wait(list(running), timeout=1.0)[0]:
                yield running.pop(done), _result(ray, done)
    finally:
        for left in running:
            ray.cancel(left, force=True)
        ray.shutdown()


def _cores(ray: Any, workers: int | None) -> int:
    """Cores to take, of those that the cluster has at this moment."""
    there = int(ray.cluster_resources().get("CPU", 0))
    return max(1, min(there, workers or there))


def _result(ray: Any, done: Any) -> Row:
    try:
        row: Row = ray.get(done)
        return row
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError:  # of a worker, a machine, or lack of memory
        return Row(error=_LOST)


def _tag(song: Song, content: list[Any], tagger: Tagger, hang_seconds: float) -> Row:
    """The task, in a process that ends where a window takes too long."""
    nowhere = _nowhere()

    def beat() -> None:
        faulthandler.dump_traceback_later(hang_seconds, exit=True, file=nowhere)

    beat()
    try:
        return _with_model_here(tagger, content[0])(song, beat)
    finally:
        faulthandler.cancel_dump_traceback_later()


@cache
def _nowhere() -> Any:
    return Path(os.devnull).open("w", encoding="utf-8")


@cache
def _with_model_here(tagger: Tagger, content: Any) -> Tagger:
    """With the model as a file of this machine, which is written where there is none of this content."""
    import ray

    path = Path(tempfile.gettempdir(), f"tmgc-{tagger.sha256}{tagger.model.suffix}")
    if not (path.is_file() and sha256_of(path) == tagger.sha256):
        with atomic_write(path) as partial:
            partial.write_bytes(ray.get(content))
    return replace(tagger, model=path)

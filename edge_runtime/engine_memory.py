"""Trials of engines, remembered for later starts on the same board.

A trial is that of a content, a library with its version, a number of threads and a board: where one of these changes,
its key does. The memory is a cache: where it is missing, damaged or cannot be written, trials are made anew.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from edge_runtime.engine_trial import Candidate, Trial
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.interpreters import ENGINES
from edge_runtime.system_info import board_model, cpu_features, usable_cores

log = logging.getLogger("tmgc.model")

RETRY_SECONDS = 24 * 3600.0
"""After which a way that crashed, did not end or lacked memory is tried again: the reason may have passed."""

_SCHEMA = 2

_MOST_REMEMBERED = 200

_HIGHEST = 1e9
"""More than any duration in ms or s, or memory in MB."""

_LATEST = 1e11
"""More than any time of this millennium, UNIX time in s."""


@dataclass(frozen=True)
class PastTrial:
    """What a trial has found, and when."""

    trial: Trial
    time: float
    """When it ended, UNIX time in s."""
    seconds: float = 0.0
    """How long inferences were timed; 0 where one was, whose time is not to be compared with others."""
    settled: bool = True
    """Whether another trial would find the same. It may not after a crash, or where memory lacked."""

    @property
    def is_left_out(self) -> bool:
        """Whether it has failed, and is not to be tried again yet."""
        # either way: a board without a battery may have started with a clock in the past
        recent = abs(time.time() - self.time) < RETRY_SECONDS
        return bool(self.trial.failure) and (self.settled or recent)


def trial_keys(candidates: Iterable[Candidate], threads: int) -> dict[Candidate, str | None]:
    """The key of each candidate's trial; None where the version of its library is not known: it is not remembered.

    Parameters
    ----------
    candidates : iterable of Candidate
    threads : int > 0

    Returns
    -------
    keys : dict
        In the order of the candidates.
    """
    board = (board_model(), cpu_features(), platform.machine(), usable_cores())
    digests, keys = dict[Path, str](), dict[Candidate, str | None]()
    for each in candidates:
        library = ENGINES[each.engine].version if each.engine else None
        keys[each] = None
        if library is not None:
            if each.file not in digests:
                digests[each.file] = sha256_of(each.file)
            versions = (version("tmgc"), version("numpy"), library)
            parts = (each.file.suffix, digests[each.file], each.engine, *versions, threads, *board)
            keys[each] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return keys


def memory_file() -> Path | None:
    """The file of the memory: in the folder that systemd gives a service, or in the user's for what can be made anew.

    A folder that is not absolute is ignored, as the XDG base directory specification demands. None where there is no
    folder: a user without a home.
    """
    service = os.environ.get("CACHE_DIRECTORY", "").partition(os.pathsep)[0]
    user = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")  # noqa: PTH111 (raises without a home)
    for folder in (Path(service), Path(user, "tmgc"), Path(home, ".cache", "tmgc")):
        if folder.is_absolute():
            return folder / "engines.json"
    return None


def recall(keys: Mapping[Candidate, str | None]) -> dict[Candidate, PastTrial]:
    """What is remembered of candidates.

    Parameters
    ----------
    keys : mapping
        As of :func:`trial_keys`.
    """
    remembered = read_memory()
    return {each: remembered[key] for each, key in keys.items() if key and key in remembered}


def read_memory() -> dict[str, PastTrial]:
    """All that is remembered, by key; nothing where the file is missing or damaged."""
    path = memory_file()
    try:
        document = json.loads(path.read_text("utf-8")) if path else {}
        if document["schema"] != _SCHEMA:
            return {}
        trials = {
            key: PastTrial(**{**entry, "trial": Trial(**entry["trial"])}) for key, entry in document["trials"].items()
        }
        return trials if all(_is_valid(each) for each in trials.values()) else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _is_valid(past: PastTrial) -> bool:
    trial = past.trial
    numbers = ((trial.window_ms, _HIGHEST), (trial.memory_mb, _HIGHEST), (past.seconds, _HIGHEST), (past.time, _LATEST))
    # the highest is compared first: a whole number in JSON may be too large for a float
    return (
        all(isinstance(each, str) for each in (trial.runtime, trial.failure))
        and all(type(number) in (int, float) and 0 <= number < highest for number, highest in numbers)
        and isinstance(past.settled, bool)
        and bool(trial.failure or (trial.runtime and trial.window_ms > 0))
    )


def remember(trials: Mapping[str, PastTrial]) -> Path | None:
    """Keep trials for later starts, the oldest of too many not.

    Parameters
    ----------
    trials : mapping of str to PastTrial
        By key.

    Returns
    -------
    path : Path or None
        Where; None where they cannot be kept, which is logged: then there are new ones at the next start.
    """
    kept = {key: past for key, past in read_memory().items() if key not in trials} | dict(trials)
    newest = dict(list(kept.items())[-_MOST_REMEMBERED:])
    document = {"schema": _SCHEMA, "trials": {key: asdict(each) for key, each in newest.items()}}
    path = memory_file()
    try:
        if path is None:
            raise FileNotFoundError(errno.ENOENT, "the user has no home")
        _check_own(path)
        with atomic_write(path) as partial:
            partial.write_text(json.dumps(document, indent=1), "utf-8")
    except OSError as error:
        log.info("which engine is fastest is not remembered: %s", error)
        return None
    return path


def _check_own(path: Path) -> None:
    """Refuse a folder of another user's, in which sudo would leave files that the user cannot replace."""
    if hasattr(os, "geteuid"):
        nearest = next((each for each in path.parents if each.exists()), Path("/"))
        if nearest.stat().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "the folder belongs to another user", str(nearest))

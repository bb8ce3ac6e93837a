"""The fastest way to run a model on this board, among those that compute what its exporter did.

Ways are the file itself and the same export in the other format beside it, each by every library that is installed.
Each is tried in a process of its own (:mod:`edge_runtime.engine_trial`) at the first start; the times are remembered
for this board, this content of the files, these versions of the libraries and this number of threads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from edge_runtime.engine_trial import Candidate, Trial, try_engine
from edge_runtime.errors import TmgcError, UntrustedModelError
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.golden_windows import GoldenResult, require_golden
from edge_runtime.interpreters import (
    AUTO,
    ENGINES,
    SUFFIXES,
    Interpreter,
    check_file,
    default_threads,
    installed_engines,
    open_interpreter,
)
from edge_runtime.model_card import ModelCard
from edge_runtime.model_file import read_card
from edge_runtime.system_info import board_model, cpu_model, usable_cores

log = logging.getLogger("tmgc.model")

RACE_SECONDS = 3.0
"""How long inferences are timed in all, where there is more than one way."""

_MARGIN = 0.9
"""Another way than the file itself by its first engine must take less than this share of its time: two that are about
as fast would take turns."""

_SCHEMA = 1

_MOST_REMEMBERED = 200

_HIGHEST = 1e9
"""More than any time in ms or memory in MB."""


@dataclass(frozen=True)
class Choice:
    """The ways to run a model on this board."""

    trials: dict[Candidate, Trial]
    """Those that work, the best first."""
    failed: dict[Candidate, str]
    """Why each of the others does not."""
    remembered: bool
    """Whether the trials are those of an earlier start."""


class Verified(NamedTuple):
    """A model that has computed its golden windows in this process."""

    interpreter: Interpreter
    results: list[GoldenResult]
    """Empty for a file that has none."""
    choice: Choice


def open_verified(path: str | Path, *, threads: int | None = None, engine: str = AUTO, again: bool = False) -> Verified:
    """Load a model with the fastest engine that computes its golden windows as the exporter did.

    Parameters
    ----------
    path : str or Path
    threads : int > 0, optional
        As for :func:`edge_runtime.interpreters.open_interpreter`.
    engine : str
        ``auto``, or the name of one: see :data:`edge_runtime.interpreters.ENGINES`.
    again : bool
        As for :func:`choose_engine`.

    Raises
    ------
    UntrustedModelError
        Each engine crashes, or computes something else.
    TmgcError
        The file or the engine is refused.
    """
    threads = default_threads() if threads is None else threads
    choice = choose_engine(path, threads=threads, engine=engine, again=again)
    left_out, errors = {} if choice.remembered else dict(choice.failed), list[TmgcError]()
    for candidate in choice.trials:
        try:
            interpreter, results = load_verified(candidate, threads=threads)
        except TmgcError as error:
            left_out[candidate] = str(error)
            errors.append(error.with_traceback(None))  # which would keep the interpreter
            continue
        for other, reason in left_out.items():
            log.warning("%s is left out: %s", other.name, reason)
        return Verified(interpreter, results, choice)
    raise _worst(errors)


def load_verified(candidate: Candidate, *, threads: int) -> tuple[Interpreter, list[GoldenResult]]:
    """Load a model in one way, without a trial, and compute its golden windows.

    Raises
    ------
    UntrustedModelError
        They are not what the exporter computed, or the file is damaged.
    TmgcError
        The file is refused.
    """
    interpreter = open_interpreter(candidate.file, threads=threads, engine=candidate.engine)
    return interpreter, require_golden(interpreter)


def choose_engine(path: str | Path, *, threads: int, engine: str = AUTO, again: bool = False) -> Choice:
    """Find out how a model runs best here, by trials or from those of an earlier start.

    What works is remembered, and what a library refuses or computes wrongly; a crash or a lack of memory is not.

    Parameters
    ----------
    path : str or Path
    threads : int > 0
    engine : str
        As for :func:`open_verified`.
    again : bool
        Try anew also what is remembered.

    Returns
    -------
    choice : Choice
        With at least one way that works.

    Raises
    ------
    UntrustedModelError, TmgcError
        As of :func:`open_verified`.
    """
    path = Path(path)
    candidates = find_candidates(path, engine)
    keys = {each: _key(each, threads) for each in candidates}
    remembered = {} if again else read_trials()
    known = {each: remembered[key] for each, key in keys.items() if key in remembered}
    if len(known) == len(candidates) and not all(trial.failure for trial in known.values()):
        return _choice(known, {}, remembered=True)
    found, errors = dict[Candidate, Trial](), dict[Candidate, TmgcError]()
    seconds = RACE_SECONDS / len(candidates) if len(candidates) > 1 else 0.0
    for candidate in candidates:
        try:
            found[candidate] = try_engine(candidate, threads=threads, seconds=seconds)
        except TmgcError as error:
            errors[candidate] = error
    if all(trial.failure for trial in found.values()):
        raise _worst([*(UntrustedModelError(trial.failure) for trial in found.values()), *errors.values()])
    remember({key: trial for each, trial in found.items() if (key := keys[each])})
    return _choice(found, errors, remembered=False)


def find_candidates(path: Path, engine: str = AUTO) -> list[Candidate]:
    """The ways to run a model: the file itself first, and each file's engines in order of preference.

    Left out by ``auto`` are engines with which a file has failed its parity check.

    Raises
    ------
    UntrustedModelError
        With each engine that is installed the file has failed its parity check.
    TmgcError
        There is no such file or engine, or a card is missing or malformed.
    """
    check_file(path)
    names = [name for name, each in ENGINES.items() if not each.last_resort]
    if engine not in (AUTO, *names):
        raise TmgcError(f"an engine must be one of {AUTO}, {', '.join(names)}: got {engine}")
    if engine == AUTO:
        files = [path, *_same_export(path)]
        found = [Candidate(file, name) for file in files for name in _usable_engines(file)]
        if not found and (failed := installed_engines(path)):
            raise UntrustedModelError(
                f"a model must answer as Keras does: {path} does not with {', '.join(failed)}. Install another engine, "
                "take another export of the model, or, at your own risk, name it with --engine"
            )
        return found or [Candidate(path, None)]  # whose refusal says what to install
    for file in (path, *_same_export(path)):
        if engine in installed_engines(file):
            return [Candidate(file, engine)]
    raise TmgcError(
        f"an engine must be installed, and run the file: {engine} does not run {path}. Leave --engine out, or see "
        "docs/install.md"
    )


def own_candidate(path: Path) -> Candidate:
    """The first way to run a file itself: for work whose parts must all be computed in the same way.

    Raises
    ------
    TmgcError
        As of :func:`find_candidates`.
    """
    return next((each for each in find_candidates(path) if each.file == path), Candidate(path, None))


def _usable_engines(path: Path) -> list[str]:
    """The installed engines of a file with which it has not failed its parity check."""
    failed = read_card(path).failed_engines
    return [name for name in installed_engines(path) if name not in failed]


def _same_export(path: Path) -> list[Path]:
    """The files beside a model that hold the same run's network by the same recipe in another format."""
    card = read_card(path)
    found = list[Path]()
    for suffix in SUFFIXES:
        other = path.with_suffix(suffix)
        if other == path or not other.is_file():
            continue
        with contextlib.suppress(TmgcError, OSError, KeyError):  # nobody has asked for that one
            if _network(read_card(other)) == _network(card):
                found.append(other)
    return found


def _network(card: ModelCard) -> tuple[object, ...]:
    """What two files of one network and recipe have in common: the same trained weights, and all that the card says."""
    golden = card.export.get("golden")
    keras = golden.get("keras") if isinstance(golden, dict) else None
    return card.replace(export={}, training={}), card.export["keras_sha256"], card.export.get("recipe"), keras


def _worst(errors: list[TmgcError]) -> TmgcError:
    """Of several reasons the one that matters most: that a model is not to be trusted."""
    return next((error for error in errors if isinstance(error, UntrustedModelError)), errors[0])


def _choice(found: dict[Candidate, Trial], errors: dict[Candidate, TmgcError], *, remembered: bool) -> Choice:
    """The fastest first, where it is clearly faster than what comes first without it."""
    trials = {each: trial for each, trial in found.items() if not trial.failure}
    first = next(iter(trials))

    def time(candidate: Candidate) -> float:
        return trials[candidate].window_ms * (_MARGIN if candidate == first else 1)

    failed = {each: trial.failure for each, trial in found.items() if trial.failure}
    failed |= {each: str(error) for each, error in errors.items()}
    return Choice({each: trials[each] for each in sorted(trials, key=time)}, failed, remembered)


def _key(candidate: Candidate, threads: int) -> str | None:
    """What a trial is of: another content, library, number of threads or board has another key.

    None where the version of the library is not known: then a trial is not remembered.
    """
    library = ENGINES[candidate.engine].version if candidate.engine else None
    if library is None:
        return None
    board = (board_model(), cpu_model(), platform.machine(), usable_cores())
    versions = (version("tmgc"), version("numpy"), library)
    parts = (candidate.file.suffix, sha256_of(candidate.file), candidate.engine, *versions, threads, *board)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def memory_file() -> Path:
    """Where trials are remembered: the folder that systemd gives a service, or the user's for what can be made anew."""
    service = os.environ.get("CACHE_DIRECTORY", "").partition(os.pathsep)[0]
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (raises without a home)
    return Path(service or Path(user, "tmgc"), "engines.json")


def read_trials() -> dict[str | None, Trial]:
    """The trials that are remembered, by key; none where the file is missing or damaged."""
    try:
        document = json.loads(memory_file().read_text("utf-8"))
        if document["schema"] != _SCHEMA:
            return {}
        trials = {key: Trial(**trial) for key, trial in document["trials"].items()}
        return trials if all(_is_valid(trial) for trial in trials.values()) else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _is_valid(trial: Trial) -> bool:
    texts, numbers = (trial.runtime, trial.failure), (trial.window_ms, trial.memory_mb)
    # the highest is compared first: a whole number in JSON may be too large for a float
    return all(isinstance(each, str) for each in texts) and all(
        type(each) in (int, float) and 0 <= each < _HIGHEST for each in numbers
    )


def remember(trials: dict[str, Trial]) -> None:
    """Keep trials for later starts, the oldest of too many not; where they cannot be kept, there are new ones then."""
    kept = {key: trial for key, trial in read_trials().items() if key not in trials} | trials
    newest = dict(list(kept.items())[-_MOST_REMEMBERED:])
    document = {"schema": _SCHEMA, "trials": {key: asdict(each) for key, each in newest.items()}}
    path = memory_file()
    try:
        _check_own(path)
        with atomic_write(path) as partial:
            partial.write_text(json.dumps(document, indent=1), "utf-8")
    except OSError as error:
        log.info("which engine is fastest is not remembered: %s", error)


def _check_own(path: Path) -> None:
    """Refuse a folder of another user's, in which sudo would leave files that the user cannot replace."""
    if hasattr(os, "geteuid"):
        nearest = next((each for each in path.absolute().parents if each.exists()), Path("/"))
        if nearest.stat().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "the folder belongs to another user", str(nearest))

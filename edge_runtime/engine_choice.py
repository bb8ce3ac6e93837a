"""The fastest way to run a model on this board, among those that compute what its exporter did.

Ways are the file itself and the same export in the other format beside it, each by every library that is installed.
Each is tried in a process of its own (:mod:`edge_runtime.engine_trial`) at the first start; the times are remembered
for this board, this content of the files, these versions of the libraries and this number of threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from edge_runtime.engine_trial import Candidate, Trial, try_engine
from edge_runtime.errors import TmgcError, UntrustedModelError
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.golden_windows import GoldenResult, check_golden, first_failure, untrusted
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


@dataclass(frozen=True)
class Choice:
    """The ways to run a model on this board."""

    trials: dict[Candidate, Trial]
    """Those that work, the best first."""
    failed: dict[Candidate, Trial]
    """The others, each with its failure."""
    remembered: bool
    """Whether the trials are those of an earlier start."""


class Verified(NamedTuple):
    """A model that has computed its golden windows in this process."""

    interpreter: Interpreter
    results: list[GoldenResult]
    """Empty for a file that has none."""
    choice: Choice


def open_verified(path: str | Path, *, threads: int | None = None, engine: str = AUTO) -> Verified:
    """Load a model with the fastest engine that computes its golden windows as the exporter did.

    Parameters
    ----------
    path : str or Path
    threads : int > 0, optional
        As for :func:`edge_runtime.interpreters.open_interpreter`.
    engine : str
        ``auto``, or the name of one: see :data:`edge_runtime.interpreters.ENGINES`.

    Raises
    ------
    UntrustedModelError
        Each engine crashes, or computes something else.
    TmgcError
        The file or the engine is refused.
    """
    threads = default_threads() if threads is None else threads
    choice = choose_engine(path, threads=threads, engine=engine)
    left_out = {} if choice.remembered else {each: trial.failure for each, trial in choice.failed.items()}
    errors = list[TmgcError]()
    for candidate in choice.trials:
        try:
            interpreter = open_interpreter(candidate.file, threads=threads, engine=candidate.engine)
            results = check_golden(interpreter)
            if failure := first_failure(results, interpreter.runtime):
                raise untrusted(candidate.file, failure)
        except TmgcError as error:
            left_out[candidate] = str(error)
            errors.append(error)
            continue
        for other, reason in left_out.items():
            log.warning("%s is left out: %s", other.name, reason)
        return Verified(interpreter, results, choice)
    raise _worst(errors)


def choose_engine(path: str | Path, *, threads: int, engine: str = AUTO) -> Choice:
    """Find out how a model runs best here, by trials or from those of an earlier start.

    Parameters
    ----------
    path : str or Path
    threads : int > 0
    engine : str
        As for :func:`open_verified`.

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
    check_file(path, threads)
    candidates = find_candidates(path, engine)
    keys = {each: _key(each, threads) for each in candidates}
    remembered = read_trials()
    known = {each: remembered[key] for each, key in keys.items() if key in remembered}
    if len(known) == len(candidates) and not all(trial.failure for trial in known.values()):
        return _choice(known, remembered=True)
    trials, errors = dict[Candidate, Trial](), list[TmgcError]()
    seconds = RACE_SECONDS / len(candidates) if len(candidates) > 1 else 0.0
    for candidate in candidates:
        try:
            trials[candidate] = try_engine(candidate, threads=threads, seconds=seconds)
        except TmgcError as error:
            errors.append(error)
            trials[candidate] = Trial(failure=str(error))
    if len(errors) == len(candidates):
        raise _worst(errors)
    remember(remembered | {keys[each]: trial for each, trial in trials.items()})
    return _choice(trials, remembered=False)


def find_candidates(path: Path, engine: str = AUTO) -> list[Candidate]:
    """The ways to run a model: the file itself first, and each file's engines in order of preference.

    Raises
    ------
    TmgcError
        A file's card is missing or malformed, or there is no such engine for it.
    """
    if engine not in (AUTO, *ENGINES):
        raise TmgcError(f"an engine must be one of {AUTO}, {', '.join(ENGINES)}: got {engine}")
    files = [path, *_same_export(path)]
    found = [Candidate(file, name) for file in files for name in installed_engines(file) if engine in (AUTO, name)]
    if found:
        return found
    if engine == AUTO:
        return [Candidate(path, None)]  # whose refusal says what to install
    raise TmgcError(
        f"an engine must be installed, and run the file: {engine} does not run {path}. Leave --engine out, or see "
        "docs/install.md"
    )


def _same_export(path: Path) -> list[Path]:
    """The files beside a model that hold the same run's network by the same recipe in another format."""
    card = read_card(path)
    found = list[Path]()
    for suffix in SUFFIXES:
        other = path.with_suffix(suffix)
        if other == path or not other.is_file():
            continue
        with contextlib.suppress(TmgcError, OSError):  # nobody has asked for that one
            if _network(read_card(other)) == _network(card):
                found.append(other)
    return found


def _network(card: ModelCard) -> tuple[object, ...]:
    """What two files of one network and recipe have in common: the same trained weights, and all that the card says."""
    return card.replace(export={}, training={}), card.export.get("keras_sha256"), card.export.get("recipe")


def _worst(errors: list[TmgcError]) -> TmgcError:
    """Of several reasons the one that matters most: that a model is not to be trusted."""
    return next((error for error in errors if isinstance(error, UntrustedModelError)), errors[0])


def _choice(found: dict[Candidate, Trial], *, remembered: bool) -> Choice:
    """The fastest first, where it is clearly faster than what comes first without it."""
    trials = {each: trial for each, trial in found.items() if not trial.failure}
    first = next(iter(trials))

    def time(candidate: Candidate) -> float:
        return trials[candidate].window_ms * (_MARGIN if candidate == first else 1)

    failed = {each: trial for each, trial in found.items() if trial.failure}
    return Choice({each: trials[each] for each in sorted(trials, key=time)}, failed, remembered)


def _key(candidate: Candidate, threads: int) -> str:
    """What a trial was of: another content, library or number of threads has another key."""
    card = read_card(candidate.file)
    # the card holds the digest of the graph, which is compared before an interpreter sees the file
    content = card.to_json() if "graph_sha256" in card.export else sha256_of(candidate.file)
    version = ENGINES[candidate.engine].version if candidate.engine else None
    parts = (candidate.file.suffix, content, candidate.engine, version, threads)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def memory_file() -> Path:
    """Where trials are remembered: the folder that systemd gives a service, or the user's for what can be made anew."""
    service = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    user = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(service or Path(user, "tmgc"), "engines.json")


def read_trials() -> dict[str, Trial]:
    """The trials that are remembered of this board; none where the file is missing, of another board, or damaged."""
    try:
        document = json.loads(memory_file().read_text("utf-8"))
        if (document["schema"], document["board"]) != (_SCHEMA, _board()):
            return {}
        trials = {key: Trial(**trial) for key, trial in document["trials"].items()}
        if not all(_is_valid(trial) for trial in trials.values()):
            return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    return trials


def _is_valid(trial: Trial) -> bool:
    texts, numbers = (trial.runtime, trial.failure), (trial.window_ms, trial.memory_mb)
    return all(isinstance(each, str) for each in texts) and all(type(each) in (int, float) for each in numbers)


def remember(trials: dict[str, Trial]) -> None:
    """Keep trials for later starts, the oldest of too many not; where they cannot be kept, there are new ones then."""
    newest = dict(list(trials.items())[-_MOST_REMEMBERED:])
    document = {"schema": _SCHEMA, "board": _board(), "trials": {key: asdict(each) for key, each in newest.items()}}
    try:
        with atomic_write(memory_file()) as partial:
            partial.write_text(json.dumps(document, indent=1), "utf-8")
    except OSError as error:
        log.info("which engine is fastest is not remembered: %s", error)


def _board() -> str:
    """Names the processor: a card that is put into another board has its engines tried again."""
    named = (board_model(), cpu_model(), platform.machine(), f"{usable_cores()} cores")
    return ", ".join(each for each in named if each)

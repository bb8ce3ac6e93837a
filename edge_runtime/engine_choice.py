"""The fastest way to run a model on this board, among those that compute what its exporter did.

Ways are the file itself and the same export in the other format beside it, each by every library that is installed.
Each is tried in a process of its own (:mod:`edge_runtime.engine_trial`) at the first start, and remembered
(:mod:`edge_runtime.engine_memory`) for later ones.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from edge_runtime.engine_memory import PastTrial, memory_file, recall, remember, trial_keys
from edge_runtime.engine_trial import Candidate, Trial, try_engine
from edge_runtime.errors import TmgcError, TooLittleMemoryError, UntrustedModelError
from edge_runtime.golden_windows import GoldenResult, has_golden, require_golden
from edge_runtime.interpreters import (
    AUTO,
    SUFFIXES,
    Interpreter,
    check_engine,
    check_file,
    default_threads,
    installed_engines,
    open_interpreter,
    refused_engine,
)
from edge_runtime.model_card import ModelCard
from edge_runtime.model_file import read_card

log = logging.getLogger("tmgc.model")

RACE_SECONDS = 3.0
"""How long inferences are timed in all, where there is more than one way."""

_MARGIN = 0.9
"""Another way than the file itself by its first engine must take less than this share of its time: two that are about
as fast would take turns."""


@dataclass(frozen=True)
class Choice:
    """The ways to run a model on this board."""

    first: Candidate
    """The one that is preferred before anything is known: the file itself by its first engine."""
    trials: dict[Candidate, Trial]
    """Those that work, the best first."""
    failed: dict[Candidate, str]
    """Why each of the others does not."""
    tried: frozenset[Candidate]
    """Those that were tried now; what is known of the others is remembered."""
    earlier: dict[Candidate, PastTrial]
    """What was remembered before."""
    memory: Path | None
    """The file that remembers them; None where they cannot be kept."""


class Verified(NamedTuple):
    """A model that has computed its golden windows in this process."""

    candidate: Candidate
    """The way in which it is run."""
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
    return _load_best(choose_engine(path, threads=threads, engine=engine, again=again), threads=threads)


def open_by_first_engine(path: Path, *, threads: int) -> Verified:
    """Load a file itself with the first of its engines that computes its golden windows as the exporter did.

    For work whose parts must all be computed in the same way, on several machines, too: nothing is raced. Engines that
    have failed here before are tried last.

    Parameters
    ----------
    path : Path
    threads : int > 0

    Raises
    ------
    UntrustedModelError, TmgcError
        As of :func:`open_verified`.
    """
    check_file(path)
    keys = trial_keys(_own_candidates(path), threads)
    known = recall(keys)
    errors = dict[Candidate, TmgcError]()
    for candidate in sorted(keys, key=lambda each: each in known and known[each].is_left_out):
        try:
            verified = _load_best(_choose({candidate: keys[candidate]}, threads=threads), threads=threads)
        except TmgcError as error:
            errors[candidate] = error.with_traceback(None)  # which would keep the interpreter
            continue
        _log_left_out({each: str(error) for each, error in errors.items()})
        return verified
    raise _worst(errors.values())


def _load_best(choice: Choice, *, threads: int) -> Verified:
    """The first of the ways that work which computes its golden windows in this process, too; a line for the others."""
    left_out = {each: reason for each, reason in choice.failed.items() if each in choice.tried}
    errors = list[TmgcError]()
    for candidate in choice.trials:
        try:
            interpreter, results = load_verified(candidate, threads=threads)
        except TmgcError as error:
            left_out[candidate] = str(error)
            errors.append(error.with_traceback(None))  # which would keep the interpreter
            continue
        _log_left_out(left_out)
        working = {each: trial for each, trial in choice.trials.items() if each not in left_out}
        choice = replace(choice, trials=working, failed=choice.failed | left_out)
        return Verified(candidate, interpreter, results, choice)
    raise _worst(errors)


def _log_left_out(reasons: Mapping[Candidate, str]) -> None:
    for candidate, reason in reasons.items():
        log.warning("%s is left out: %s", candidate.name, reason)


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

    Tried is what is not remembered, what was never timed although there is a choice, and what crashed, did not end or
    lacked memory more than a day ago; where nothing else works, all that has failed before.

    Parameters
    ----------
    path : str or Path
    threads : int > 0
    engine : str
        As for :func:`open_verified`.
    again : bool
        Try anew also what is remembered, and time it also where there is no choice.

    Returns
    -------
    choice : Choice
        With at least one way that works.

    Raises
    ------
    UntrustedModelError, TmgcError
        As of :func:`open_verified`.
    """
    return _choose(trial_keys(find_candidates(Path(path), engine), threads), threads=threads, again=again)


def _choose(keys: Mapping[Candidate, str | None], *, threads: int, again: bool = False) -> Choice:
    """The same of candidates, with the keys of their trials."""
    earlier = recall(keys)
    known = {} if again else dict(earlier)
    hopeful = [each for each in keys if each not in known or not known[each].is_left_out]
    is_timed = len(hopeful) > 1 or again
    seconds = RACE_SECONDS / len(hopeful) if is_timed else 0.0

    def is_known(candidate: Candidate) -> bool:
        past = known.get(candidate)
        return past is not None and not past.trial.failure and (past.seconds > 0 or not is_timed)

    tried, errors = _try([each for each in hopeful if not is_known(each)], threads=threads, seconds=seconds)
    known |= tried
    if all(past.trial.failure for past in known.values()):
        others, more = _try([each for each in keys if each not in tried], threads=threads, seconds=seconds)
        tried, errors, known = tried | others, errors + more, known | others
    memory = remember({key: past for each, past in tried.items() if (key := keys[each])}) if tried else memory_file()
    trials = {each: known[each].trial for each in keys}
    working = {each: trial for each, trial in trials.items() if not trial.failure}
    if not working:
        raise _worst(errors)
    failed = {each: trial.failure for each, trial in trials.items() if trial.failure}
    return Choice(next(iter(keys)), _fastest_first(working), failed, frozenset(tried), earlier, memory)


def _try(
    candidates: Iterable[Candidate], *, threads: int, seconds: float
) -> tuple[dict[Candidate, PastTrial], list[TmgcError]]:
    """Try candidates, and time them for so long; also the error of each that fails."""
    found, errors = dict[Candidate, PastTrial](), list[TmgcError]()
    for candidate in candidates:
        try:
            trial = try_engine(candidate, threads=threads, seconds=seconds)
        except TmgcError as error:
            found[candidate] = PastTrial(Trial(failure=str(error)), time.time(), settled=False)
            errors.append(error)
            continue
        found[candidate] = PastTrial(trial, time.time(), seconds)
        if trial.failure:
            errors.append(UntrustedModelError(trial.failure))
    return found, errors


def _fastest_first(trials: dict[Candidate, Trial]) -> dict[Candidate, Trial]:
    """Trials by time, where one is clearly faster than the first of them."""
    first = next(iter(trials))

    def window_ms(candidate: Candidate) -> float:
        return trials[candidate].window_ms * (_MARGIN if candidate == first else 1)

    return {each: trials[each] for each in sorted(trials, key=window_ms)}


def _worst(errors: Iterable[TmgcError]) -> TmgcError:
    """Of several reasons the one that matters most: that a model is not to be trusted, then that memory lacks."""
    order = (UntrustedModelError, TooLittleMemoryError, TmgcError)
    return min(errors, key=lambda error: next(place for place, kind in enumerate(order) if isinstance(error, kind)))


def find_candidates(path: Path, engine: str = AUTO) -> list[Candidate]:
    """The ways to run a model: the file itself first, and each file's engines in order of preference.

    By ``auto``, nothing takes part that has failed its parity check, an engine or another file than the one that is
    named; nor what no golden windows would check: another file without them, or a second engine of one without them.

    Raises
    ------
    UntrustedModelError
        With each engine that is installed the file has failed its parity check.
    TmgcError
        There is no such file or engine, or a card is missing or malformed.
    """
    check_file(path)
    check_engine(engine)
    files = [path, *_same_export(path)]
    if engine == AUTO:
        found = [Candidate(file, name) for file in files for name in _usable_engines(file, named=file == path)]
        return found or _own_candidates(path)
    for file in files:
        if engine in installed_engines(file):
            return [Candidate(file, engine)]
    raise refused_engine(engine, files)


def _own_candidates(path: Path) -> list[Candidate]:
    """The ways to run a file itself; the errors are those of :func:`find_candidates`."""
    usable = _usable_engines(path, named=True)
    if not usable and (failed := installed_engines(path)):
        raise UntrustedModelError(
            f"a model must answer as Keras does: {path} does not with {', '.join(failed)}. Install another engine, "
            "take another export of the model, or, at your own risk, name one of them: tmgc-listen --engine"
        )
    return [Candidate(path, name) for name in usable] or [Candidate(path, None)]  # whose refusal says what to install


def _usable_engines(path: Path, *, named: bool) -> list[str]:
    """The installed engines of a file that take part in a choice; ``named`` where it is the one that was asked for."""
    card = read_card(path)
    usable = [name for name in installed_engines(path) if name not in card.failed_engines]
    if named:
        return usable if has_golden(card) else usable[:1]
    return usable if has_golden(card) and not card.failed_parity else []


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

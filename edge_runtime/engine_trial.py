"""A model file tried with one engine in a process of its own, before a service or a command loads it.

A damaged or hostile file can make an interpreter crash, loop, or ask for more memory than there is: then that process
ends, and what is left is one line. It computes the golden windows of the file, times them, and never saves anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any, NamedTuple

import numpy as np

from edge_runtime.errors import TmgcError, TooLittleMemoryError, UntrustedModelError, shortened
from edge_runtime.golden_windows import require_golden
from edge_runtime.interpreters import Interpreter, open_interpreter
from edge_runtime.memory_limit import is_lack_of_memory, memory_line
from edge_runtime.system_info import peak_memory_mb

HANG_SECONDS = 120.0
"""After which a step of a trial, the loading or an inference, is ended: it takes seconds on a small board, and more
on one that is busy."""

_LONGEST_SECONDS = 5 * HANG_SECONDS
"""Of a whole trial."""

_MEMORY_BYTES = 4 * 2**30
"""Address space of a trial beside ten times the size of its file: the largest network here takes a third of it."""

_MOST_OUTPUT_BYTES = 1_000_000
"""Of what libraries write about a file."""

_POLL_SECONDS = 0.1

_MOST_INVOCATIONS = 200

_PR_SET_PDEATHSIG = 1
"""From prctl.h, see prctl(2)."""


class Candidate(NamedTuple):
    """A way to run a model."""

    file: Path
    engine: str | None
    """As for :func:`edge_runtime.interpreters.open_interpreter`."""

    @property
    def name(self) -> str:
        """For people: ``small.int8.tflite by litert``."""
        return f"{self.file.name} by {self.engine or 'the first engine that is installed'}"


@dataclass(frozen=True)
class Trial:
    """What a trial has found."""

    runtime: str = ""
    """Name and version of the library."""
    window_ms: float = 0.0
    """Median time of one inference, ms."""
    memory_mb: float = 0.0
    """Peak of the process's resident memory, MB (1e6 bytes)."""
    failure: str = ""
    """Why the file is not to be run so, in one line; there are no figures then."""


def try_engine(candidate: Candidate, *, threads: int, seconds: float = 0.0) -> Trial:
    """Try a way to run a model in a child process.

    Parameters
    ----------
    candidate : Candidate
    threads : int > 0
    seconds : float >= 0
        How long inferences are timed beyond the golden windows.

    Returns
    -------
    trial : Trial
        With a failure where the library refuses the file, or computes something else than the exporter did.

    Raises
    ------
    UntrustedModelError
        It crashes, does not end, or writes without end.
    TooLittleMemoryError
        It takes more memory than there is, or than a limit allows.
    TmgcError
        There is no such library, or no trial can be made.
    KeyboardInterrupt
        The child was interrupted, as this process probably was.
    """
    limits = (str(threads), str(seconds), str(HANG_SECONDS))
    with _child(str(os.getpid()), str(candidate.file), candidate.engine or "", *limits) as process:
        try:
            output, said = _output(candidate, process)
        except BaseException:
            process.kill()
            process.wait()
            raise
    answer = _answer(output)
    if "trial" in answer:
        return Trial(**answer["trial"])
    if "too_little_memory" in answer:
        raise TooLittleMemoryError(answer["too_little_memory"])
    if "refused" in answer:
        raise TmgcError(answer["refused"])
    raise _ended(candidate, process.returncode, said.decode("utf-8", "replace"))


def _child(*arguments: str) -> subprocess.Popen[bytes]:
    """Start :func:`main` in a process."""
    # -P: no module of the current folder is taken for one of ours, which are found where this process has found them
    command = [sys.executable, "-P", "-m", "edge_runtime.engine_trial", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OPENBLAS_NUM_THREADS": "1",  # nothing here uses NumPy's BLAS, which sets memory aside for each thread
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment)


def _output(candidate: Candidate, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What a child writes to standard output and error, until it ends.

    It may fill, close, or hand on its pipes: then it does not decide how much is read, or how long.
    """
    until = monotonic() + _LONGEST_SECONDS
    while monotonic() < until:
        has_ended = process.poll() is not None
        try:
            return process.communicate(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired as so_far:
            output = so_far.output or b"", so_far.stderr or b""
        if has_ended:  # and a process that it has started has not
            return output
        if sum(map(len, output)) > _MOST_OUTPUT_BYTES:
            raise _harmful(candidate, "writes without end")
    raise _harmful(candidate, "does not end")


def _answer(output: bytes) -> dict[str, Any]:
    """What a child answers; nothing where it has ended before."""
    try:
        answer = json.loads(output)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _ended(candidate: Candidate, code: int, said: str) -> BaseException:
    """What to raise for a trial that has ended without an answer."""
    number = -code
    if number == getattr(signal, "SIGALRM", None):
        return _harmful(candidate, f"gives no answer within {HANG_SECONDS:.0f} s")
    if is_lack_of_memory(RuntimeError(said)):
        return TooLittleMemoryError(_lack(candidate))
    if number == getattr(signal, "SIGKILL", None):
        killed = f"{candidate.name} was killed, as Linux does with what takes more than there is"
        return TooLittleMemoryError(memory_line(f"{killed}. A smaller model may fit"))
    last = (said.splitlines() or [""])[-1]
    if last == "KeyboardInterrupt" or number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        return KeyboardInterrupt()
    if number < 0 and os.name != "nt":
        reason = f"that of {candidate.name} fails with {shortened(last)}"
        return TmgcError(f"a model is tried in a process of its own first: {reason}")
    names = {each.value: each.name for each in signal.Signals}
    return _harmful(candidate, f"crashes ({names.get(number, f'exit code {code}')})")


def _lack(candidate: Candidate) -> str:
    return memory_line(f"{candidate.name} takes more than there is")


def _harmful(candidate: Candidate, what: str) -> UntrustedModelError:
    return UntrustedModelError(
        f"a model must run without harm: {candidate.file} by {candidate.engine or 'its interpreter'} {what}. It is "
        "damaged, made for another version, or too much for this machine: copy or export it again, update the "
        "interpreter, or take a smaller one"
    )


def main(arguments: list[str]) -> None:
    """Try one, and write what was found as JSON; libraries write to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own waits for a library to return
    parent, path, engine, threads, seconds, hang_seconds = arguments
    _end_with(int(parent))
    is_limited = _limit(Path(path))
    own_output = os.dup(1)
    os.dup2(2, 1)

    def beat() -> None:
        """Have the system end this process unless there is another beat; a thread would need memory for it."""
        if hasattr(signal, "setitimer"):  # Windows has none: there only the whole trial has a limit
            signal.setitimer(signal.ITIMER_REAL, float(hang_seconds))

    beat()
    try:
        interpreter = open_interpreter(path, threads=int(threads), engine=engine or None)
        require_golden(interpreter, beat)
        answer: dict[str, Any] = {"trial": asdict(_timed(interpreter, float(seconds), beat))}
    except (TmgcError, MemoryError, OSError, ImportError, RuntimeError) as error:
        answer = _refusal(error, Candidate(Path(path), engine or None), is_limited=is_limited)
    os.write(own_output, json.dumps(answer).encode())
    os._exit(0)  # whatever an interpreter would do at its end


def _refusal(error: Exception, candidate: Candidate, *, is_limited: bool) -> dict[str, Any]:
    """The answer where a model cannot be run; another error is raised.

    Under a limit of memory, the error of a library says nothing about the file: they tell the lack in many ways.
    """
    if any(map(is_lack_of_memory, filter(None, (error, error.__cause__, error.__context__)))):
        return {"too_little_memory": _lack(candidate)}
    if isinstance(error, UntrustedModelError):
        if is_limited and error.__cause__ and not isinstance(error.__cause__, TmgcError):
            return {"too_little_memory": f"{error}. Or {memory_line('a limit is set')}"}
        return {"trial": asdict(Trial(failure=str(error)))}
    if isinstance(error, TmgcError):
        return {"refused": str(error)}
    raise error


def _end_with(parent: int) -> None:
    """Have Linux end this process when its parent ends, also while a library computes and hears nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != parent:  # it has ended before
            os._exit(1)


def _limit(path: Path) -> bool:
    """Lower what this process may take, where the system allows that; whether its memory was limited before."""
    with contextlib.suppress(OSError):  # Linux: should memory run out, this process is ended, and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # Windows has none

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        wanted = _MEMORY_BYTES + 10 * path.stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY and soft <= wanted:
            return True
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    return False


def _timed(interpreter: Interpreter, seconds: float, beat: Callable[[], None]) -> Trial:
    """Time inferences of noise; the first one, which sets things up, does not count."""
    shape, kind = interpreter.card.input_shape, interpreter.card.input_kind
    noise = np.random.default_rng(0).uniform(0, 1, shape)
    window = noise.astype(np.float32) if kind == "waveform" else (noise * 255).astype(np.uint8)
    beat()
    interpreter.invoke(window)
    begun, times = perf_counter(), list[float]()
    while not times or (perf_counter() - begun < seconds and len(times) < _MOST_INVOCATIONS):
        beat()
        before = perf_counter()
        interpreter.invoke(window)
        times.append((perf_counter() - before) * 1e3)
    memory_mb = 0.0
    with contextlib.suppress(ImportError):  # Windows does not tell
        memory_mb = round(peak_memory_mb(), 1)
    return Trial(interpreter.runtime, round(median(times), 3), memory_mb)


if __name__ == "__main__":
    main(sys.argv[1:])

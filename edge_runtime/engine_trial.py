"""A model file tried with one engine in a process of its own, before a service or a command loads it.

A damaged or hostile file can make an interpreter crash, loop, or ask for more memory than there is: then that process
ends, and what is left is one line. It computes the golden windows of the file, times them, and never saves anything.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from edge_runtime.errors import TmgcError, UntrustedModelError, first_line, shortened
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

_MOST_INVOCATIONS = 200

_TIMEOUT = "Timeout ("
"""What faulthandler says of a process that it ends."""


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
        It crashes, or does not end.
    TmgcError
        There is no such library, too little memory, or no trial can be made.
    KeyboardInterrupt
        The child was interrupted, as this process probably was.
    """
    arguments = [str(candidate.file), candidate.engine or "", str(threads), str(seconds), str(HANG_SECONDS)]
    # -P: no module of the current folder is taken for one of ours, which are found where this process has found them
    command = [sys.executable, "-P", "-m", "edge_runtime.engine_trial", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _harmful(candidate, "does not end") from None
    answer = _answer(done.stdout)
    if "trial" in answer:
        return Trial(**answer["trial"])
    if "refused" in answer:
        raise TmgcError(answer["refused"])
    raise _ended(candidate, done)


def _answer(output: bytes) -> dict[str, Any]:
    """The last line of standard output, to which libraries may write, too."""
    try:
        answer = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _ended(candidate: Candidate, done: subprocess.CompletedProcess[bytes]) -> BaseException:
    """What to raise for a trial that has ended without an answer."""
    said, number = done.stderr.decode("utf-8", "replace"), -done.returncode
    if _TIMEOUT in said:
        return _harmful(candidate, f"gives no answer within {HANG_SECONDS:.0f} s")
    if is_lack_of_memory(RuntimeError(said)) or number == getattr(signal, "SIGKILL", None):
        return TmgcError(memory_line(f"{candidate.name} takes more than there is"))
    last = (said.splitlines() or [""])[-1]
    if last == "KeyboardInterrupt" or number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", None)):
        return KeyboardInterrupt()
    if number < 0 and os.name != "nt":
        reason = f"that of {candidate.name} fails with {shortened(last)}"
        return TmgcError(f"a model is tried in a process of its own first: {reason}")
    names = {each.value: each.name for each in signal.Signals}
    return _harmful(candidate, f"crashes ({names.get(number, f'exit code {done.returncode}')})")


def _harmful(candidate: Candidate, what: str) -> UntrustedModelError:
    return UntrustedModelError(
        f"a model must run without harm: {candidate.file} by {candidate.engine or 'its interpreter'} {what}. It is "
        "damaged, made for another version, or too much for this machine: copy or export it again, update the "
        "interpreter, or take a smaller one"
    )


def main(arguments: list[str]) -> None:
    """Try one, and print what was found as a line of JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own waits for a library to return
    path, engine, threads, seconds, hang_seconds = arguments
    is_limited = _limit(Path(path))
    stderr = os.dup(2)  # which is silenced while a file is loaded

    def beat() -> None:
        faulthandler.dump_traceback_later(float(hang_seconds), exit=True, file=stderr)

    beat()
    try:
        interpreter = open_interpreter(path, threads=int(threads), engine=engine or None)
        require_golden(interpreter, beat)
        answer: dict[str, Any] = {"trial": asdict(_timed(interpreter, float(seconds), beat))}
    except (TmgcError, MemoryError, OSError, ImportError, RuntimeError) as error:
        answer = _refusal(error, is_limited=is_limited)
    sys.stdout.write(f"\n{json.dumps(answer)}\n")
    sys.stdout.flush()
    os._exit(0)  # whatever an interpreter would do at its end


def _refusal(error: Exception, *, is_limited: bool) -> dict[str, Any]:
    """The answer where a model cannot be run; another error is raised.

    Under a limit of memory it says nothing about the file: libraries tell the lack in many ways.
    """
    if is_lack_of_memory(error):
        return {"refused": memory_line(first_line(error))}
    if isinstance(error, UntrustedModelError) and not is_limited:
        return {"trial": asdict(Trial(failure=str(error)))}
    if isinstance(error, TmgcError):
        return {"refused": str(error)}
    raise error


def _limit(path: Path) -> bool:
    """Lower what this process may take, where the system allows that; whether its memory was limited before."""
    with contextlib.suppress(OSError):  # Linux: should memory run out, this process is ended, and no other
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # Windows has none

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

"""The process of a row, seen from the benchmark that started it."""

from __future__ import annotations

import json
import os
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from time import perf_counter
from types import TracebackType
from typing import Any, TextIO

from benchmarks.cases import RowSpec
from benchmarks.inputs import Excerpt
from benchmarks.pipelines import Pipeline, open_pipeline
from benchmarks.scenarios import BATCH, SINGLE_STREAM, Load, timed
from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError


class Worker:
    """A row's pipeline and the commands that it obeys."""

    def __init__(self) -> None:
        self._pipeline: Pipeline
        self._excerpts: list[Excerpt] = []
        self._samples: dict[int, Samples] = {}

    def load(self, row: dict[str, Any], threads: int, excerpts: list[dict[str, Any]]) -> dict[str, Any]:
        """Import what the row needs and load its model."""
        begun = perf_counter()
        self._pipeline = open_pipeline(RowSpec.from_json(row), threads=threads)
        load_ms = (perf_counter() - begun) * 1e3
        self._excerpts = [Excerpt.from_json(excerpt) for excerpt in excerpts]
        return {"load_ms": load_ms, "runtime": self._pipeline.runtime, "memory_mb": resident_mb()}

    def measure(self, source: str, first: int, count: int, load: dict[str, Any]) -> dict[str, Any]:
        """Time ``count`` windows from the excerpt number ``first`` on and round again."""
        numbers = [number % len(self._excerpts) for number in range(first, first + count)]
        take = self._from_file if source == "file" else self._in_memory(numbers).__getitem__
        return {"windows": timed(self._pipeline, take, numbers, Load(**load))}

    def memory(self) -> dict[str, Any]:
        """What the process has taken at most."""
        return {"peak_memory_mb": peak_mb()}

    def _from_file(self, number: int) -> Samples:
        return self._pipeline.read(self._excerpts[number])

    def _in_memory(self, numbers: list[int]) -> dict[int, Samples]:
        """The samples of excerpts, decoded before any time is taken."""
        for number in numbers:
            if number not in self._samples:
                self._samples[number] = self._from_file(number)
        return self._samples


def peak_mb() -> float:
    """Resident memory of this process at most, MB (1e6 bytes).

    Linux' own count of this program is preferred: ``getrusage`` goes on counting from the process that started it.
    """
    return _status_mb("VmHWM") or _rusage_mb()


def resident_mb() -> float:
    """Resident memory of this process now, MB (1e6 bytes); its peak where the system tells no more."""
    return _status_mb("VmRSS") or _rusage_mb()


def _rusage_mb() -> float:
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _status_mb(field: str) -> float | None:
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    for line in status.read_text("utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def serve(commands: TextIO, replies: TextIO) -> None:
    """Obey commands until there are no more."""
    worker = Worker()
    verbs: dict[str, Callable[..., dict[str, Any]]] = {
        "load": worker.load,
        "measure": worker.measure,
        "memory": worker.memory,
    }
    for line in commands:
        command = json.loads(line)
        reply = _obey(verbs[command.pop("do")], command)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _obey(verb: Callable[..., dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    try:
        return verb(**options)
    except TmgcError as error:
        return {"error": str(error)}
    except ModuleNotFoundError as error:
        return {"error": f"this row needs {error.name}, which is not installed: pip install 'tmgc[bench]'"}
    except Exception as error:  # a row may fail in any library, and the other rows must go on
        first_line = (str(error).strip().splitlines() or ["no message"])[0]
        return {"error": f"{type(error).__name__}: {first_line}"}


def _private_stdout() -> TextIO:
    """Standard output for the replies alone; whatever a library prints goes to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


if __name__ == "__main__":
    serve(sys.stdin, _private_stdout())


PATIENCE_SECONDS = 600.0
"""A process that says nothing for so long is ended. Loading a large network on a small board takes minutes."""

_AT_ONCE = 3 * BATCH
"""Windows that are asked for in one command, so that many of them are not taken for a process that hangs."""

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


class RowFailedError(Exception):
    """A row cannot be measured. The message says why, in one line."""


class RowProcess:
    """A row in a process of its own, with the same number of threads as every other, on the same cores.

    Parameters
    ----------
    row : RowSpec
    threads : int > 0

    Attributes
    ----------
    loaded : dict
        What the process told of itself after loading, with ``start_ms`` from its start until then, and ``cores``, the
        numbers of those that it is pinned to (None where the system does not pin).
    """

    def __init__(self, row: RowSpec, *, threads: int) -> None:
        self.row = row
        self.threads = threads
        self.loaded: dict[str, Any] = {}
        self._complaints = tempfile.TemporaryFile("w+b")  # noqa: SIM115  (lives as long as the process)
        self._begun = perf_counter()
        self._process = subprocess.Popen(
            # -P: a folder called benchmarks where the user stands must not be taken for this package.
            [sys.executable, "-P", "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment(threads),
            encoding="utf-8",
        )
        # Before it has a second thread: all that it starts later stays on the same cores.
        self._cores = pin(self._process.pid, threads)

    def __enter__(self) -> RowProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def load(self, excerpts: list[Excerpt]) -> None:
        """Let it import its libraries and load its model."""
        told = [excerpt.to_json() for excerpt in excerpts]
        self.loaded = self.request("load", row=self.row.to_json(), threads=self.threads, excerpts=told)
        self.loaded |= {"start_ms": (perf_counter() - self._begun) * 1e3, "cores": self._cores}

    def measure(self, source: str, *, first: int, count: int, load: Load = SINGLE_STREAM) -> list[dict[str, Any]]:
        """Time ``count`` windows from ``file`` or ``memory``: see :func:`benchmarks.scenarios.timed`."""
        windows: list[dict[str, Any]] = []
        for start in range(0, count, _AT_ONCE):
            some = min(_AT_ONCE, count - start)
            reply = self.request("measure", source=source, first=first + start, count=some, load=load.to_json())
            windows += reply["windows"]
        return windows

    def request(self, verb: str, **options: Any) -> dict[str, Any]:
        """Give a command and wait for its reply.

        Raises
        ------
        RowFailedError
            The command failed, or the process is gone or hangs.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        guard = Timer(PATIENCE_SECONDS, self._process.kill)
        guard.start()
        try:
            self._process.stdin.write(json.dumps({"do": verb, **options}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            guard.cancel()
        if not line:
            raise RowFailedError(self._why_gone())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise RowFailedError(reply["error"])
        return reply

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def _why_gone(self) -> str:
        code = self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        if code == -signal.SIGKILL:
            return f"its process was killed: out of memory, or no answer for {PATIENCE_SECONDS:.0f} s"
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its process ended ({ended}): {lines[-1] if lines else 'it said nothing'}"


def pin(process: int, threads: int) -> list[int] | None:
    """Keep a process to as many cores as it has threads, and always to the same ones.

    Parameters
    ----------
    process : int
        Its number; 0 for this one.
    threads : int > 0

    Returns
    -------
    cores : list of int or None
        None where the system does not pin.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(process, cores)
    return cores


def environment(threads: int) -> dict[str, str]:
    """The environment of every row's process: equal threads, no accelerator, no display, and this very package.

    Parameters
    ----------
    threads : int > 0
    """
    variables = dict(os.environ)
    variables.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    variables.update(
        CUDA_VISIBLE_DEVICES="-1",
        KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="3",
        MPLBACKEND="Agg",
        PYTHONUNBUFFERED="1",
    )
    home = str(Path(__file__).resolve().parent.parent)
    if home not in site.getsitepackages():
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    return variables

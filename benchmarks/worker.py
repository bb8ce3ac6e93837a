"""The process that measures one case, from both sides: what it does, and how the benchmark starts and asks it.

It is started as ``python -m benchmarks.worker`` and answers a JSON object a line on standard output for each on
standard input: ``load``, then ``measure`` as often as wanted, and ``memory``.
"""

from __future__ import annotations

import json
import os
import signal
import site
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from time import perf_counter
from types import TracebackType
from typing import Any, TextIO

from benchmarks.cases import KERAS_COMPILED, KERAS_PREDICT, REFERENCE, Case
from benchmarks.documents import from_document, to_document
from benchmarks.inputs import Excerpt
from benchmarks.pipelines import CompiledPipeline, ExportPipeline, KerasPipeline, Pipeline
from benchmarks.scenarios import BATCH, SINGLE_STREAM, Load, Window, time_windows
from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError, first_line, pip_install_extra
from edge_runtime.model_card import ModelCard
from edge_runtime.system_info import peak_memory_mb

TIMEOUT_SECONDS = 600.0
"""A process that answers nothing for so long is ended. Loading a large network on a small board takes minutes."""

_WINDOWS_PER_REQUEST = 3 * BATCH
"""So that many windows are not taken for a process that hangs."""

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


class Worker:
    """The measuring process: a case's pipeline and the requests that it answers."""

    def __init__(self) -> None:
        self._pipeline: Pipeline
        self._excerpts: list[Excerpt] = []
        self._samples: dict[int, Samples] = {}

    def load(self, case: dict[str, Any], threads: int, excerpts: list[dict[str, Any]]) -> dict[str, Any]:
        """Import what the case needs and load its model."""
        begun = perf_counter()
        self._pipeline = open_pipeline(from_document(Case, case), threads=threads)
        load_ms = (perf_counter() - begun) * 1e3
        self._excerpts = [from_document(Excerpt, excerpt) for excerpt in excerpts]
        return {"load_ms": load_ms, "runtime": self._pipeline.runtime}

    def measure(self, source: str, first: int, count: int, load: dict[str, Any]) -> dict[str, Any]:
        """Time ``count`` windows from the excerpt number ``first`` on, cyclically."""
        numbers = [number % len(self._excerpts) for number in range(first, first + count)]
        read = self._from_file if source == "file" else self._in_memory(numbers).__getitem__
        return {"windows": to_document(time_windows(self._pipeline, read, numbers, from_document(Load, load)))}

    def memory(self) -> dict[str, Any]:
        """The peak of the process's resident memory."""
        return {"peak_memory_mb": peak_memory_mb()}

    def _from_file(self, number: int) -> Samples:
        return self._pipeline.read(self._excerpts[number])

    def _in_memory(self, numbers: list[int]) -> dict[int, Samples]:
        """The samples of excerpts, decoded before any time is taken."""
        for number in numbers:
            if number not in self._samples:
                self._samples[number] = self._from_file(number)
        return self._samples


def open_pipeline(case: Case, *, threads: int) -> Pipeline:
    """Import what a case needs, and load its model.

    Parameters
    ----------
    case : Case
    threads : int > 0
        Threads of the network.
    """
    if case.pipeline == REFERENCE:
        from benchmarks.reference import ReferencePipeline

        return ReferencePipeline(case.model, threads=threads)
    if case.pipeline == KERAS_PREDICT:
        return KerasPipeline(case.model, ModelCard.read(case.card), threads=threads)
    if case.pipeline == KERAS_COMPILED:
        return CompiledPipeline(case.model, ModelCard.read(case.card), threads=threads)
    return ExportPipeline(case.model, threads=threads, engine=case.engine)


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until there are no more."""
    worker = Worker()
    for line in requests:
        request = json.loads(line)
        replies.write(json.dumps(_reply(worker, request.pop("do"), request)) + "\n")
        replies.flush()


def _reply(worker: Worker, verb: str, options: dict[str, Any]) -> dict[str, Any]:
    try:
        reply: dict[str, Any] = getattr(worker, verb)(**options)
        return reply
    except TmgcError as error:
        return {"error": str(error)}
    except ModuleNotFoundError as error:
        return {"error": f"this case needs {error.name}, which is not installed: {pip_install_extra('bench')}"}
    except Exception as error:  # a case may fail in any library, and the other cases must go on
        return {"error": f"{type(error).__name__}: {first_line(error)}"}


class CaseFailedError(Exception):
    """A case cannot be measured. The message says why, in one line."""


class WorkerProcess:
    """A case in a process of its own, with the same number of threads as every other, on the same cores.

    Parameters
    ----------
    case : Case
    threads : int > 0

    Attributes
    ----------
    cores : tuple of int, or None
        The cores that the process is pinned to; None where the system does not pin.
    """

    def __init__(self, case: Case, *, threads: int) -> None:
        self.case = case
        self.threads = threads
        self._stderr = tempfile.TemporaryFile("w+b")  # noqa: SIM115  (lives as long as the process)
        self._begun = perf_counter()
        self._process = subprocess.Popen(
            # -P: a folder called benchmarks in the working directory must not be taken for this package.
            [sys.executable, "-P", "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment(threads),
            encoding="utf-8",
        )
        # Before it has a second thread: all that it starts later stays on the same cores.
        self.cores = pin(self._process.pid, threads)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def load(self, excerpts: list[Excerpt]) -> Loaded:
        """Let it import its libraries and load its model."""
        import psutil

        reply = self.request("load", case=to_document(self.case), threads=self.threads, excerpts=to_document(excerpts))
        start_ms = (perf_counter() - self._begun) * 1e3
        memory_mb = psutil.Process(self._process.pid).memory_info().rss / 1e6
        return Loaded(reply["runtime"], start_ms, reply["load_ms"], memory_mb, self.cores)

    def measure(self, source: str, *, first: int, count: int, load: Load = SINGLE_STREAM) -> list[Window]:
        """Time ``count`` windows from ``file`` or ``memory``: see :func:`benchmarks.scenarios.time_windows`."""
        windows: list[Window] = []
        for start in range(0, count, _WINDOWS_PER_REQUEST):
            some = min(_WINDOWS_PER_REQUEST, count - start)
            reply = self.request("measure", source=source, first=first + start, count=some, load=to_document(load))
            windows += (from_document(Window, window) for window in reply["windows"])
        return windows

    def peak_memory_mb(self) -> float:
        """The peak of its resident memory until now, MB (1e6 bytes)."""
        return float(self.request("memory")["peak_memory_mb"])

    def request(self, verb: str, **options: Any) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises
        ------
        CaseFailedError
            The request failed, or the process is gone or hangs.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        guard = Timer(TIMEOUT_SECONDS, self._process.kill)
        guard.start()
        try:
            self._process.stdin.write(json.dumps({"do": verb, **options}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            guard.cancel()
        if not line.endswith("\n"):  # nothing, or a part of a reply
            raise CaseFailedError(self._why_gone())
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise CaseFailedError(reply["error"])
        return reply

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def _why_gone(self) -> str:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        if code == -signal.SIGKILL:
            return f"its process was killed: out of memory, or no answer for {TIMEOUT_SECONDS:.0f} s"
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its process ended ({ended}): {lines[-1] if lines else 'nothing on standard error'}"


@dataclass(frozen=True)
class Loaded:
    """A case whose model is loaded."""

    runtime: str
    start_ms: float
    """From the start of the process until now."""
    load_ms: float
    """The part of it that imports libraries and loads the model."""
    memory_mb: float
    """Resident."""
    cores: tuple[int, ...] | None


def pin(process: int, threads: int) -> tuple[int, ...] | None:
    """Keep a process on as many cores as it has threads, always the same ones.

    Parameters
    ----------
    process : int
        Its id; 0 for this one.
    threads : int > 0

    Returns
    -------
    cores : tuple of int, or None
        None where the system does not pin.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(process, cores)
    return tuple(cores)


def environment(threads: int) -> dict[str, str]:
    """The environment of every case's process: equal threads, no accelerator, no display, and this very package.

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


def _private_stdout() -> TextIO:
    """Standard output for the replies alone; whatever a library prints goes to standard error."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


if __name__ == "__main__":
    serve(sys.stdin, _private_stdout())

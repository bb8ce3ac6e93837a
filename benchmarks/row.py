"""One row's own process: ``python -m benchmarks.row``, told what to do by JSON lines and answering by JSON lines.

Commands, one a line on standard input: ``{"do": "load", "row": .., "threads": .., "excerpts": [..]}``, then any number
of ``{"do": "measure", "source": "file"|"memory", "first": n, "count": n, "load": {..}}`` and ``{"do": "memory"}``. Each
is answered by one line on standard output, ``{"error": ".."}`` where it failed. The process ends with its standard
input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

from benchmarks.pipelines import Pipeline, open_pipeline
from benchmarks.rows import RowSpec
from benchmarks.scenarios import Load, timed
from benchmarks.sound import Excerpt
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

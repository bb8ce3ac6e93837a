"""Reads mutants in a process of its own, with limits: ``python -m tests.odd_files.fuzz FORMAT FIRST END STEP``.

Each mutant is a line on standard output before it is read, and one after: its number, the outcome, and what it took.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from edge_runtime import AudioFile, TmgcError
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources.stdin import StandardInput
from tests.odd_files.mutants import mutant

LIMIT_SECONDS = 5
"""For a mutant; the process is killed then."""

LIMIT_MEGABYTES = 100
"""Growth of the process."""

_MOST_BYTES = 4 << 30
"""Of address space, so that a fault costs this process and not the machine."""

_RATE = 22_050


def _read_file(path: Path) -> list[str]:
    with AudioFile(path, sample_rate=_RATE) as file:
        for _ in file.blocks():
            pass
        return file.warnings


def _read_standard_input(path: Path) -> list[str]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        source = StandardInput(descriptor, sample_rate=_RATE, stop=Shutdown())
        for _ in source.blocks():
            pass
        return source.warnings
    finally:
        os.close(descriptor)


def outcome_of(read: Callable[[Path], list[str]], path: Path) -> str:
    """``decoded``, ``warned`` or ``refused``; anything else is a fault."""
    try:
        warnings = read(path)
    except TmgcError as error:
        return "refused" if len(str(error).splitlines()) == 1 else f"a refusal of several lines: {error!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "warned" if warnings else "decoded"


def main(form: str, first: int, end: int, step: int) -> None:
    """Read every ``step``-th mutant from ``first`` on."""
    read = _read_standard_input if form == "standard input" else _read_file
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # kills the process, also inside a library
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mutant")
        path.write_bytes(mutant(form, 0))
        outcome_of(read, path)  # what is loaded at the first use is no growth
        for number in range(first, end, step):
            path.write_bytes(mutant(form, number))
            print(json.dumps({"number": number}), flush=True)
            _forget_peak()
            before, begun = _megabytes("VmRSS"), monotonic()
            signal.alarm(LIMIT_SECONDS)
            outcome = outcome_of(read, path)
            signal.alarm(0)
            took = {"seconds": monotonic() - begun, "megabytes": _megabytes("VmHWM") - before}
            print(json.dumps({"number": number, "outcome": outcome, **took}), flush=True)


def _megabytes(field: str) -> float:
    """``VmRSS`` or its peak, ``VmHWM``; what ``getrusage`` calls the peak includes that of the parent process."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def _forget_peak() -> None:
    reset_peak = "5"
    Path("/proc/self/clear_refs").write_text(reset_peak, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

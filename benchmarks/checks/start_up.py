"""From nothing to a prediction: ``tmgc-listen two-seconds.wav`` against the reference, from the start of the process.

Both find their files in the system's cache: a first pair warms it and is not counted. Both have as many threads as
:func:`edge_runtime.interpreters.default_threads` gives ``tmgc-listen``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.cases import Case, find_cases
from benchmarks.inputs import excerpts_of_run
from benchmarks.pipelines import read_window
from benchmarks.statistics import Latency, Ratio
from benchmarks.worker import TIMEOUT_SECONDS, environment
from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import default_threads
from edge_runtime.spectrogram import SpectrogramSettings
from train.run import Run

_LISTEN = "from edge_runtime.cli.listen import main; main()"
_REFERENCE = """
import sys
from benchmarks.reference import predict_file
model, audio, threads = sys.argv[1:]
print(predict_file(model, audio, threads=int(threads)))
"""


@dataclass(frozen=True)
class StartUp:
    """The time of each process, from its start to its end."""

    case: str
    reference: Latency
    listen: Latency
    ratio: Ratio

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures for people."""
        return (
            _line("reference", self.reference),
            _line(f"tmgc-listen ({self.case})", self.listen),
            f"ratio: {self.ratio.median:.1f} ({self.ratio.low:.1f}-{self.ratio.high:.1f})",
        )


def time_start_up(run: Run, name: str, *, pairs: int, progress: Callable[[int], None]) -> StartUp:
    """Start both in turn, several times.

    Parameters
    ----------
    run : Run
    name : str
        Of the case.
    pairs : int > 0
    progress : callable
        Called with the number of each pair that begins; 0 for the one that is not counted.

    Raises
    ------
    TmgcError
        The run has no such export or no clips, another command is at work in it, or a process fails.
    """
    case = _export(run, name)
    threads = default_threads()
    reference_ms: list[float] = []
    listen_ms: list[float] = []
    with run.lock(), run.work_folder() as folder:
        audio = write_window(run, folder / "two-seconds.wav")
        for pair in range(pairs + 1):
            progress(pair)
            for arguments, times_ms in (
                ((_REFERENCE, str(run.model), str(audio), str(threads)), reference_ms),
                ((_LISTEN, str(audio), "--model", str(case.model), "--threads", str(threads)), listen_ms),
            ):
                times_ms.append(time_process(arguments, threads=threads))
    reference, listen = Latency.of(reference_ms[1:]), Latency.of(listen_ms[1:])
    return StartUp(case.name, reference, listen, Ratio.of(reference.samples_ms, listen.samples_ms, rounds=pairs))


def write_window(run: Run, path: Path) -> Path:
    """Write two seconds of a test clip as a file."""
    import soundfile

    settings = SpectrogramSettings()
    soundfile.write(path, read_window(excerpts_of_run(run)[0], settings), settings.sample_rate)
    return path


def time_process(arguments: Sequence[str], *, threads: int) -> float:
    """Milliseconds of a Python process from its start to its end.

    Parameters
    ----------
    arguments : sequence of str
        Code, and its arguments.
    threads : int > 0
        Of every library: see :func:`benchmarks.worker.environment`.

    Raises
    ------
    TmgcError
        It fails, or takes longer than :data:`benchmarks.worker.TIMEOUT_SECONDS`.
    """
    code = "; ".join(arguments[0].strip().splitlines())
    begun = perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", *arguments],
            env=environment(threads),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise TmgcError(f"a process that is timed must end within {TIMEOUT_SECONDS:g} s: {code}") from None
    spent_ms = (perf_counter() - begun) * 1e3
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing on standard error"])[-1]
        raise TmgcError(f"a process that is timed must succeed: {code} ended with {done.returncode} ({last})")
    return spent_ms


def _line(name: str, latency: Latency) -> str:
    p50, low, high = (value / 1e3 for value in (latency.p50_ms, latency.min_ms, latency.max_ms))
    return f"{name}: {p50:.2f} s (median of {len(latency.samples_ms)}, {low:.2f}-{high:.2f})"


def _export(run: Run, name: str) -> Case:
    cases = [case for case in find_cases(run)[0] if case.is_export]
    for case in cases:
        if case.name == name:
            return case
    known = ", ".join(case.name for case in cases) or f"none: run tmgc-export {run.folder}"
    raise TmgcError(f"an export of the run must be named: got {name!r}, there are {known}")

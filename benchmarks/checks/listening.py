"""What listening adds to the bare inference of a model: time from a window's last sample on, and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.statistics import Latency
from benchmarks.worker import environment
from edge_runtime.audio import Samples
from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import Interpreter, ModelInput, open_interpreter
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.windowing import hop_samples

BLOCK_SECONDS = 0.02
"""About what a sound card delivers at a time."""

WARM_UP = 3
"""First windows that do not count."""


_LISTEN = "from edge_runtime.cli.listen import main; main()"
_LISTENED_SECONDS = 30


@dataclass(frozen=True)
class ListeningMemory:
    """Resident memory of a ``tmgc-listen`` process, MB (1e6 bytes)."""

    resident_mb: float
    files_mb: float
    """The part of it that is mapped from files, code of libraries above all; processes share it."""


@dataclass(frozen=True)
class Overhead:
    """The time of each window: in the interpreter, and beside it."""

    invoke: Latency
    """The interpreter alone."""
    overhead: Latency
    """From the last sample to the prediction, less ``invoke``."""
    memory: ListeningMemory

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures for people."""
        overhead, invoke, memory = self.overhead, self.invoke, self.memory
        return (
            f"invoke: {invoke.p50_ms:.2f} ms (median of {len(invoke.samples_ms)} windows)",
            f"memory of tmgc-listen: {memory.resident_mb:.1f} MB, {memory.files_mb:.1f} MB of it mapped from files",
            f"last sample to prediction, less invoke: {overhead.p50_ms:.2f} ms ({overhead.p90_ms:.2f} ms p90)",
            f"ratio: {overhead.p50_ms / invoke.p50_ms:.1%}",
        )


def measure_overhead(model: Path, *, threads: int, windows: int, hop_seconds: float) -> Overhead:
    """Listen to noise in real time, and measure the memory of a process that listens.

    Parameters
    ----------
    model : Path
    threads : int > 0
    windows : int > 0
    hop_seconds : float > 0

    Raises
    ------
    TmgcError
        The model cannot be run, or the hop is shorter than a frame.
    """
    timed = _TimedInterpreter(open_interpreter(model, threads=threads))
    settings = timed.card.spectrogram
    hop_samples(settings, hop_seconds)
    seconds = settings.window_seconds + (windows + WARM_UP) * hop_seconds
    noise = PacedNoise(settings.sample_rate, seconds)
    # Each prediction is yielded before the next block and the next invoke, so the last times are its own.
    overheads_ms = [
        (perf_counter() - noise.delivered_at) * 1e3 - timed.invokes_ms[-1]
        for _ in listen(noise, GenreClassifier(timed), ListenSettings(hop_seconds))
    ]
    invoke, overhead = (Latency.of(each[WARM_UP:][:windows]) for each in (timed.invokes_ms, overheads_ms))
    return Overhead(invoke, overhead, listening_memory(model, threads=threads))


def listening_memory(model: Path, *, threads: int, use: Callable[[str], None] | None = None) -> ListeningMemory:
    """Memory of ``tmgc-listen`` after half a minute of noise from a pipe, while it waits for more.

    Parameters
    ----------
    model : Path
    threads : int > 0
    use : callable, optional
        Uses the page of ``--serve``, whose address it gets, before memory is measured.

    Raises
    ------
    TmgcError
        It ends before its time.
    """
    import psutil

    arguments = ("-", "--raw", "44100,1,s16", "--json", "--model", str(model), "--threads", str(threads))
    serve = () if use is None else ("--serve", "0")
    noise = np.random.default_rng(0).integers(-8000, 8000, 44_100 * _LISTENED_SECONDS, np.int16).tobytes()
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _LISTEN, *arguments, *serve],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if use else subprocess.DEVNULL,
        env=environment(threads),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(noise)
            process.stdin.flush()
            windows = [process.stdout.readline() for _ in range(_LISTENED_SECONDS - 2)]
            if not all(windows):
                raise BrokenPipeError
            if use:
                use(_address(process))
            memory = psutil.Process(process.pid).memory_info()
        except BrokenPipeError:
            raise TmgcError(
                f"tmgc-listen must go on while its memory is measured: with {model} it ended. Try it by itself"
            ) from None
        finally:
            process.kill()
    return ListeningMemory(memory.rss / 1e6, getattr(memory, "shared", 0) / 1e6)


def _address(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    return next(line.split()[-1].decode() for line in process.stderr if line.startswith(b"serving"))


class PacedNoise:
    """A source of noise in real time.

    Attributes
    ----------
    delivered_at : float
        When the last block was delivered, by ``perf_counter``.
    """

    name = "noise"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, sample_rate: int, seconds: float) -> None:
        self._rate = sample_rate
        self.delivered_at = 0.0
        generator = np.random.default_rng(0)
        self._samples = generator.uniform(-0.5, 0.5, round(seconds * sample_rate)).astype(np.float32)

    def blocks(self) -> Iterator[Samples]:
        """Blocks of :data:`BLOCK_SECONDS`, none before its time."""
        length, begun = round(BLOCK_SECONDS * self._rate), perf_counter()
        for start in range(0, len(self._samples), length):
            block = self._samples[start : start + length]
            time.sleep(max(0.0, begun + (start + len(block)) / self._rate - perf_counter()))
            self.delivered_at = perf_counter()
            yield block


class _TimedInterpreter:
    """An interpreter whose ``invoke`` is timed."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self.path, self.card = interpreter.path, interpreter.card
        self.runtime, self.threads = interpreter.runtime, interpreter.threads
        self.input, self.output = interpreter.input, interpreter.output
        self.invokes_ms: list[float] = []

    def invoke(self, model_input: ModelInput) -> NDArray[np.float32]:
        begun = perf_counter()
        probabilities = self._interpreter.invoke(model_input)
        self.invokes_ms.append((perf_counter() - begun) * 1e3)
        return probabilities

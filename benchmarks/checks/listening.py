"""What streaming saves: the picture of a window whose frames were computed as they came, against all computed anew.

``tmgc-bench check listening`` prints the medians of both after a window's last sample, of both in all,
their ratios and the machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.system_info import describe_machine, one_line
from edge_runtime.audio import Samples
from edge_runtime.classifier import GenreClassifier
from edge_runtime.cli.base import OneLineCommand, one_line_errors
from edge_runtime.interpreters import Interpreter, ModelInput, open_interpreter
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.models import default_model
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from edge_runtime.windowing import stream_windows

BLOCK_SECONDS = 0.02
"""About what a sound card gives at a time."""

WARM_UP = 3
"""First windows that do not count."""


@click.command("listening", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--windows", default=40, show_default=True, type=click.IntRange(min=1), help="Windows to time.")
@click.option("--hop", default=1.0, show_default=True, help="Seconds between them.")
@click.option("--threads", default=1, show_default=True, help="Threads of the interpreter.")
@one_line_errors
def overhead(model: Path | None, windows: int, hop: float, threads: int) -> None:
    """Time what listening adds to MODEL (default: that of tmgc-listen), live."""
    model = model or default_model()
    overheads_ms, invokes_ms = measure_overhead(
        open_interpreter(model, threads=threads), windows=windows, hop_seconds=hop
    )
    overhead, invoke = np.median(overheads_ms), np.median(invokes_ms)
    click.echo(f"{model}: {windows} windows, one every {hop:g} s, {threads} thread(s); medians")
    click.echo(f"bare invoke: {invoke:.2f} ms")
    p90 = np.percentile(overheads_ms, 90)
    click.echo(f"from the last sample to the answer, less invoke: {overhead:.2f} ms (p90 {p90:.2f} ms)")
    click.echo(f"ratio: {overhead / invoke:.1%}")
    click.echo(one_line(describe_machine()))


def measure_overhead(interpreter: Interpreter, *, windows: int, hop_seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds of each window beside its ``invoke``, and of its ``invoke``."""
    timed = _Timed(interpreter)
    settings = timed.card.spectrogram
    seconds = settings.window_seconds + (windows + WARM_UP) * hop_seconds
    noise = PacedNoise(settings.sample_rate, seconds)
    # Each answer is given before the next block and the next invoke, so the last times are its own.
    overheads_ms = [
        (perf_counter() - noise.given_at) * 1e3 - timed.invokes_ms[-1]
        for _ in listen(noise, GenreClassifier(timed), ListenSettings(hop_seconds))
    ]
    return overheads_ms[WARM_UP:][:windows], timed.invokes_ms[WARM_UP:][:windows]


class PacedNoise:
    """A source of noise that comes as fast as time goes by.

    Attributes
    ----------
    given_at : float
        When the last block was given, by ``perf_counter``.
    """

    name = "noise"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, sample_rate: int, seconds: float) -> None:
        self._rate = sample_rate
        self.given_at = 0.0
        self._sound = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * sample_rate)).astype(np.float32)

    def blocks(self) -> Iterator[Samples]:
        """Blocks of :data:`BLOCK_SECONDS`, none before its time."""
        length, begun = round(BLOCK_SECONDS * self._rate), perf_counter()
        for start in range(0, len(self._sound), length):
            block = self._sound[start : start + length]
            time.sleep(max(0.0, begun + (start + len(block)) / self._rate - perf_counter()))
            self.given_at = perf_counter()
            yield block


class _Timed:
    """An interpreter whose bare ``invoke`` is timed."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self.card, self.runtime, self.threads = interpreter.card, interpreter.runtime, interpreter.threads
        self.input, self.output = interpreter.input, interpreter.output
        self.invokes_ms: list[float] = []

    def invoke(self, taken: ModelInput) -> NDArray[np.float32]:
        begun = perf_counter()
        probabilities = self._interpreter.invoke(taken)
        self.invokes_ms.append((perf_counter() - begun) * 1e3)
        return probabilities


@dataclass(frozen=True)
class Times:
    """Median milliseconds a window."""

    recomputed_ms: float
    streamed_ms: float
    """After the window's last sample has come."""
    streamed_in_all_ms: float
    """With the frames that were computed before it came, and with cutting the stream into windows."""


@click.command("streamed-spectrogram", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--windows", default=100, show_default=True, type=click.IntRange(min=2), help="Windows to time.")
@click.option("--hop", default=1.0, show_default=True, help="Seconds between them.")
@click.option("--sample-rate", default=44_100, show_default=True, help="Hz.")
@one_line_errors
def streamed(windows: int, hop: float, sample_rate: int) -> None:
    """Time a stream's pictures against the same computed at once."""
    times = measure_streamed(SpectrogramSettings(sample_rate=sample_rate), windows=windows, hop_seconds=hop)
    click.echo(f"{windows} windows, one every {hop:g} s, at {sample_rate} Hz; medians")
    click.echo(f"recomputed: {times.recomputed_ms:.2f} ms")
    click.echo(f"streamed, after the last sample: {times.streamed_ms:.2f} ms")
    click.echo(f"streamed, in all: {times.streamed_in_all_ms:.2f} ms")
    click.echo(f"ratio after the last sample: {times.streamed_ms / times.recomputed_ms:.1%}")
    click.echo(f"ratio in all: {times.streamed_in_all_ms / times.recomputed_ms:.1%}")
    click.echo(one_line(describe_machine()))


def measure_streamed(settings: SpectrogramSettings, *, windows: int, hop_seconds: float) -> Times:
    """Time so many windows of noise both ways, in turn."""
    length = round((settings.window_seconds + windows * hop_seconds) * settings.sample_rate)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, length).astype(np.float32)
    block = round(BLOCK_SECONDS * settings.sample_rate)
    spectrogram = Spectrogram(settings, np.zeros((256, 3), np.uint8))
    recomputed, streamed, in_all = [], [], []
    begun = perf_counter()
    for window in stream_windows(
        (sound[start : start + block] for start in range(0, length, block)), spectrogram, hop_seconds=hop_seconds
    ):
        cut = perf_counter()
        spectrogram.image(window.samples, window.inner_power)
        pictured = perf_counter()
        spectrogram.image(window.samples)
        recomputed.append(perf_counter() - pictured)
        streamed.append(pictured - cut + window.framing_ms / 1e3)
        in_all.append(pictured - begun)
        begun = perf_counter()
    # The first window pays for tables, and for two seconds of frames where the others pay for a hop of them.
    return Times(*(1e3 * float(np.median(seconds[1:])) for seconds in (recomputed, streamed, in_all)))

"""What streaming saves: the picture of a window whose frames were computed as they came, against all computed anew.

``python -m benchmarks.streamed_spectrogram`` prints the medians of both after a window's last sample, of both in all,
their ratios and the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import click
import numpy as np

from benchmarks.listening_overhead import BLOCK_SECONDS
from benchmarks.machine import describe_machine, one_line
from edge_runtime.commands import OneLineCommand, one_line_errors
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from edge_runtime.streaming import stream_windows


@dataclass(frozen=True)
class Times:
    """Median milliseconds a window."""

    recomputed_ms: float
    streamed_ms: float
    """After the window's last sample has come."""
    streamed_in_all_ms: float
    """With the frames that were computed before it came, and with cutting the stream into windows."""


@click.command(cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--windows", default=100, show_default=True, type=click.IntRange(min=2), help="Windows to time.")
@click.option("--hop", default=1.0, show_default=True, help="Seconds between them.")
@click.option("--sample-rate", default=44_100, show_default=True, help="Hz.")
@one_line_errors
def main(windows: int, hop: float, sample_rate: int) -> None:
    """Time a stream's pictures against the same computed at once."""
    times = measure(SpectrogramSettings(sample_rate=sample_rate), windows=windows, hop_seconds=hop)
    click.echo(f"{windows} windows, one every {hop:g} s, at {sample_rate} Hz; medians")
    click.echo(f"recomputed: {times.recomputed_ms:.2f} ms")
    click.echo(f"streamed, after the last sample: {times.streamed_ms:.2f} ms")
    click.echo(f"streamed, in all: {times.streamed_in_all_ms:.2f} ms")
    click.echo(f"ratio after the last sample: {times.streamed_ms / times.recomputed_ms:.1%}")
    click.echo(f"ratio in all: {times.streamed_in_all_ms / times.recomputed_ms:.1%}")
    click.echo(one_line(describe_machine()))


def measure(settings: SpectrogramSettings, *, windows: int, hop_seconds: float) -> Times:
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


if __name__ == "__main__":
    main()

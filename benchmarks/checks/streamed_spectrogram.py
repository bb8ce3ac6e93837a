"""What streaming saves: a window whose frames were computed as they came, against one that is computed at once."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from benchmarks.statistics import Latency
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from edge_runtime.windowing import hop_samples, stream_windows

BLOCK_SECONDS = 0.02
"""About what a sound card delivers at a time."""


@dataclass(frozen=True)
class Streaming:
    """The time of each window's image."""

    recomputed: Latency
    """From all samples of the window."""
    streamed: Latency
    """After the window's last sample has come."""
    streamed_total: Latency
    """With the frames that were computed before, and with cutting the stream into windows."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures for people."""
        recomputed, streamed, total = (each.p50_ms for each in (self.recomputed, self.streamed, self.streamed_total))
        return (
            f"recomputed: {recomputed:.2f} ms (median of {len(self.recomputed.samples_ms)} windows)",
            f"streamed, after the last sample: {streamed:.2f} ms",
            f"streamed, total: {total:.2f} ms",
            f"ratio after the last sample: {streamed / recomputed:.1%}",
            f"ratio of the total: {total / recomputed:.1%}",
        )


def time_streaming(settings: SpectrogramSettings, *, windows: int, hop_seconds: float) -> Streaming:
    """Compute windows of noise both ways, in turn.

    Parameters
    ----------
    settings : SpectrogramSettings
    windows : int > 1
    hop_seconds : float > 0

    Raises
    ------
    TmgcError
        The hop is shorter than a frame.
    """
    hop_samples(settings, hop_seconds)
    length = round((settings.window_seconds + windows * hop_seconds) * settings.sample_rate)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, length).astype(np.float32)
    block = round(BLOCK_SECONDS * settings.sample_rate)
    blocks = (noise[start : start + block] for start in range(0, length, block))
    spectrogram = Spectrogram(settings, np.zeros((256, 3), np.uint8))
    recomputed_ms, streamed_ms, total_ms = [], [], []
    begun = perf_counter()
    for window in stream_windows(blocks, spectrogram, hop_seconds=hop_seconds):
        cut = perf_counter()
        spectrogram.image(window.samples, window.inner_power)
        done = perf_counter()
        spectrogram.image(window.samples)
        recomputed_ms.append((perf_counter() - done) * 1e3)
        streamed_ms.append((done - cut) * 1e3 + window.framing_ms)
        total_ms.append((done - begun) * 1e3)
        begun = perf_counter()
    # The first window pays for tables, and for two seconds of frames where the others pay for a hop of them.
    return Streaming(*(Latency.of(each[1:]) for each in (recomputed_ms, streamed_ms, total_ms)))

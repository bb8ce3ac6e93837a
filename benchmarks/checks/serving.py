"""What serving a page and an API costs a listener, and how they hold up under load."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.checks.listening import listening_memory
from benchmarks.statistics import Latency
from edge_runtime.audio import Samples
from edge_runtime.classifier import GenreClassifier
from edge_runtime.listener import ListenSettings, listen
from edge_runtime.server.running import serve_listener, serve_models
from edge_runtime.server.settings import ServerSettings

STREAMS = 8
CLIENTS = 50

MAX_ADDED_MB = 40.0
MAX_AGE_MS = 100.0
MAX_STRIP_KBIT_S = 30.0
MAX_ADDED_MS = 3.0
MAX_GROWTH_MB = 5.0
"""The costs that a Raspberry Pi and a phone on a café's Wi-Fi do not notice. Memory is flat where it grows by less than
the last; an allocator keeps some."""

_BLOCK_SECONDS = 0.02
_START_SECONDS = 60.0
"""How long clients may take to connect."""
_POSTS = 100
_WARM_UP = 5


@dataclass(frozen=True)
class Serving:
    """Figures of a server beside those of the same listener without one."""

    memory_mb: float
    """Resident memory of ``tmgc-listen``, MB (1e6 bytes)."""
    served_memory_mb: float
    """With ``--serve``, eight streams and after ten posts."""
    windows: int
    dropped: int
    """Windows of a listener that nobody asks."""
    served_dropped: int
    """Windows of one with eight streams."""
    age: Latency
    """From a prediction to its arrival at a client, ms."""
    strip_kbit_s: float
    """The strip of one client."""
    classify: Latency
    """The classifier alone."""
    post: Latency
    """A post of the same window."""
    load_seconds: float
    answers: dict[str, int]
    """Of fifty clients at once, by status or error."""
    growth_mb: float
    """Of resident memory, from a sixth of the load to its end."""

    @property
    def added_mb(self) -> float:
        """What serving takes."""
        return self.served_memory_mb - self.memory_mb

    @property
    def added_ms(self) -> float:
        """What a post takes beside the classifier, median."""
        return self.post.p50_ms - self.classify.p50_ms

    @property
    def errors(self) -> int:
        """Answers that are neither one nor a 429."""
        return sum(count for answer, count in self.answers.items() if answer not in ("200", "429"))

    @property
    def passed(self) -> bool:
        """Whether every figure is within its limit."""
        return (
            self.added_mb <= MAX_ADDED_MB
            and self.served_dropped <= self.dropped
            and self.age.p99_ms <= MAX_AGE_MS
            and self.strip_kbit_s <= MAX_STRIP_KBIT_S
            and self.added_ms <= MAX_ADDED_MS
            and self.errors == 0
            and self.growth_mb <= MAX_GROWTH_MB
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures for people."""
        answers = ", ".join(f"{count} of {answer}" for answer, count in sorted(self.answers.items()))
        return (
            f"memory: {self.memory_mb:.1f} MB without, {self.served_memory_mb:.1f} MB with --serve, {STREAMS} streams "
            f"and posts: {self.added_mb:.1f} MB more (at most {MAX_ADDED_MB:g})",
            f"dropped of {self.windows} windows: {self.dropped} without, {self.served_dropped} with {STREAMS} streams",
            f"prediction to client: {self.age.p50_ms:.1f} ms p50, {self.age.p99_ms:.1f} ms p99 "
            f"(at most {MAX_AGE_MS:g})",
            f"strip: {self.strip_kbit_s:.1f} kbit/s (at most {MAX_STRIP_KBIT_S:g})",
            f"post of a window: {self.post.p50_ms:.2f} ms p50, classifier alone {self.classify.p50_ms:.2f} ms: "
            f"{self.added_ms:.2f} ms more (at most {MAX_ADDED_MS:g})",
            f"load of {CLIENTS} clients for {self.load_seconds:g} s: {answers}; memory grew by {self.growth_mb:.1f} MB "
            f"(at most {MAX_GROWTH_MB:g})",
        )


def measure_serving(model: Path, *, threads: int, seconds: float) -> Serving:
    """Measure a listener with and without a server, and a server under load.

    Parameters
    ----------
    model : Path
    threads : int > 0
        Of the interpreter.
    seconds : float > 0
        Of listening, each time, and of the load.

    Raises
    ------
    TmgcError
        The model cannot be run.
    """
    memory = listening_memory(model, threads=threads)
    served_memory = listening_memory(model, threads=threads, use=_use)
    windows, dropped, _ = _listen(model, threads, seconds, streams=0)
    _, served_dropped, seen = _listen(model, threads, seconds, streams=STREAMS)
    classify, post = _time_posts(model, threads)
    answers, growth_mb = _load(model, threads, seconds)
    return Serving(
        memory.resident_mb,
        served_memory.resident_mb,
        windows,
        dropped,
        served_dropped,
        Latency.of(age for client in seen["clients"] for age in client["ages_ms"]),
        max(client["strip_bytes_per_s"] for client in seen["clients"]) * 8 / 1e3,
        Latency.of(classify),
        Latency.of(post),
        seconds,
        answers,
        growth_mb,
    )


class LiveNoise:
    """Noise that arrives in real time, whether it is read or not, as from a microphone."""

    name = "noise"
    overflows = 0

    def __init__(self, sample_rate: int, seconds: float) -> None:
        self._rate, self._seconds = sample_rate, seconds
        self._noise = np.random.default_rng(0).uniform(-0.5, 0.5, sample_rate).astype(np.float32)
        self._begun = perf_counter()
        self._read_seconds = 0.0

    @property
    def waiting_seconds(self) -> float:
        """What has arrived and was not read."""
        return max(0.0, min(self._seconds, perf_counter() - self._begun) - self._read_seconds)

    def blocks(self) -> Iterator[Samples]:
        """Blocks of 20 ms, none before its time."""
        length = round(_BLOCK_SECONDS * self._rate)
        self._begun, self._read_seconds = perf_counter(), 0.0
        while self._read_seconds < self._seconds:
            self._read_seconds += length / self._rate
            time.sleep(max(0.0, self._begun + self._read_seconds - perf_counter()))
            yield self._noise[:length]


def _listen(model: Path, threads: int, seconds: float, *, streams: int) -> tuple[int, int, dict[str, Any]]:
    """Windows, dropped windows, and what clients have seen."""
    classifier = GenreClassifier.open(model, threads=threads)
    with serve_listener(model, classifier, ServerSettings(port=0), history=None) as served:
        source = LiveNoise(classifier.card.spectrogram.sample_rate, seconds)
        windows = dropped = 0
        with _clients("streams" if streams else None, served.address, seconds, streams) as clients:
            patience = perf_counter() + _START_SECONDS
            while served.hub.streams < streams and perf_counter() < patience:
                time.sleep(0.05)  # what is heard before they listen they would not see
            for prediction in listen(source, served.classifier, ListenSettings(1.0), on_frames=served.hub.frames):
                served.hub.window(prediction)
                windows, dropped = windows + 1, prediction.dropped_windows
            seen = clients()
    return windows + dropped, dropped, seen


def _time_posts(model: Path, threads: int) -> tuple[list[float], list[float]]:
    """Times of the classifier and of posts, taken in turns, so that both find the machine and its caches alike."""
    alone, posted = [], []
    classifier = GenreClassifier.open(model, threads=threads)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, classifier.card.spectrogram.window_samples).astype(np.float32)
    served = GenreClassifier.open(model, threads=threads)
    with serve_models([(model, served)], ServerSettings(port=0)) as server, _poster(server.address) as post:
        for _ in range(_POSTS):
            begun = perf_counter()
            classifier.classify(noise)
            alone.append((perf_counter() - begun) * 1e3)
            posted.append(post())
    return alone[_WARM_UP:], posted[_WARM_UP:]


def _load(model: Path, threads: int, seconds: float) -> tuple[dict[str, int], float]:
    """Answers, and what memory grew by."""
    import psutil

    process = psutil.Process()
    with (
        serve_models([(model, GenreClassifier.open(model, threads=threads))], ServerSettings(port=0)) as server,
        _clients("load", server.address, seconds, CLIENTS) as clients,
    ):
        time.sleep(seconds / 6)
        settled = process.memory_info().rss
        answers = clients()["answers"]
    return answers, (process.memory_info().rss - settled) / 1e6


def _use(address: str) -> None:
    """What a café does: eight phones with the page, and ten songs."""
    with _clients("streams", address, 3, STREAMS) as streams, _poster(address) as post:
        for _ in range(10):
            post()
        streams()


@contextmanager
def _poster(address: str) -> Iterator[Callable[[], float]]:
    """Run a client meanwhile; yields a function that has it post once, and returns the time that it took, ms."""
    command = [sys.executable, "-m", "benchmarks.checks.serving_clients", "posts", address, "0", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def post() -> float:
            stdin.write("\n")
            return float(stdout.readline())

        try:
            yield post
        finally:
            process.kill()


@contextmanager
def _clients(kind: str | None, address: str, seconds: float, count: int) -> Iterator[Any]:
    """Run clients meanwhile; yields a function that waits for what they have seen."""
    if kind is None:
        yield dict
        return
    command = [sys.executable, "-m", "benchmarks.checks.serving_clients", kind, address, f"{seconds}", f"{count}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield lambda: json.loads(process.communicate(timeout=seconds + 120)[0])
        finally:
            process.kill()

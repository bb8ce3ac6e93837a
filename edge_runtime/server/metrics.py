"""Figures for Prometheus: windows by genre, latency, delay, level, the source and its clients."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from edge_runtime.predictions import Event, Prediction
from edge_runtime.server.models import ServedModel

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds: from the smallest model on a computer to a window that is dropped at a hop of 2 s."""


class Metrics:
    """The figures of one server. Every method is called in its event loop.

    Parameters
    ----------
    model : ServedModel
        The model that listens, or the default one.
    """

    def __init__(self, model: ServedModel) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("tmgc_build", "Version of tmgc, its model and the interpreter", registry=registry).info(
            {"version": _version(), "model": model.file, "runtime": model.classifier.runtime}
        )
        self._windows = Counter("tmgc_windows", "Windows by genre", ["genre"], registry=registry)
        for genre in (*model.classifier.card.genres, "unknown", "silence"):
            self._windows.labels(genre)
        self.dropped = Counter("tmgc_dropped_windows", "Windows that were dropped", registry=registry)
        self._events = Counter("tmgc_events", "Disturbances by kind", ["event"], registry=registry)
        self._latency = Histogram(
            "tmgc_latency_seconds", "Spectrogram and model of a window", buckets=_BUCKETS, registry=registry
        )
        self._delay = Histogram(
            "tmgc_delay_seconds",
            "From a window's last sample to its prediction",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._level = Gauge("tmgc_level_dbfs", "Level of the last window", registry=registry)
        self._uploads = Counter("tmgc_uploads", "Uploads by HTTP status", ["status"], registry=registry)
        self.source_up = Gauge("tmgc_source_up", "1 while sound arrives", registry=registry)
        self.clients = Gauge("tmgc_stream_clients", "Open streams", registry=registry)
        self.cut_clients = Counter("tmgc_cut_clients", "Streams that were cut, being too slow", registry=registry)

    def window(self, prediction: Prediction) -> None:
        """Count a window."""
        self._windows.labels(prediction.genre).inc()
        self._delay.observe(prediction.delay_ms / 1e3)
        self._level.set(prediction.level_dbfs)
        if prediction.probabilities:
            self._latency.observe(prediction.latency_ms / 1e3)

    def event(self, event: Event) -> None:
        """Count a disturbance."""
        self._events.labels(event.event).inc()

    def upload(self, status: int) -> None:
        """Count an upload."""
        self._uploads.labels(str(status)).inc()

    def text(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return generate_latest(self._registry)


def _version() -> str:
    try:
        return version("tmgc")
    except PackageNotFoundError:
        return "unknown"

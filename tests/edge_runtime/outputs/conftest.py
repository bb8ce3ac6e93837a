"""What the tests of the outputs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import GenreClassifier
from edge_runtime.outputs import sqlite
from tests.edge_runtime.outputs.mosquitto import Mosquitto, Subscribe, Subscriber


@pytest.fixture(scope="session")
def classifier(models: dict[str, Path]) -> GenreClassifier:
    """A real classifier of three genres."""
    return GenreClassifier.open(models["tflite"], threads=1)


def write_noise(path: Path, *, seconds: float) -> Path:
    """Write white noise as a WAV file; returns its path."""
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 22_050)), 22_050)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a history, not there yet."""
    return tmp_path / "a history?.sqlite"


@pytest.fixture
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the history are written soon after they arrive."""
    monkeypatch.setattr(sqlite, "BATCH_SECONDS", 0.05)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that is not started."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def running(broker: Mosquitto) -> Mosquitto:
    """The same, started."""
    broker.start()
    return broker


@pytest.fixture
def subscribe(broker: Mosquitto) -> Iterator[Subscribe]:
    """Makes subscribers of the broker on a port."""
    subscribers: list[Subscriber] = []

    def new(port: int) -> Subscriber:
        subscribers.append(Subscriber(port))
        return subscribers[-1]

    yield new
    for subscriber in subscribers:  # before the broker goes
        subscriber.close()

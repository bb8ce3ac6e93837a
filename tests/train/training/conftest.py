"""Songs that are written once, a dataset of them for each test, and what trainings of it need."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import pytest

from tests import factories
from tests.factories import TINY_TRAINING, tiny_dataset, write_songs
from train.dataset.dataset import Dataset
from train.run import Run

QUICK = replace(TINY_TRAINING, head_epochs=0)


@pytest.fixture(scope="session")
def small_songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three genres of eight songs."""
    return write_songs(tmp_path_factory.mktemp("small") / "songs", songs=8)


@pytest.fixture
def small_dataset(small_songs: Path, tmp_path: Path) -> Dataset:
    """Prepared anew for each test: 48 clips, 36 of them to train on, 6 for validation and 6 for the test split."""
    return tiny_dataset(small_songs, tmp_path / "run")


@pytest.fixture(scope="session")
def tiny_trained_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network of two convolutions that has learned its songs within seconds. Do not write into it."""
    return factories.tiny_trained_run(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def without_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only dropout differs between a resumed training and one that was not interrupted."""
    monkeypatch.setattr(keras.layers.Dropout, "call", lambda self, inputs, training=False: inputs)


def history(run: Run, phase: str) -> list[dict[str, Any]]:
    with run.history_csv.open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["phase"] == phase]

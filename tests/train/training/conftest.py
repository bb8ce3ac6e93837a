"""Songs that are written once, and a dataset of them for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import factories
from tests.factories import tiny_dataset, write_songs
from train.dataset.dataset import Dataset
from train.run import Run


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

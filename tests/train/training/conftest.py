"""A dataset that is small enough to train on in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import SpectrogramSettings
from tests.conftest import tone
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import Dataset
from train.run import Run

RATE = 11_025


def write_songs(folder: Path, *, songs: int, genres: tuple[str, ...] = ("Caz", "Halk", "Rock")) -> Path:
    """Songs of 5 s that differ by genre in their pitch, and from song to song in their noise."""
    random = np.random.default_rng(0)
    for number, genre in enumerate(genres):
        (folder / genre).mkdir(parents=True)
        for song in range(songs):
            sound = tone(5, sample_rate=RATE, hz=300.0 * 2**number + 7 * song, level=0.3)
            sound += 0.02 * random.standard_normal(len(sound), dtype=np.float32)
            soundfile.write(folder / genre / f"song {song}.flac", sound, RATE)
    return folder


@pytest.fixture(scope="session")
def small_songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three genres of eight songs."""
    return write_songs(tmp_path_factory.mktemp("small") / "songs", songs=8)


@pytest.fixture
def small_dataset(small_songs: Path, tmp_path: Path) -> Dataset:
    """Prepared anew for each test, with pictures of 32 x 32 pixels: 48 clips, 36 of them to train on."""
    settings = DatasetConfig(
        offsets_seconds=(0.5, 2.5),
        spectrogram=SpectrogramSettings(sample_rate=RATE, image_height=32, image_width=32),
    )
    dataset, _ = prepare(small_songs, Run(tmp_path / "run"), settings, workers=1)
    return dataset

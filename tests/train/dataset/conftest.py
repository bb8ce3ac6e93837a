"""Folders of small songs, and the notices of the dataset's build."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime import SpectrogramSettings
from edge_runtime.audio import Samples
from edge_runtime.files import sha256_of
from tests.conftest import tone
from train.dataset import DatasetConfig
from train.run import Run

SETTINGS = DatasetConfig(
    offsets_seconds=(0.0, 1.0), spectrogram=SpectrogramSettings(sample_rate=11_025, image_height=32, image_width=32)
)


def melody(seed: int, *, seconds: float = 3.5, sample_rate: int = 22_050) -> Samples:
    """Notes drawn from a seed, each a tenth of a second, ``[shape=(n,)], float32``."""
    notes = np.random.default_rng(seed).uniform(150, 2000, size=(round(10 * seconds), 2))
    voices = [
        np.concatenate([tone(0.1, sample_rate=sample_rate, hz=hz, level=0.2) for hz in voice]) for voice in notes.T
    ]
    samples: Samples = voices[0] + voices[1]
    return samples


def write_sound(path: Path, samples: Samples, *, sample_rate: int = 22_050, artist: str = "", **how: Any) -> Path:
    """Write a sound file, in pieces since the Vorbis encoder fails on long ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = samples.shape[1] if samples.ndim == 2 else 1
    with soundfile.SoundFile(path, "w", sample_rate, channels, **how) as file:
        if artist:
            file.artist = artist
        for start in range(0, len(samples), 4096):
            file.write(samples[start : start + 4096])
    return path


def write_songs(
    folder: Path, *, songs: int = 5, genres: tuple[str, ...] = ("Halk", "Caz"), seconds: float = 3.5
) -> Path:
    """Write ``folder/<genre>/song <n>.wav``, all different."""
    for number, genre in enumerate(genres):
        (folder / genre).mkdir(parents=True)
        for song in range(songs):
            write_sound(folder / genre / f"song {song}.wav", melody(1000 * number + song, seconds=seconds))
    return folder


def contents(run: Run) -> dict[str, str]:
    """SHA-256 of every file of a run."""
    files = (path for path in sorted(run.folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(run.folder)): sha256_of(path) for path in files}


@pytest.fixture
def notices(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The messages of the build since the last call."""
    caplog.set_level(logging.INFO, logger="tmgc.dataset")

    def taken() -> list[str]:
        messages = [record.getMessage() for record in caplog.records if record.name == "tmgc.dataset"]
        caplog.clear()
        return messages

    return taken

"""What the tests of the outputs share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import GenreClassifier


@pytest.fixture(scope="session")
def classifier(models: dict[str, Path]) -> GenreClassifier:
    """A real classifier of three genres."""
    return GenreClassifier.open(models["tflite"], threads=1)


def write_noise(path: Path, *, seconds: float) -> Path:
    """Write white noise as a WAV file; returns its path."""
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 22_050)), 22_050)
    return path

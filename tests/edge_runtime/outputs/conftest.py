"""What the tests of the outputs share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import GenreClassifier
from edge_runtime.logs import LOGGER, format_notice, replace_handler


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(format_notice(record))


@pytest.fixture
def notices() -> Iterator[list[str]]:
    """The notices that are logged, as lines; the list grows."""
    lines: list[str] = []
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    with replace_handler(_Collector(lines)):
        yield lines
    LOGGER.setLevel(level)


@pytest.fixture(scope="session")
def classifier(models: dict[str, Path]) -> GenreClassifier:
    """A real classifier of three genres."""
    return GenreClassifier.open(models["tflite"], threads=1)


def write_noise(path: Path, *, seconds: float) -> Path:
    """Write white noise as a WAV file; returns its path."""
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 22_050)), 22_050)
    return path

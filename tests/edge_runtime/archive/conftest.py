"""Encoded songs, made once, and a model for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.edge_runtime.archive.encoded import encode


@pytest.fixture(scope="session")
def model(models: dict[str, Path]) -> Path:
    return models["tflite"]


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a song of each format, which stays as it is."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg on the PATH")
    folder = tmp_path_factory.mktemp("encoded")
    encode(folder)
    return folder


@pytest.fixture
def music(encoded: Path, tmp_path: Path) -> Path:
    """A copy of them, to be changed."""
    return shutil.copytree(encoded, tmp_path / "music")

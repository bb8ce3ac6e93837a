"""The two-second windows that every row of a benchmark is timed on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.audio import AudioFile
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings
from train.dataset.dataset import read_dataset
from train.run import Run

WINDOW_SECONDS = SpectrogramSettings().window_seconds
"""Length of a window, seconds: the original knows no other."""

MOST_EXCERPTS = 20
"""Windows that the rows rotate through, so that no row is timed on sound that it has just seen."""


@dataclass(frozen=True)
class Excerpt:
    """Two seconds of an audio file on disk."""

    path: Path
    start_seconds: float

    def to_json(self) -> dict[str, Any]:
        """The excerpt as it stands in a report and as a row's process is told of it."""
        return {"file": str(self.path), "start_s": self.start_seconds}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Excerpt:
        """The excerpt of such a document."""
        return cls(Path(document["file"]), float(document["start_s"]))


def excerpts_of_run(run: Run) -> list[Excerpt]:
    """Test clips of a run, spread over its genres.

    Raises
    ------
    TmgcError
        The run holds no sound.
    """
    if not run.dataset_csv.is_file():
        raise TmgcError(
            f"a benchmark needs sound: {run.folder} holds no {run.dataset_csv.name}. Name a file: --audio FILE"
        )
    dataset = read_dataset(run)
    found = [clip for clip in dataset.of("test") or dataset.clips if clip.audio_path(run).is_file()]
    if not found:
        raise TmgcError(f"a benchmark needs sound: there is no clip in {run.clips}. Name a file: --audio FILE")
    spread = np.linspace(0, len(found) - 1, min(MOST_EXCERPTS, len(found))).round().astype(int)
    return [Excerpt(found[number].audio_path(run), found[number].lead_seconds) for number in spread]


def excerpts_of_file(path: Path) -> list[Excerpt]:
    """Windows of one audio file, spread over its length.

    Raises
    ------
    TmgcError
        The file is missing, not audio, or shorter than one window.
    """
    with AudioFile(path, sample_rate=SpectrogramSettings().sample_rate) as file:
        seconds = file.seconds
    count = min(MOST_EXCERPTS, int(seconds // WINDOW_SECONDS))
    if count < 1:
        raise TmgcError(
            f"a benchmark needs at least one window of {WINDOW_SECONDS} s: {path} holds {seconds:.2f} s. Name a longer "
            "file"
        )
    return [Excerpt(path, round(float(start), 3)) for start in np.linspace(0.0, seconds - WINDOW_SECONDS, count)]

"""The two-second windows of audio files that every case of a benchmark is timed on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from benchmarks.documents import Constraint
from edge_runtime.audio_file import AudioFile
from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings
from train.run import Run

WINDOW_SECONDS = SpectrogramSettings().window_seconds
"""Length of a window: the reference pipeline knows no other."""

MOST_EXCERPTS = 20
"""Windows that the cases rotate through, so that none is timed on samples that it has just processed."""


@dataclass(frozen=True)
class Excerpt:
    """Two seconds of an audio file on disk."""

    file: Path
    start_s: Annotated[float, Constraint("minimum", 0)]


def excerpts_of_run(run: Run) -> list[Excerpt]:
    """Windows of a run's test clips, spread over its genres.

    Raises
    ------
    TmgcError
        The run has no clips.
    """
    from train.dataset.dataset import read_dataset

    if not run.dataset_csv.is_file():
        raise TmgcError(
            f"a benchmark needs audio: {run.folder} has no {run.dataset_csv.name}. Name a file: --audio FILE"
        )
    dataset = read_dataset(run)
    found = [clip for clip in dataset.of("test") or dataset.clips if clip.audio_path(run).is_file()]
    if not found:
        raise TmgcError(f"a benchmark needs audio: there is no clip in {run.clips}. Name a file: --audio FILE")
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
            f"a benchmark needs at least one window of {WINDOW_SECONDS} s: {path} holds {seconds:.2f} s. Name a "
            "longer file"
        )
    return [Excerpt(path, round(float(start), 3)) for start in np.linspace(0.0, seconds - WINDOW_SECONDS, count)]

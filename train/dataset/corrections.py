"""Corrections of answers as training clips: images that ``tmgc-listen --keep-corrections`` has kept, without audio.

Each correction is a song and a group of its own. It only ever trains: what it was taken from is not known, so that a
test on it would say nothing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import TmgcError, first_line, shortened
from edge_runtime.spectrogram import SpectrogramSettings
from train.dataset.dataset import Clip, Dataset
from train.dataset.extract import write_index_image

_log = getLogger("tmgc.dataset")

CORRECTION_NAME = "correction.json"
"""In the folder of each correction, beside its images; see :mod:`edge_runtime.server.corrections`."""


def add_corrections(dataset: Dataset, folder: Path) -> Dataset:
    """A dataset with the corrections of a folder as further training clips, whose images are written to its run.

    Parameters
    ----------
    dataset : Dataset
        Not written yet.
    folder : Path
        Of ``tmgc-listen --keep-corrections``.

    Returns
    -------
    dataset : Dataset

    Raises
    ------
    TmgcError
        There are no corrections, or one names another genre, was made with other settings of the spectrogram, or
        cannot be read.
    """
    folders = sorted(path.parent for path in folder.glob(f"*/{CORRECTION_NAME}"))
    if not folders:
        raise TmgcError(
            f"corrections are folders that hold {CORRECTION_NAME}: {folder} has none. Name the folder of "
            "tmgc-listen --keep-corrections"
        )
    clips = [clip for path in folders for clip in _clips(path, dataset)]
    by_genre = Counter(clip.genre for clip in clips)
    counts = ", ".join(f"{genre} {count}" for genre, count in sorted(by_genre.items()))
    _log.info("%d corrections with %d images: %s", len(folders), len(clips), counts)
    return replace(dataset, clips=dataset.clips + tuple(clips))


def _clips(folder: Path, dataset: Dataset) -> Iterator[Clip]:
    path = folder / CORRECTION_NAME
    try:
        document = json.loads(path.read_text("utf-8"))
        genre, windows = document["genre"], document["windows"]
        settings = SpectrogramSettings.from_json(document["spectrogram"])
        times = [datetime.fromisoformat(window["time"]) for window in windows]
        offsets = [round((time - min(times)).total_seconds(), 3) for time in times]
        levels = [float(window["level_dbfs"]) for window in windows]
        names = [str(window["image"]) for window in windows]
        if not windows or not all(map(math.isfinite, levels)) or any(Path(name).name != name for name in names):
            raise ValueError("there must be windows, each with a level and an image beside it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise TmgcError(
            f"a correction must be readable: {path} is not ({type(error).__name__}, {first_line(error)}). Remove its "
            "folder"
        ) from error
    _check(path, genre, settings, dataset)
    for name, offset, level in zip(names, offsets, levels, strict=True):
        yield _clip(folder, name, genre, offset, level, dataset)


def _check(path: Path, genre: Any, settings: SpectrogramSettings, dataset: Dataset) -> None:
    if genre not in dataset.genres:
        raise TmgcError(
            f"a correction names a genre that songs have: {path} names {shortened(genre)}. Add songs of it, or remove "
            "its folder"
        )
    if settings != dataset.spectrogram:
        ours, theirs = dataset.spectrogram.to_json(), settings.to_json()
        different = ", ".join(f"{name} {theirs[name]}, not {ours[name]}" for name in ours if ours[name] != theirs[name])
        raise TmgcError(
            f"corrections need the spectrogram of the songs: that of {path} has {different}. Prepare with the settings "
            "of the model that made them, or without --corrections"
        )


def _clip(folder: Path, name: str, genre: str, offset: float, level: float, dataset: Dataset) -> Clip:
    """A clip whose image is written to the run."""
    from PIL import Image

    settings = dataset.spectrogram
    path = folder / name
    try:
        content = path.read_bytes()
        with Image.open(path) as image:
            index_image = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise TmgcError(
            f"an image of a correction must be readable: {path} is not ({first_line(error)}). Remove its folder"
        ) from error
    if index_image.dtype != np.uint8 or index_image.shape != (settings.image_height, settings.image_width):
        raise TmgcError(
            f"an image of a correction is gray, {settings.image_width} x {settings.image_height}: {path} is "
            f"{index_image.dtype} of shape {index_image.shape}. Remove its folder"
        )
    sha256 = hashlib.sha256(content).hexdigest()
    clip = Clip(
        name=f"{folder.name}_{sha256[:12]}_{offset:g}s",
        song=folder.name,
        genre=genre,
        split="train",
        offset_seconds=offset,
        lead_seconds=0.0,
        level_dbfs=level,
        group=folder.name,
        content_sha256=sha256,
    )
    write_index_image(index_image, clip.image_path(dataset.run), dataset.colormap)
    return clip

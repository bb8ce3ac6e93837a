"""Numbers for the clips of a dataset that take long to compute: computed once, and kept in a file.

The file has a row for each clip of the dataset, and the rows that are needed are filled clip by clip. Numbers that are
missing are NaN, so that a command that was interrupted, or killed, continues where it was. The folds of a
cross-validation have the same clips, and share the file: what one fold has computed, the others read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.files import atomic_write
from train.dataset.dataset import Clip, Dataset
from train.progress import Reporter

_CLIPS_AT_ONCE = 16
"""Clips that an interruption loses at most."""


def clip_values(
    dataset: Dataset,
    clips: Sequence[Clip],
    compute: Callable[[Sequence[Clip]], NDArray[np.floating[Any]]],
    *,
    folder: Path,
    depends_on: Sequence[Any],
    shape: tuple[int, ...],
    dtype: type[np.floating[Any]],
    reporter: Reporter,
    phase: str,
) -> NDArray[Any]:
    """Read the numbers of clips from their file, and compute those that are missing.

    Parameters
    ----------
    dataset : Dataset
    clips : sequence of Clip
        Some of its clips.
    compute : callable
        Of clips ``[length=n]`` to their numbers ``[shape=(n, *shape)]``.
    folder : Path
        Of the file, which is the only one there: one with other numbers is replaced.
    depends_on : sequence of what JSON can hold
        What the numbers depend on besides the sound of the clips.
    shape : tuple of int
        Of the numbers of a clip.
    dtype : float16 or float32
    reporter : Reporter
        Each clip that is computed is a step.
    phase : str

    Returns
    -------
    values : np.ndarray [shape=(n_clips, *shape)]
    """
    path = folder / f"{_key(dataset, depends_on)}.npy"
    whole = (len(dataset.clips), *shape)
    if not _fits(path, whole, dtype):
        _create(path, whole, dtype)
    row_of = {clip.name: row for row, clip in enumerate(dataset.clips)}
    rows = np.array([row_of[clip.name] for clip in clips], np.intp)
    kept = np.load(path, mmap_mode="r+")
    missing = rows[np.isnan(kept[rows].reshape(len(rows), -1)).any(axis=1)]
    reporter.phase(phase, len(missing))
    for first in range(0, len(missing), _CLIPS_AT_ONCE):
        chosen = missing[first : first + _CLIPS_AT_ONCE]
        kept[chosen] = compute([dataset.clips[row] for row in chosen])
        for _ in chosen:
            reporter.step({})
    kept.flush()
    return np.array(kept[rows])


def _key(dataset: Dataset, depends_on: Sequence[Any]) -> str:
    """A hash of what the file depends on."""
    sounds = [(clip.content_sha256, clip.source) for clip in dataset.clips]
    described = json.dumps([dataset.spectrogram.sample_rate, dataset.spectrogram.window_samples, depends_on, sounds])
    return hashlib.sha256(described.encode("ascii")).hexdigest()[:16]


def _fits(path: Path, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> bool:
    """Whether the file exists, complete and of this shape."""
    try:
        kept = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return bool(kept.shape == shape and kept.dtype == dtype)


def _create(path: Path, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> None:
    """Write a file without numbers, at its full size: a full disk is found here."""
    path.parent.resolve().mkdir(parents=True, exist_ok=True)  # in a fold, a folder on the way is a link
    with atomic_write(path) as partial:
        np.save(partial, np.full(shape, np.nan, dtype))
    for other in path.parent.glob("*.npy"):
        if other != path:
            other.unlink()

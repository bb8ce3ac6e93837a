"""A teacher's outputs for the clips that a network is trained on: computed once, and kept in the run.

The file has a row for each clip of the dataset, and the rows that are needed are filled clip by clip. Numbers that are
missing are NaN, so that a command that was interrupted, or killed, continues where it was. The folds of a
cross-validation have the same clips, and share the file: what one fold has asked, the others read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.files import atomic_write
from train.dataset.dataset import Clip, Dataset
from train.progress import Reporter
from train.teachers import Teacher, hearing
from train.training.config import Augmentation
from train.training.distillation import TargetScaling

_SHIFTS = 5
"""Windows of a clip that the teacher hears, from the earliest shift of augmentation to the latest."""

_CLIPS_AT_ONCE = 16

Hear = Callable[[Samples], NDArray[np.float32]]


@dataclass(frozen=True)
class TeacherTargets:
    """What a teacher says to every training clip and to the negatives."""

    name: str
    """Of the teacher."""
    licence: str
    """The notice that must accompany the student; empty where none is needed."""
    shifts: NDArray[np.int64]
    """Samples from the clip to each of its windows, ``[shape=(n_shifts,)]``, the clip itself in the middle."""
    of_clips: NDArray[np.float16]
    """``[shape=(n_clips, n_shifts, n_targets)]``, in the order of ``dataset.csv``; infinite for a window that goes
    beyond the clip's margins."""
    of_negatives: NDArray[np.float32]
    """``[shape=(n_negatives, n_targets)]``"""

    @property
    def count(self) -> int:
        """Number of targets of a window."""
        return int(self.of_clips.shape[2])

    @cached_property
    def scaling(self) -> TargetScaling:
        """The scaling of the training clips."""
        return TargetScaling.of(self.of_clips[self._has_window])

    @cached_property
    def _has_window(self) -> NDArray[np.bool_]:
        return np.isfinite(self.of_clips[:, :, 0])

    def draw(self, clips: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.intp]:
        """Draw a window of each clip: its index in ``shifts``.

        Parameters
        ----------
        clips : np.ndarray [shape=(n,)], int
            Their indices.
        random : np.random.Generator
        """
        lots = np.where(self._has_window[clips], random.random((len(clips), len(self.shifts))), -1.0)
        drawn: NDArray[np.intp] = lots.argmax(axis=1)
        return drawn

    def scaled(self, clips: NDArray[np.intp], windows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Targets of these windows of these clips, ``[shape=(n, n_targets)], float32``."""
        return self.scaling(self.of_clips[clips, windows])

    def scaled_unshifted(self) -> NDArray[np.float32]:
        """Targets of all clips as they are, ``[shape=(n_clips, n_targets)], float32``."""
        return self.scaling(self.of_clips[:, len(self.shifts) // 2])


def ask_teacher(
    dataset: Dataset,
    clips: Sequence[Clip],
    negatives: Sequence[Samples],
    teacher: Teacher,
    *,
    augmentation: Augmentation,
    reporter: Reporter,
) -> TeacherTargets:
    """Read the teacher's outputs from the run, and compute those that are missing.

    Parameters
    ----------
    dataset : Dataset
    clips : sequence of Clip
        To train on.
    negatives : sequence of np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
    teacher : Teacher
    augmentation : Augmentation
        Its largest shift.
    reporter : Reporter

    Raises
    ------
    TmgcError
        A clip cannot be read.
    """
    rate = dataset.spectrogram.sample_rate
    farthest = round(augmentation.shift_seconds * rate)
    shifts = np.linspace(-farthest, farthest, _SHIFTS if farthest else 1).astype(np.int64)
    store = _Store(dataset, clips, shifts, hearing(teacher, rate), n_targets=len(teacher.target_names))
    path = dataset.run.teacher_targets / f"{_key(dataset, shifts, teacher)}.npy"
    of_clips = store.complete(path, reporter, phase=f"computing the targets of {teacher.name}")
    heard = [store.hear(np.stack(negatives[first : first + 64])) for first in range(0, len(negatives), 64)]
    of_negatives = np.concatenate([np.empty((0, of_clips.shape[2]), np.float32), *heard])
    return TeacherTargets(teacher.name, teacher.licence, shifts, of_clips, of_negatives)


def _key(dataset: Dataset, shifts: NDArray[np.int64], teacher: Teacher) -> str:
    """A hash of what the file depends on."""
    settings = dataset.spectrogram
    windows = [settings.sample_rate, settings.window_samples, shifts.tolist()]
    heard = [(clip.content_sha256, clip.source) for clip in dataset.clips]
    described = json.dumps([teacher.weights_sha256, windows, heard])
    return hashlib.sha256(described.encode("ascii")).hexdigest()[:16]


class _Store:
    """The file of the clips' targets, and what fills it."""

    def __init__(
        self, dataset: Dataset, clips: Sequence[Clip], shifts: NDArray[np.int64], hear: Hear, *, n_targets: int
    ) -> None:
        self._dataset, self._shifts, self.hear = dataset, shifts, hear
        self._shape = (len(dataset.clips), len(shifts), n_targets)
        row_of = {clip.name: row for row, clip in enumerate(dataset.clips)}
        self._rows = np.array([row_of[clip.name] for clip in clips], np.intp)

    def complete(self, path: Path, reporter: Reporter, *, phase: str) -> NDArray[np.float16]:
        if not self._fits(path):
            self._create(path)
        stored = np.load(path, mmap_mode="r+")
        missing = self._rows[np.isnan(stored[self._rows]).any(axis=(1, 2))]
        reporter.phase(phase, len(missing))
        for first in range(0, len(missing), _CLIPS_AT_ONCE):
            chosen = missing[first : first + _CLIPS_AT_ONCE]
            stored[chosen] = self._targets(chosen)
            for _ in chosen:
                reporter.step({})
        stored.flush()
        return np.array(stored[self._rows])

    def _fits(self, path: Path) -> bool:
        """Whether the file exists, complete and of this shape."""
        try:
            stored = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            return False
        return bool(stored.shape == self._shape and stored.dtype == np.float16)

    def _create(self, path: Path) -> None:
        """Write a file without numbers, at its full size: a full disk is found here."""
        path.parent.resolve().mkdir(parents=True, exist_ok=True)  # of a fold the folder is a link
        with atomic_write(path) as partial:
            np.save(partial, np.full(self._shape, np.nan, np.float16))
        for other in path.parent.glob("*.npy"):
            if other != path:
                other.unlink()

    def _targets(self, rows: NDArray[np.intp]) -> NDArray[np.float16]:
        length = self._dataset.spectrogram.window_samples
        has_window, windows = np.zeros((len(rows), len(self._shifts)), bool), []
        for at_shifts, row in zip(has_window, rows, strict=True):
            clip = self._dataset.clips[row]
            audio = self._dataset.audio(clip)
            begins = round(clip.lead_seconds * self._dataset.spectrogram.sample_rate) + self._shifts
            at_shifts[:] = (begins >= 0) & (begins + length <= len(audio))
            windows += [audio[begin : begin + length] for begin in begins[at_shifts]]
        targets = np.full((len(rows), *self._shape[1:]), np.inf, np.float16)
        targets[has_window] = self.hear(np.stack(windows))
        return targets

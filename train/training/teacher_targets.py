"""The outputs of teachers for the clips that a network is trained on: computed once, and kept in the run.

The file has a row for each clip of the dataset, and the rows that are needed are filled clip by clip. Numbers that are
missing are NaN, so that a command that was interrupted, or killed, continues where it was. The folds of a
cross-validation have the same clips, and share the file: what one fold has asked, the others read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.files import atomic_write
from train.dataset.dataset import Clip, Dataset
from train.progress import Reporter
from train.teachers import Teacher, Teachers, hearing
from train.training.config import Augmentation
from train.training.distillation import TargetScaling, soft_labels

_SHIFTS = 5
"""Windows of a clip that the teacher hears, from the earliest shift of augmentation to the latest."""

_CLIPS_AT_ONCE = 16


@dataclass(frozen=True)
class TeacherDescription:
    """What the card of a student says of a teacher."""

    name: str
    weights_sha256: str
    learned: str
    """``probabilities`` or ``targets``."""


@dataclass(frozen=True)
class TeacherTargets:
    """What teachers say to every training clip and to the negatives."""

    teachers: tuple[TeacherDescription, ...]
    licence: str
    """The notice that must accompany the student; empty where none is needed."""
    label_weight: float
    """Share of the labels beside the teachers' probabilities, in [0, 1]."""
    genre_columns: NDArray[np.intp]
    """Outputs that are log-probabilities of the dataset's genres, ``[shape=(n_teachers, n_genres)]``, in its order."""
    target_columns: NDArray[np.intp]
    """All other outputs, ``[shape=(n_targets,)]``."""
    shifts: NDArray[np.int64]
    """Samples from the clip to each of its windows, ``[shape=(n_shifts,)]``, the clip itself in the middle."""
    of_clips: NDArray[np.float16]
    """``[shape=(n_clips, n_shifts, n_outputs)]``, in the order of ``dataset.csv``; infinite for a window that goes
    beyond the clip's margins."""
    of_negatives: NDArray[np.float32]
    """``[shape=(n_negatives, n_outputs)]``"""

    @property
    def count(self) -> int:
        """Number of targets of a window, which have an output of their own."""
        return len(self.target_columns)

    @cached_property
    def scaling(self) -> TargetScaling:
        """The scaling of the training clips."""
        return TargetScaling.of(self.of_clips[self._has_window][:, self.target_columns])

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

    def taught(
        self, labels: NDArray[np.float32], clips: NDArray[np.intp], windows: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """What is learned of these windows of these clips: labels mixed with probabilities, and the scaled targets.

        Parameters
        ----------
        labels : np.ndarray [shape=(n, n_genres)], float32 in [0, 1]
        clips, windows : np.ndarray [shape=(n,)], int
            Their indices, and those of windows of :meth:`draw`.

        Returns
        -------
        taught : np.ndarray [shape=(n, n_genres + n_targets)], float32
        """
        outputs = self.of_clips[clips, windows]
        if len(self.genre_columns):
            soft = soft_labels(outputs[:, self.genre_columns])
            labels = np.float32(self.label_weight) * labels + np.float32(1 - self.label_weight) * soft
        return np.concatenate([labels, self.scaling(outputs[:, self.target_columns])], axis=1)

    def taught_unshifted(self, labels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same of all clips as they are, ``[shape=(n_clips, n_genres + n_targets)], float32``."""
        clips = np.arange(len(self.of_clips))
        return self.taught(labels, clips, np.full_like(clips, len(self.shifts) // 2))

    def scaled_of_negatives(self) -> NDArray[np.float32]:
        """Targets of the negatives, ``[shape=(n_negatives, n_targets)], float32``: no teacher knows better than their
        labels, which are equal probabilities."""
        return self.scaling(self.of_negatives[:, self.target_columns])


def ask_teacher(
    dataset: Dataset,
    clips: Sequence[Clip],
    negatives: Sequence[Samples],
    teachers: Teachers,
    *,
    label_weight: float,
    augmentation: Augmentation,
    reporter: Reporter,
) -> TeacherTargets:
    """Read the teachers' outputs from the run, and compute those that are missing.

    Parameters
    ----------
    dataset : Dataset
    clips : sequence of Clip
        To train on.
    negatives : sequence of np.ndarray [shape=(window_samples,)], float32 in [-1, 1]
    teachers : Teachers
        Those whose outputs are the genres of the dataset give log-probabilities.
    label_weight : float in [0, 1]
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
    folder = dataset.run.teacher_targets
    path_of = {member: folder / f"{_key(dataset, shifts, member)}.npy" for member in teachers.members}
    for path in folder.glob("*.npy"):
        if path not in path_of.values():
            path.unlink()
    stores = [_Store(dataset, clips, shifts, member) for member in path_of]
    asked = [store.complete(path, reporter) for store, path in zip(stores, path_of.values(), strict=True)]
    described, genre_columns, target_columns = _columns(teachers, dataset.genres)
    return TeacherTargets(
        described,
        teachers.licence,
        label_weight,
        genre_columns,
        target_columns,
        shifts,
        np.concatenate(asked, axis=2),
        np.concatenate([store.hear_all(negatives) for store in stores], axis=1),
    )


def _columns(
    teachers: Teachers, genres: Sequence[str]
) -> tuple[tuple[TeacherDescription, ...], NDArray[np.intp], NDArray[np.intp]]:
    """The teachers, and which of their outputs are probabilities and targets."""
    described, of_genres, others, first = [], list[list[int]](), list[int](), 0
    for member in teachers.members:
        names = member.target_names
        knows_genres = sorted(names) == sorted(genres)
        if knows_genres:
            of_genres.append([first + names.index(genre) for genre in genres])
        else:
            others += range(first, first + len(names))
        learned = "probabilities" if knows_genres else "targets"
        described.append(TeacherDescription(member.name, member.weights_sha256, learned))
        first += len(names)
    return tuple(described), np.array(of_genres, np.intp).reshape(-1, len(genres)), np.array(others, np.intp)


def _key(dataset: Dataset, shifts: NDArray[np.int64], teacher: Teacher) -> str:
    """A hash of what the file depends on."""
    settings = dataset.spectrogram
    windows = [settings.sample_rate, settings.window_samples, shifts.tolist()]
    heard = [(clip.content_sha256, clip.source) for clip in dataset.clips]
    described = json.dumps([teacher.weights_sha256, windows, heard])
    return hashlib.sha256(described.encode("ascii")).hexdigest()[:16]


class _Store:
    """The file of the clips' targets, and what fills it."""

    def __init__(self, dataset: Dataset, clips: Sequence[Clip], shifts: NDArray[np.int64], teacher: Teacher) -> None:
        self._dataset, self._shifts, self._name = dataset, shifts, teacher.name
        self._hear = hearing(teacher, dataset.spectrogram.sample_rate)
        self._shape = (len(dataset.clips), len(shifts), len(teacher.target_names))
        row_of = {clip.name: row for row, clip in enumerate(dataset.clips)}
        self._rows = np.array([row_of[clip.name] for clip in clips], np.intp)

    def complete(self, path: Path, reporter: Reporter) -> NDArray[np.float16]:
        """The outputs for the clips to train on, ``[shape=(n_clips, n_shifts, n_targets)]``."""
        if not self._fits(path):
            self._create(path)
        stored = np.load(path, mmap_mode="r+")
        missing = self._rows[np.isnan(stored[self._rows]).any(axis=(1, 2))]
        reporter.phase(f"computing the targets of {self._name}", len(missing))
        for first in range(0, len(missing), _CLIPS_AT_ONCE):
            chosen = missing[first : first + _CLIPS_AT_ONCE]
            stored[chosen] = self._targets(chosen)
            for _ in chosen:
                reporter.step({})
        stored.flush()
        return np.array(stored[self._rows])

    def hear_all(self, windows: Sequence[Samples]) -> NDArray[np.float32]:
        """The outputs for windows that are not kept, ``[shape=(n, n_targets)]``."""
        heard = [self._hear(np.stack(windows[first : first + 64])) for first in range(0, len(windows), 64)]
        return np.concatenate([np.empty((0, self._shape[2]), np.float32), *heard])

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
        targets[has_window] = self._hear(np.stack(windows))
        return targets

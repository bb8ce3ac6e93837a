"""A teacher's outputs for the clips that a network is trained on: computed once, and kept in the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from train.dataset.clip_values import clip_values
from train.dataset.dataset import Clip, Dataset
from train.progress import Reporter
from train.teachers import Teacher, hearing
from train.training.config import Augmentation
from train.training.distillation import TargetScaling

_SHIFTS = 5
"""Windows of a clip that the teacher hears, from the earliest shift of augmentation to the latest."""

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
    hear = hearing(teacher, rate)
    of_clips = clip_values(
        dataset,
        clips,
        lambda some: _targets(dataset, some, shifts, hear, n_targets=len(teacher.target_names)),
        folder=dataset.run.teacher_targets,
        depends_on=[teacher.weights_sha256, shifts.tolist()],
        shape=(len(shifts), len(teacher.target_names)),
        dtype=np.float16,
        reporter=reporter,
        phase=f"computing the targets of {teacher.name}",
    )
    heard = [hear(np.stack(negatives[first : first + 64])) for first in range(0, len(negatives), 64)]
    of_negatives = np.concatenate([np.empty((0, of_clips.shape[2]), np.float32), *heard])
    return TeacherTargets(teacher.name, teacher.licence, shifts, of_clips, of_negatives)


def _targets(
    dataset: Dataset, clips: Sequence[Clip], shifts: NDArray[np.int64], hear: Hear, *, n_targets: int
) -> NDArray[np.float16]:
    """The outputs for all windows of clips, ``[shape=(n_clips, n_shifts, n_targets)]``."""
    length = dataset.spectrogram.window_samples
    has_window, windows = np.zeros((len(clips), len(shifts)), bool), []
    for row, clip in zip(has_window, clips, strict=True):
        audio = dataset.audio(clip)
        begins = round(clip.lead_seconds * dataset.spectrogram.sample_rate) + shifts
        row[:] = (begins >= 0) & (begins + length <= len(audio))
        windows += [audio[begin : begin + length] for begin in begins[row]]
    targets = np.full((len(clips), len(shifts), n_targets), np.inf, np.float16)
    targets[has_window] = hear(np.stack(windows))
    return targets

"""The outputs of teachers for the clips that a network is trained on: computed once, and kept in the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError
from train.dataset.clip_values import clip_values
from train.dataset.dataset import Clip, Dataset
from train.progress import Reporter
from train.teachers import Teachers, hearing
from train.training.config import Augmentation
from train.training.distillation import TargetScaling, soft_labels

_SHIFTS = 5
"""Windows of a clip that the teacher hears, from the earliest shift of augmentation to the latest."""

Hear = Callable[[Samples], NDArray[np.float32]]


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
    target_names: tuple[str, ...]
    """Of these."""
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


def check_teachable(dataset: Dataset, teachers: Sequence[str]) -> None:
    """Check that a teacher can hear all clips.

    Raises
    ------
    TmgcError
        Some are corrections, which have no sound.
    """
    if teachers and any(clip.is_correction for clip in dataset.clips):
        raise TmgcError(
            f"a teacher hears the sound of every clip: {dataset.run.folder} has corrections, which are images alone. "
            "Prepare a run without --corrections"
        )


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
    of_clips, of_negatives = list[NDArray[np.float16]](), list[NDArray[np.float32]]()
    for number, teacher in enumerate(teachers.members, start=1):
        hear, count = hearing(teacher, rate), len(teacher.target_names)
        of_clips.append(
            clip_values(
                dataset,
                clips,
                partial(_targets, dataset, shifts=shifts, hear=hear, n_targets=count),
                folder=dataset.run.teacher_targets / str(number),
                depends_on=[teacher.weights_sha256, shifts.tolist()],
                shape=(len(shifts), count),
                dtype=np.float16,
                reporter=reporter,
                phase=f"computing the targets of {teacher.name}",
            )
        )
        heard = [hear(np.stack(negatives[first : first + 64])) for first in range(0, len(negatives), 64)]
        of_negatives.append(np.concatenate([np.empty((0, count), np.float32), *heard]))
    described, genre_columns, target_columns = _columns(teachers, dataset.genres)
    return TeacherTargets(
        described,
        teachers.licence,
        label_weight,
        genre_columns,
        target_columns,
        tuple(teachers.target_names[column] for column in target_columns),
        shifts,
        np.concatenate(of_clips, axis=2),
        np.concatenate(of_negatives, axis=1),
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


def _targets(
    dataset: Dataset, clips: Sequence[Clip], shifts: NDArray[np.int64], hear: Hear, n_targets: int
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

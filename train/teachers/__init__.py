"""Networks that have heard much real music: their outputs are features for few songs, and targets for a student.

A teacher is one module with a class that has the members of :class:`Teacher`, and a line in :func:`open_teacher`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import Samples
from edge_runtime.errors import TmgcError


class Teacher(Protocol):
    """What a student, a baseline and a model card need of a teacher."""

    @property
    def name(self) -> str:
        """For messages and model cards."""

    @property
    def weights_sha256(self) -> str:
        """Of the file of its weights: what it said is kept for as long as this stays the same."""

    @property
    def licence(self) -> str:
        """The notice that must accompany every file that is made from it; empty where none is needed."""

    @property
    def sample_rate(self) -> int:
        """Hz, of the windows that it hears."""

    @property
    def target_names(self) -> tuple[str, ...]:
        """What each of its outputs is."""

    def targets(self, windows: Samples) -> NDArray[np.float32]:
        """Its outputs for windows of audio, at whatever level they are.

        Parameters
        ----------
        windows : np.ndarray [shape=(n, window_samples)], float32 in [-1, 1]
            Mono, at ``sample_rate``, all of one length.

        Returns
        -------
        targets : np.ndarray [shape=(n, len(target_names))], float32
            On scales of their own: standardise them before they are fitted.
        """


MUSICNN = "musicnn"
"""The name of :class:`train.teachers.musicnn.Musicnn`; any other name is the folder of a trained run."""


def open_teacher(name: str) -> Teacher:
    """Open a teacher by its name.

    Parameters
    ----------
    name : str
        ``musicnn``, or the folder of a trained run of this project.

    Raises
    ------
    TmgcError
        There is no such teacher, it cannot be downloaded, or it is damaged.
    """
    if name == MUSICNN:
        from train.teachers.musicnn import Musicnn

        return Musicnn.open()
    if not Path(name).is_dir():
        raise TmgcError(f"a teacher is {MUSICNN} or the folder of a trained run, got {name}: check the spelling")
    from train.run import Run
    from train.teachers.run import RunTeacher

    return RunTeacher(Run(Path(name)))


class Teachers:
    """Several teachers as one :class:`Teacher`, whose outputs follow each other.

    Parameters
    ----------
    members : sequence of Teacher
        One at least.
    """

    def __init__(self, members: Sequence[Teacher]) -> None:
        self.members = tuple(members)
        self.name = " and ".join(member.name for member in members)
        self.weights_sha256 = " ".join(member.weights_sha256 for member in members)
        self.licence = joined_notices(*(member.licence for member in members))
        self.sample_rate = max(member.sample_rate for member in members)
        self.target_names = tuple(name for member in members for name in member.target_names)

    def targets(self, windows: Samples) -> NDArray[np.float32]:
        """See :meth:`Teacher.targets`."""
        return np.concatenate([hearing(member, self.sample_rate)(windows) for member in self.members], axis=1)


def open_teachers(names: Sequence[str]) -> Teachers:
    """Open one or more teachers by their names: see :func:`open_teacher`."""
    return Teachers([open_teacher(name) for name in names])


_BETWEEN = " | "
"""Between two notices of licences."""


def joined_notices(*notices: str) -> str:
    """Notices of licences in one line, as a model card holds them: each once, and none that is empty."""
    return _BETWEEN.join(dict.fromkeys(each for notice in notices for each in notice.split(_BETWEEN) if each))


def hearing(teacher: Teacher, sample_rate: int) -> Callable[[Samples], NDArray[np.float32]]:
    """A teacher's :meth:`~Teacher.targets` for windows of another sample rate.

    Parameters
    ----------
    teacher : Teacher
    sample_rate : int > 0, Hz
        Of the windows.
    """
    import soxr

    def targets(windows: Samples) -> NDArray[np.float32]:
        heard = [soxr.resample(samples, sample_rate, teacher.sample_rate) for samples in windows]
        return teacher.targets(np.stack(heard))

    return targets

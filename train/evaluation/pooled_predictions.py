"""``predictions.csv``: what each method of a cross-validation predicts for each clip.

Two cross-validations of the same songs are compared by it, and so is anything else that somebody wants to know of them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.files import atomic_write
from train.dataset.dataset import Clip, Dataset

FILE_NAME = "predictions.csv"

_COLUMNS = ("method", "fold", "song", "offset_s", "group", "genre")
"""Before a column for each genre, which holds its probability."""

_PROBABILITY = "p:"
"""Before the name of a genre in its column's name."""


class Predictions(NamedTuple):
    """What a method predicts for all clips of a dataset, each time fitted to the other folds."""

    method: str
    """``network``, or the name of a baseline."""
    probabilities: NDArray[np.float32]
    """``[shape=(n_clips, n_genres)], float32 in [0, 1]``; the network's after the temperature scaling of each fold."""
    unscaled: NDArray[np.float32] | None = None
    """The network's before it; None for a baseline, whose confidence means nothing."""
    chosen: tuple[str, ...] = ()
    """A baseline's hyperparameters in each fold."""


def write_predictions(path: Path, folds: Sequence[Dataset], predictions: Sequence[Predictions]) -> None:
    """Write the predictions of all methods.

    Parameters
    ----------
    path : Path
    folds : sequence of Dataset
        Of :func:`train.dataset.folds.fold_datasets`.
    predictions : sequence of Predictions
    """
    dataset = folds[0]
    fold_of = {clip.name: fold.run.name for fold in folds for clip in fold.of("test")}
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow([*_COLUMNS, *(f"{_PROBABILITY}{genre}" for genre in dataset.genres)])
    for each in predictions:
        for clip, probabilities in zip(dataset.clips, each.probabilities.tolist(), strict=True):
            where = (fold_of[clip.name], clip.song, f"{clip.offset_seconds:.3f}", clip.group, clip.genre)
            writer.writerow((each.method, *where, *(f"{probability:.6g}" for probability in probabilities)))
    with atomic_write(path) as partial:
        partial.write_bytes(file.getvalue().encode("utf-8", "surrogateescape"))


class OtherPredictions:
    """The predictions of another cross-validation, to be compared with.

    Parameters
    ----------
    run : Path
        Its folder.

    Raises
    ------
    TmgcError
        There is no ``predictions.csv``, or it is damaged.
    """

    def __init__(self, run: Path) -> None:
        path = run / FILE_NAME
        self.run = run
        self._of: dict[str, dict[tuple[str, float], dict[str, float]]] = {}
        if not path.is_file():
            raise TmgcError(
                f"cross-validations are compared by their {FILE_NAME}: {run} has none. Run: tmgc-train cross-validate"
            )
        try:
            with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
                for row in csv.DictReader(file, strict=True):
                    clip = row["song"], float(row["offset_s"])
                    found = {name: float(row[name]) for name in row if name.startswith(_PROBABILITY)}
                    self._of.setdefault(row["method"], {})[clip] = found
        except (ValueError, KeyError, TypeError, AttributeError, OSError, csv.Error) as error:
            raise TmgcError(
                f"{path} cannot be read ({type(error).__name__}, {first_line(error)}). Run tmgc-train cross-validate "
                "again"
            ) from error

    def of(
        self, method: str, clips: Sequence[Clip], genres: Sequence[str]
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]] | None:
        """The predictions of one method for those clips that it has predicted.

        Parameters
        ----------
        method : str
        clips : sequence of Clip
        genres : sequence of str

        Returns
        -------
        rows : np.ndarray [shape=(n,)], int
            Positions in ``clips``.
        probabilities : np.ndarray [shape=(n, n_genres)], float32
            None in place of both if it has no such method.

        Raises
        ------
        TmgcError
            It is of other songs or genres.
        """
        if method not in self._of:
            return None
        predicted = self._of[method]
        columns = [f"{_PROBABILITY}{genre}" for genre in genres]
        keys = [(clip.song, round(clip.offset_seconds, 3)) for clip in clips]
        rows = [row for row, key in enumerate(keys) if key in predicted]
        if not rows or set(predicted[keys[rows[0]]]) != set(columns):
            raise TmgcError(
                f"cross-validations are compared on the same songs and genres: those of {self.run} are others. Name "
                "one of the same songs"
            )
        return np.array(rows, np.intp), np.array(
            [[predicted[keys[row]][column] for column in columns] for row in rows], np.float32
        )

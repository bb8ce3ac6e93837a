"""What the results of an archive amount to: totals, shares, the most uncertain songs, and what failed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.archive.results import PROBABILITY, Archive, local_path
from edge_runtime.predictions import SILENCE, UNKNOWN

if TYPE_CHECKING:
    import pyarrow as pa

UNCERTAIN_SONGS = 100
"""As many as somebody listens to in a day or two."""

BINS = 20
"""Of the histograms: 5 % each."""

_EXAMPLES = 3
_COLUMNS = ("path", "root", "duration", "genre", "confidence", "agreement", "decode_ms", "model_ms", "warning", "error")


@dataclass
class GenreTotal:
    """The songs of one genre."""

    songs: int = 0
    seconds: float = 0.0
    confidence: float = 0.0
    """Sum over the songs."""
    agreement: float = 0.0
    """Sum over the songs."""


@dataclass(frozen=True)
class UncertainSong:
    """A song whose two most probable genres are nearly as probable."""

    margin: float
    """Difference of the two probabilities, in [0, 1]."""
    path: str
    root: str
    """Both as the file system spells them."""
    genres: tuple[tuple[str, float], ...]
    """The two, with their probabilities."""


@dataclass
class Reason:
    """A reason why songs failed, or how they are damaged."""

    songs: int = 0
    examples: list[str] = field(default_factory=list)
    """Paths of the first songs, relative to their root."""


@dataclass
class Statistics:
    """Of all rows; computed in one pass, in memory that does not grow with them."""

    songs: int = 0
    seconds: float = 0.0
    decode_ms: float = 0.0
    model_ms: float = 0.0
    failed: int = 0
    damaged: int = 0
    genres: defaultdict[str, GenreTotal] = field(default_factory=lambda: defaultdict(GenreTotal))
    """Also of ``unknown`` and ``silence``."""
    confidence: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    """Songs by confidence, those of ``unknown`` included, ``[shape=(BINS,)]``."""
    agreement: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    uncertain: list[UncertainSong] = field(default_factory=list)
    """The :data:`UNCERTAIN_SONGS` of the smallest margin, the smallest first."""
    errors: defaultdict[str, Reason] = field(default_factory=lambda: defaultdict(Reason))
    warnings: defaultdict[str, Reason] = field(default_factory=lambda: defaultdict(Reason))


def statistics_of(archive: Archive) -> Statistics:
    """Read all rows of an archive.

    Parameters
    ----------
    archive : Archive
    """
    found = Statistics()
    probabilities = [PROBABILITY + genre for genre in archive.genres]
    for batch in archive.batches([*_COLUMNS, *probabilities]):
        _add_totals(found, batch)
        _add_genres(found, batch)
        _add_reasons(found, batch)
        _add_uncertain(found, batch, archive.genres, probabilities)
    return found


def _numbers(batch: pa.RecordBatch, name: str) -> NDArray[np.float64]:
    """A column, with NaN for null."""
    column: NDArray[np.float64] = batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
    return column


def _add_totals(found: Statistics, batch: pa.RecordBatch) -> None:
    found.songs += len(batch)
    found.seconds += float(np.nansum(_numbers(batch, "duration")))
    found.decode_ms += float(_numbers(batch, "decode_ms").sum())
    found.model_ms += float(_numbers(batch, "model_ms").sum())


def _add_genres(found: Statistics, batch: pa.RecordBatch) -> None:
    names = np.array(batch.column("genre").to_pylist(), object)
    seconds, confidence, agreement = (_numbers(batch, name) for name in ("duration", "confidence", "agreement"))
    for genre in {name for name in names if name is not None}:
        chosen = names == genre
        total = found.genres[genre]
        total.songs += int(chosen.sum())
        total.seconds += float(np.nansum(seconds[chosen]))
        total.confidence += float(np.nansum(confidence[chosen]))
        total.agreement += float(agreement[chosen].sum())
    heard = np.array([name is not None and name != SILENCE for name in names], bool)
    found.confidence += _histogram(confidence[heard])
    found.agreement += _histogram(agreement[heard])


def _histogram(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.clip(values * BINS, 0, BINS - 1).astype(int), minlength=BINS)


def _add_reasons(found: Statistics, batch: pa.RecordBatch) -> None:
    for column, reasons in (("error", found.errors), ("warning", found.warnings)):
        chosen = batch.filter(batch.column(column).is_valid())
        for path, line in zip(chosen.column("path").to_pylist(), chosen.column(column).to_pylist(), strict=True):
            reason = reasons[_without_particulars(line, path)]
            reason.songs += 1
            if len(reason.examples) < _EXAMPLES:
                reason.examples.append(local_path(path))
    found.failed = sum(reason.songs for reason in found.errors.values())
    found.damaged = sum(reason.songs for reason in found.warnings.values())


def _without_particulars(line: str, path: str) -> str:
    """The reason without the song's name and without numbers, so that songs with the same reason count together."""
    return re.sub(r"\d+(\.\d+)?", "N", line.replace(PurePath(local_path(path)).name, "this song"))


def _add_uncertain(
    found: Statistics, batch: pa.RecordBatch, genres: Sequence[str], probabilities: Iterable[str]
) -> None:
    """Keep the songs of the smallest margin, as margin sampling in active learning chooses them."""
    table = np.column_stack([_numbers(batch, name) for name in probabilities])
    order = np.argsort(-table, axis=1)[:, :2]
    best = np.take_along_axis(table, order, axis=1)
    margins = best[:, 0] - best[:, 1]
    worst = found.uncertain[-1].margin if len(found.uncertain) == UNCERTAIN_SONGS else np.inf
    for row in np.flatnonzero(margins < worst):  # NaN, of what has no probabilities, is not below
        song: dict[str, Any] = batch.select(["path", "root"]).slice(row, 1).to_pylist()[0]
        two = tuple((genres[place], float(table[row, place])) for place in order[row])
        names = local_path(song["path"]), local_path(song["root"])
        found.uncertain.append(UncertainSong(float(margins[row]), *names, two))
    found.uncertain.sort(key=lambda song: song.margin)
    del found.uncertain[UNCERTAIN_SONGS:]


def in_order(genres: Iterable[str], totals: defaultdict[str, GenreTotal]) -> list[str]:
    """Genres by falling number of songs, then ``unknown`` and ``silence``."""
    known = sorted(genres, key=lambda genre: -totals[genre].songs)
    return [*known, *(other for other in (UNKNOWN, SILENCE) if totals[other].songs)]

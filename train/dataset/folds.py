"""Folds of a dataset for cross-validation: each is the test split of a run of its own, which shares clips and images.

Groups of songs stay together, and every fold has songs of every genre. Which songs are in a fold depends on the songs,
their groups and the seed alone, so that cross-validations of different networks have the same folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime.errors import TmgcError
from train.dataset.dataset import Clip, Dataset, read_dataset, write_dataset
from train.dataset.split import Unit, split_units
from train.run import SPLITS, Run


def fold_datasets(
    dataset: Dataset, count: int, *, split_ratios: tuple[float, float, float], seed: int
) -> tuple[Dataset, ...]:
    """Divide a dataset into folds: the dataset of each tests on one of them, and trains and validates on the others.

    Parameters
    ----------
    dataset : Dataset
        Its own split is ignored.
    count : int > 1
        Number of folds.
    split_ratios : (float, float, float), each > 0
        The first two are the ratio of train to validation.
    seed : int

    Returns
    -------
    datasets : tuple of Dataset [length=count]
        Of the runs ``fold-1``, ``fold-2`` and so on in the folder of the dataset's run; nothing is written.

    Raises
    ------
    TmgcError
        A genre has too few groups of songs.
    """
    if any(clip.is_correction for clip in dataset.clips):
        raise TmgcError(
            f"a cross-validation tests all clips, and corrections only train: {dataset.run.folder} has some. Prepare a "
            "run without --corrections"
        )
    units = _units(dataset.clips)
    kind = "songs" if len(units) == len({clip.song for clip in dataset.clips}) else "groups of songs"
    _check_enough(units, count, kind)
    names = [f"fold-{number}" for number in range(1, count + 1)]
    fold_of = split_units(units, split_ratios=[1 / count] * count, seed=seed, kind=kind, names=names)
    ratios = [ratio / sum(split_ratios[:2]) for ratio in split_ratios[:2]]
    datasets = []
    for name in names:
        rest = [unit for unit, fold in zip(units, fold_of, strict=True) if fold != name]
        assigned = split_units(rest, split_ratios=ratios, seed=seed, kind=kind, names=SPLITS[:2])
        split_of = {unit.name: split for unit, split in zip(rest, assigned, strict=True)}
        clips = tuple(replace(clip, split=split_of.get(clip.group, "test")) for clip in dataset.clips)
        datasets.append(replace(dataset, run=Run(dataset.run.folder / name), clips=clips))
    return tuple(datasets)


def write_fold(fold: Dataset) -> None:
    """Write the dataset of a fold as an ordinary run, whose folders of what belongs to the clips are links to those of
    all.

    Parameters
    ----------
    fold : Dataset
        Of :func:`fold_datasets`.

    Raises
    ------
    TmgcError
        The file system has no symbolic links, or the fold has been written with other clips.
    """
    fold.run.folder.mkdir(exist_ok=True)
    if fold.run.dataset_csv.is_file() and read_dataset(fold.run).fingerprint() != fold.fingerprint():
        raise TmgcError(
            f"the folds of a cross-validation have the same clips as it began with: those in {fold.run.folder.parent} "
            "were prepared anew since, or divided otherwise. Name another RUN"
        )
    for folder in (fold.run.clips, fold.run.images, fold.run.teacher_targets, fold.run.features):
        _link(folder, Path("..", folder.name))
    write_dataset(fold)


def check_unknown(dataset: Dataset, run: Run) -> None:
    """Check that a run, whose network takes part in another training, was trained on none of the songs of its test.

    Parameters
    ----------
    dataset : Dataset
        All of whose songs are tested, in one fold or another.
    run : Run
        It need not have a dataset.

    Raises
    ------
    TmgcError
        It was: a network or a baseline would be tested on songs that it knows.
    """
    if songs := known_songs(dataset.clips, run):
        raise TmgcError(
            f"what is tested has not heard the test songs, nor has a teacher: {run.folder} was trained on {len(songs)} "
            "of these. Choose another teacher, or other weights"
        )


def known_songs(clips: Iterable[Clip], run: Run) -> set[str]:
    """The songs of clips that a run was trained on, or validated with; none for a run without a dataset."""
    if not run.dataset_csv.is_file():
        return set()
    known = {clip.content_sha256 for clip in read_dataset(run).clips if clip.split != "test"}
    return {clip.song for clip in clips if clip.content_sha256 in known}


def _units(clips: Iterable[Clip]) -> list[Unit]:
    """Each group of songs with its number of songs by genre."""
    groups: dict[str, dict[str, str]] = {}
    for clip in clips:
        groups.setdefault(clip.group, {})[clip.song] = clip.genre
    return [Unit(name, Counter(songs.values())) for name, songs in groups.items()]


def _check_enough(units: Sequence[Unit], count: int, kind: str) -> None:
    found = Counter(genre for unit in units for genre in unit.genres)
    genre, fewest = min(found.items(), key=lambda item: item[1])
    needed = max(count, 4 if count == 2 else 3)  # without a fold, two are left at least: to train and to validate
    if fewest < needed:
        raise TmgcError(
            f"{count} folds need at least {needed} {kind} of every genre: {genre} has {fewest} (those with the same "
            "audio count once). Use fewer --folds, or add songs"
        )


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:
        raise TmgcError(
            f"folds share their clips by symbolic links: {link} cannot be one ({error.strerror}). Name a RUN on "
            "another file system"
        ) from error

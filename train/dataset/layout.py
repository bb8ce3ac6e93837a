"""How a folder of songs is laid out: by genre, or by split and genre.

Data sets that are already split come as ``train/<genre>/`` and ``test/<genre>/``, or as ``<genre>/train/`` and so on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_runtime.errors import TmgcError
from train.dataset.genres import name_key, quoted
from train.run import SPLITS

_WORDS = {
    "train": "train training trainset traindata egitim",
    "validation": "validation valid val dev devel development eval evaluation dogrulama gecerleme",
    "test": "test tests testing testset testdata heldout holdout sinama",
}
"""What folders of splits are called, without accents."""

_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words.split()}

_FILLING = {"set", "data", "dataset", "split", "songs", "music", "audio", "veri", "verisi", "seti", "kumesi"}
"""Words beside them that change nothing: ``train_set``, ``eğitim verisi``."""


def split_called(folder: str) -> str | None:
    """The split that a folder is called after, in English or Turkish: ``train``, ``validation``, ``test`` or None."""
    plain = name_key(folder).translate(_WITHOUT_ACCENTS)
    words = [word for word in re.split(r"[\W\d_]+", plain) if word and word not in _FILLING]
    return _SPLIT_OF.get("".join(words))


_WITHOUT_ACCENTS = str.maketrans("çğöşü", "cgosu")


class Layout(NamedTuple):
    """Which parts of a song's relative path name its genre and its split."""

    genre: int = 0
    split: int | None = None
    """None where folders are no splits."""

    def __str__(self) -> str:
        folders = {self.genre: "<genre>"} | ({} if self.split is None else {self.split: "<split>"})
        return "/".join(folders[level] for level in sorted(folders))

    @classmethod
    def of(cls, songs: Sequence[PurePosixPath]) -> Layout:
        """The layout of songs.

        Folders are splits if one of them is called after train, and another after test or validation.

        Parameters
        ----------
        songs : sequence of PurePosixPath
            Relative to the folder of songs.
        """
        first, second = (_folders(songs, level) for level in (0, 1))
        if _are_splits(first):
            return cls(genre=1, split=0)
        if _are_splits(second) and None not in map(split_called, second) and first.total() == second.total():
            return cls(genre=0, split=1)
        return cls()

    def place(self, song: PurePosixPath) -> tuple[str, str] | None:
        """The name of the genre's folder, and the split or an empty string; None for a song that is in neither."""
        folders = song.parts[:-1]
        if max(self.genre, self.split or 0) >= len(folders):
            return None
        split = "" if self.split is None else split_called(folders[self.split])
        return None if split is None else (folders[self.genre], split)


def _folders(songs: Iterable[PurePosixPath], level: int) -> Counter[str]:
    """Number of songs by the name of the folder at a level of their paths."""
    return Counter(song.parts[level] for song in songs if len(song.parts) > level + 1)


def _are_splits(folders: Mapping[str, int]) -> bool:
    splits = {split_called(folder) for folder in folders} - {None}
    return "train" in splits and len(splits) > 1


def check_split_folders(folder: Path, layout: Layout, songs: Sequence[PurePosixPath], *, split_folders: bool) -> None:
    """Check that the folders are splits if they are to be taken as such, and only then.

    Parameters
    ----------
    folder : Path
        Of the songs.
    layout : Layout
        As recognised.
    songs : sequence of PurePosixPath
        Relative to it.
    split_folders : bool
        Whether the folders are to be taken as the splits.

    Raises
    ------
    TmgcError
        They are not, or those of train or test are missing.
    """
    names = _folders(songs, layout.split or 0)
    found = ", ".join(quoted(name) for name in sorted(names)[:_SHOWN]) or "no folder with songs"
    if layout.split is not None and not split_folders:
        raise TmgcError(
            f"folders in {folder} must be genres: {found} are those of a data set that is already split. Take its "
            "splits as they are with --split-folders, or move the songs of each genre into one folder, to split them "
            "anew"
        )
    missing = {"train", "test"} - {split_called(name) for name in names}
    if split_folders and (layout.split is None or missing):
        lacking = f", none of {' and '.join(sorted(missing))}" if missing else ""
        raise TmgcError(
            f"--split-folders takes {', '.join(SPLITS)} (validation may be missing) in {folder}, each with folders of "
            f"genres: found {found}{lacking}. Rename the folders, or leave --split-folders out"
        )


_SHOWN = 8
"""Names in a message."""

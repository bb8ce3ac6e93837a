"""A split that the folders of songs give: taken as it is, with a report of what is in two splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from logging import getLogger

from edge_runtime.errors import TmgcError
from train.dataset.discover import Song
from train.dataset.split import Unit, connected_groups, split_units
from train.run import SPLITS

_log = getLogger("tmgc.dataset")


def given_split(
    songs: Sequence[Song], groups: Sequence[Sequence[int]], *, split_ratios: tuple[float, float, float], seed: int
) -> list[str]:
    """The split of each song by its folder.

    Where no folder is that of validation, songs of train become those: as many as ``split_ratios`` ask for, stratified
    by genre, the songs of a group together.

    Parameters
    ----------
    songs : sequence of Song
        With their splits.
    groups : sequence of sequence of int
        Songs that should be in one split, by index: each song is in one group.
    split_ratios : (float, float, float), each > 0
        Of train, validation and test.
    seed : int

    Returns
    -------
    splits : list of str [length=len(songs)]
        ``train``, ``validation`` or ``test``.

    Raises
    ------
    TmgcError
        A genre has no songs in a split.
    """
    splits = [song.split for song in songs]
    if "validation" not in splits:
        _log.info("songs of train become those of validation, for which there is no folder")
        parts = [part for group in groups if (part := [song for song in group if splits[song] == "train"])]
        units = [Unit(songs[part[0]].relative_path, Counter(songs[song].genre for song in part)) for part in parts]
        ratios = [ratio / sum(split_ratios[:2]) for ratio in split_ratios[:2]]
        assigned = split_units(units, split_ratios=ratios, seed=seed, kind="groups", names=SPLITS[:2])
        for part, split in zip(parts, assigned, strict=True):
            for song in part:
                splits[song] = split
    present = {(song.genre, split) for song, split in zip(songs, splits, strict=True)}
    for genre in sorted({song.genre for song in songs}):
        if missing := [split for split in SPLITS if (genre, split) not in present]:
            raise TmgcError(
                f"every genre needs songs in every split: {genre} has none that give clips in {' and '.join(missing)}. "
                "Add songs, or remove the folders of the genre"
            )
    return splits


def leaks(songs: Sequence[Song], splits: Sequence[str], keys: Mapping[str, Sequence[Collection[str]]]) -> list[str]:
    """A message for each kind of key, such as artists, of which one has songs in two splits.

    Parameters
    ----------
    songs : sequence of Song
    splits : sequence of str [length=len(songs)]
    keys : mapping of str to sequence of collection of str [length=len(songs)]
        By kind, the keys of each song.
    """
    messages = []
    for kind, of_songs in keys.items():
        groups = connected_groups(len(songs), [of_songs], ())
        divided = [group for group in groups if len({splits[song] for song in group}) > 1]
        if divided:
            one = divided[0][0]
            other = next(song for song in divided[0] if splits[song] != splits[one])
            where = " and ".join(f"{songs[song].relative_path} ({splits[song]})" for song in (one, other))
            messages.append(
                f"the same {kind} are in two splits ({len(divided)} of them, such as {where}): the test is too easy"
            )
    return messages

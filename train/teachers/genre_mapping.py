"""From a teacher's tags to genres: which tags stand for a genre, as data that a user may replace by a file.

The score of a genre is the largest log-odds among its tags minus the genre's prior; softmax makes probabilities of
scores. No weight is trained.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line, shortened
from edge_runtime.model_card import check_genres
from train.dataset.genres import RESERVED, name_key

NOTE = (
    "The genres are tags that people gave to mostly Western music. Arabesk, Tasavvuf, Turkish classical music and "
    "other Turkish genres have no counterpart among them: such music gets the nearest of these names."
)
"""Stands in the card of every model that is made from a mapping."""

MAGNATAGATUNE = "mtt:"
"""What the names of MagnaTagATune's tags begin with; the others are of the Million Song Dataset."""

MAX_TAGS = 100
"""Tags of a mapping: the two networks of musicnn know as many."""

_MAX_BYTES = 100_000


@dataclass(frozen=True)
class GenreMapping:
    """The tags of each genre.

    Raises
    ------
    TmgcError
        There are fewer than two genres, a genre has no tag or a name that means something else, or a tag stands for
        two genres.
    """

    tags_of: Mapping[str, tuple[str, ...]]
    """By genre, in the order of the model's outputs."""

    def __post_init__(self) -> None:
        check_genres(self.genres)
        _check_names(self.genres)
        genre_of: dict[str, str] = {}
        for genre, tags in self.tags_of.items():
            if not tags:
                raise TmgcError(f"a genre needs at least one tag: {genre} has none. Name one, or remove the genre")
            for tag in tags:
                if tag in genre_of:
                    other = "twice for" if genre_of[tag] == genre else f"for {genre_of[tag]} and"
                    raise TmgcError(f"a tag stands for one genre, once: {tag} stands {other} {genre}. Remove one")
                genre_of[tag] = genre

    @property
    def genres(self) -> tuple[str, ...]:
        """In the order of the model's outputs."""
        return tuple(self.tags_of)

    @property
    def tags(self) -> tuple[str, ...]:
        """Of all genres."""
        return tuple(tag for tags in self.tags_of.values() for tag in tags)

    def within(self, known: Sequence[str]) -> GenreMapping:
        """The part of the mapping that a network knows.

        Raises
        ------
        TmgcError
            It knows the tags of fewer than two genres.
        """
        tags_of = {genre: tuple(tag for tag in tags if tag in known) for genre, tags in self.tags_of.items()}
        found = {genre: tags for genre, tags in tags_of.items() if tags}
        if len(found) < 2:
            raise TmgcError(
                f"a network is adopted for the tags that it knows, here {shortened(list(known))}: name the tags of two "
                "genres or more with --mapping FILE"
            )
        return GenreMapping(found)

    def check_known(self, known: Sequence[str]) -> None:
        """Check that a network knows all tags.

        Raises
        ------
        TmgcError
            It does not; the message suggests a tag.
        """
        for genre, tags in self.tags_of.items():
            for tag in tags:
                if tag not in known:
                    near = get_close_matches(tag.lower(), [each.lower() for each in known], n=1, cutoff=0.5)
                    meant = next((each for each in known if [each.lower()] == near), None)
                    hint = f"Did you mean {meant}?" if meant else f"It knows {', '.join(known)}"
                    raise TmgcError(f"a genre is made of tags that the network knows: {genre} names {tag!r}. {hint}")

    def columns(self, tags: Sequence[str]) -> NDArray[np.intp]:
        """Positions of each genre's tags among a network's, ``[shape=(most_tags, n_genres)], int``.

        A genre with fewer tags than another repeats its own, which does not change their maximum.
        """
        most = max(map(len, self.tags_of.values()))
        own = [[tags.index(tag) for tag in each] for each in self.tags_of.values()]
        return np.array([[positions[row % len(positions)] for positions in own] for row in range(most)])

    def scores(self, log_odds: NDArray[np.floating[Any]], tags: Sequence[str]) -> NDArray[np.float64]:
        """The largest log-odds among each genre's tags.

        Parameters
        ----------
        log_odds : np.ndarray [shape=(n, n_tags)]
        tags : sequence of str, n_tags

        Returns
        -------
        scores : np.ndarray [shape=(n, n_genres)], float64
        """
        scores: NDArray[np.float64] = log_odds.astype(np.float64)[:, self.columns(tags)].max(axis=1)
        return scores


def _check_names(genres: Iterable[str]) -> None:
    keys: dict[str, str] = {}
    for genre in genres:
        key = name_key(genre)
        if meaning := RESERVED.get(key):
            raise TmgcError(f"a genre cannot be called {genre}, which is {meaning}: rename it in the mapping")
        if key in keys:
            raise TmgcError(
                f"genres must differ in more than case and spaces, got {keys[key]} and {genre}: rename one of them"
            )
        keys[key] = genre


def read_mapping(path: Path) -> GenreMapping:
    """Read a mapping from a JSON file: an object with a list of tags for each genre.

    Raises
    ------
    TmgcError
        It cannot be read, or is no such mapping.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            document: Any = json.loads(file.read(_MAX_BYTES), object_pairs_hook=_without_repetition)
        if not isinstance(document, dict):
            raise TypeError("it is no object")
        tags_of = {genre: _tags(genre, tags) for genre, tags in document.items()}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TmgcError(
            f'a mapping is a JSON file such as {{"Caz": ["jazz"], "Rock": ["rock", "hard rock"]}}: {path} is none '
            f"({first_line(error)}). Correct it"
        ) from error
    try:
        return GenreMapping(tags_of)
    except TmgcError as error:
        raise TmgcError(f"{path}: {error}") from error


def _tags(genre: str, tags: Any) -> tuple[str, ...]:
    if not isinstance(tags, list) or len(tags) > MAX_TAGS or not all(isinstance(tag, str) for tag in tags):
        raise TypeError(f"the tags of {shortened(genre)} must be a list of at most {MAX_TAGS} texts")
    return tuple(tags)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the genre {shortened(repeated)} stands there twice")
    return dict(pairs)


WORLD = GenreMapping(
    {
        "Blues": ("blues",),
        "Caz": ("jazz",),
        "Country": ("country",),
        "Elektronik": ("electronic", "electronica", "electro", "House", "dance"),
        "Halk": ("folk",),
        "Klasik": ("mtt:classical", "mtt:classic", "mtt:opera", "mtt:choral"),
        "Metal": ("metal", "heavy metal"),
        "Pop": ("pop", "indie pop"),
        "Punk": ("punk",),
        "Rap": ("Hip-Hop",),
        "Rock": ("rock", "classic rock", "alternative rock", "indie rock", "hard rock", "Progressive rock"),
        "Soul/R&B": ("soul", "rnb", "funk"),
    }
)
"""Tags that are names of genres, by genre; moods, instruments and decades are left out. Only MagnaTagATune has one for
classical music."""

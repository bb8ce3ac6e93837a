"""Genres are shared as asked for, units never part, and what cannot be reached is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from edge_runtime import TmgcError
from train.dataset.split import Unit, shortfalls, split_units
from train.run import SPLITS

RATIOS = (0.8, 0.1, 0.1)


def units_of(genre: str, sizes: Sequence[int]) -> list[Unit]:
    return [Unit(f"{genre}/{number}", Counter({genre: size})) for number, size in enumerate(sizes)]


def songs_in(units: Sequence[Unit], splits: Sequence[str], genre: str) -> list[int]:
    pairs = list(zip(units, splits, strict=True))
    return [sum(unit.genres[genre] for unit, side in pairs if side == split) for split in SPLITS]


@pytest.mark.parametrize(
    ("songs", "split_ratios", "wanted"),
    [
        (40, RATIOS, [32, 4, 4]),
        (40, (0.5, 0.25, 0.25), [20, 10, 10]),
        (12, RATIOS, [10, 1, 1]),
        (3, RATIOS, [1, 1, 1]),
        (150, RATIOS, [120, 15, 15]),
    ],
)
def test_songs_are_shared_exactly_in_every_genre(
    songs: int, split_ratios: tuple[float, float, float], wanted: list[int]
) -> None:
    units = units_of("A", [1] * songs) + units_of("B", [1] * songs)
    splits = split_units(units, split_ratios=split_ratios, seed=0, kind="songs")
    assert songs_in(units, splits, "A") == songs_in(units, splits, "B") == wanted
    assert not shortfalls(units, splits, split_ratios=split_ratios, kind="songs")


def test_the_seed_and_nothing_else_decides() -> None:
    units = units_of("A", [1] * 40)
    first = split_units(units, split_ratios=RATIOS, seed=1, kind="songs")
    assert first == split_units(units, split_ratios=RATIOS, seed=1, kind="songs")
    assert first != split_units(units, split_ratios=RATIOS, seed=2, kind="songs")
    backwards = split_units(units[::-1], split_ratios=RATIOS, seed=1, kind="songs")[::-1]
    assert first == backwards


@pytest.mark.parametrize("sizes", [[10, 10, 1], [30, 5, 3, 3], [7] * 7, [1, 1, 50], [9, 8, 7, 6, 5, 4, 3, 2, 1]])
def test_every_split_has_every_genre_however_large_the_artists(sizes: list[int]) -> None:
    units = units_of("A", sizes)
    splits = split_units(units, split_ratios=RATIOS, seed=3, kind="artists")
    counts = songs_in(units, splits, "A")
    assert min(counts) > 0
    assert counts[0] == max(counts), "most songs are to train on"


def test_artists_of_a_usual_collection_come_close_to_the_shares() -> None:
    units = units_of("A", [1 + number % 8 for number in range(60)])
    splits = split_units(units, split_ratios=RATIOS, seed=0, kind="artists")
    total = sum(unit.genres["A"] for unit in units)
    assert songs_in(units, splits, "A") == pytest.approx([0.8 * total, 0.1 * total, 0.1 * total], abs=2)
    assert not shortfalls(units, splits, split_ratios=RATIOS, kind="artists")


def test_what_artists_make_impossible_is_said() -> None:
    units = units_of("Halk", [20, 20, 20])
    splits = split_units(units, split_ratios=RATIOS, seed=0, kind="artists")
    (line,) = shortfalls(units, splits, split_ratios=RATIOS, kind="artists")
    assert line == "Halk is split into 20/20/20 songs, not 48/6/6, since its artists stay whole"


def test_units_of_two_genres_stay_whole_and_both_genres_are_filled() -> None:
    both = [Unit(f"both/{number}", Counter({"A": 2, "B": 3})) for number in range(3)]
    units = both + units_of("A", [1] * 20) + units_of("B", [1] * 20)
    splits = split_units(units, split_ratios=RATIOS, seed=0, kind="artists")
    for genre in "AB":
        assert min(songs_in(units, splits, genre)) > 0
    assert len(splits) == len(units)


def test_a_genre_with_two_artists_is_refused_by_name_with_the_way_out() -> None:
    units = units_of("Halk", [5, 5]) + units_of("Caz", [1] * 5)
    with pytest.raises(TmgcError, match=r"Halk has 2 .*--group-by song"):
        split_units(units, split_ratios=RATIOS, seed=0, kind="artists")

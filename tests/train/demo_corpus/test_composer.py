"""A song depends on its arguments alone and has audible sound in every window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from train.demo_corpus import DIFFICULTIES, GENRES, SAMPLE_RATE, synthesize_song

QUIETEST_WINDOW = 10 ** (-45 / 20)
"""Root mean square of full scale: the softest genre peaks some 10 dB below it, and music has a crest of 15 dB."""
WINDOW = 2 * SAMPLE_RATE


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("genre", GENRES)
def test_every_two_seconds_of_every_genre_hold_finite_sound(genre: str, difficulty: str) -> None:
    samples = synthesize_song(genre, song=3, seed=11, seconds=6.0, difficulty=difficulty)
    assert samples.shape == (6 * SAMPLE_RATE,)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0
    for start in range(0, len(samples) - WINDOW + 1, SAMPLE_RATE // 2):
        assert np.sqrt(np.mean(samples[start : start + WINDOW] ** 2)) > QUIETEST_WINDOW


def test_the_same_numbers_give_the_same_song() -> None:
    first, second = (synthesize_song("Caz", song=1, seed=5, seconds=2.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_songs_seeds_genres_and_difficulties_all_differ() -> None:
    songs = [
        synthesize_song("Rock", song=0, seconds=2.0),
        synthesize_song("Rock", song=1, seconds=2.0),
        synthesize_song("Rock", song=0, seed=1, seconds=2.0),
        synthesize_song("Punk", song=0, seconds=2.0),
        synthesize_song("Rock", song=0, seconds=2.0, difficulty="hard"),
    ]
    for number, one in enumerate(songs):
        for other in songs[number + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_a_song_may_have_a_length_of_any_number_of_samples() -> None:
    assert synthesize_song("Halk", song=0, seconds=2.34567).shape == (round(2.34567 * SAMPLE_RATE),)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"genre": "Opera"}, "genre of Arabesk"),
        ({"song": -1}, "numbered from 0"),
        ({"difficulty": "brutal"}, "difficulty must be one of"),
        ({"seconds": 1.0}, "at least 2 seconds"),
    ],
)
def test_what_no_song_can_be_made_from_is_refused(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(TmgcError, match=rule):
        synthesize_song(**{"genre": "Pop", "song": 0, **wrong})

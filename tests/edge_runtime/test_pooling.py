"""Windows become one answer by mean, by logits or by vote."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.pooling import MIN_PROBABILITY, POOLINGS, Pool, pool


def random_windows(count: int, genres: int = 10, *, seed: int = 0) -> NDArray[np.float32]:
    """Probabilities of the windows of a song as a network gives them: some sure, some not."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 3.0, (count, genres))
    logits[:, rng.integers(genres)] += 3.0
    exponentials = np.exp(logits)
    probabilities: NDArray[np.float32] = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def test_each_pooling_is_what_its_name_says() -> None:
    windows = np.array([[0.5, 0.4, 0.1], [0.45, 0.4, 0.15], [0.05, 0.9, 0.05]])
    np.testing.assert_allclose(pool(windows, "mean"), windows.mean(axis=0))
    geometric = np.prod(windows, axis=0) ** (1 / 3)
    np.testing.assert_allclose(pool(windows, "log_mean"), geometric / geometric.sum())
    np.testing.assert_allclose(pool(windows, "vote"), [2 / 3, 1 / 3, 0.0], atol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_windows_that_come_one_by_one_give_the_same_answer(pooling: str) -> None:
    windows = random_windows(50)
    stream = Pool(pooling, threshold=0.4)
    for window in windows:
        stream.add(window)
    assert stream.windows == 50
    np.testing.assert_allclose(stream.probabilities(), pool(windows, pooling, threshold=0.4), rtol=1e-9)
    assert stream.probabilities().sum() <= 1 + 1e-6


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_single_window_keeps_its_genre(pooling: str) -> None:
    for window in random_windows(20):
        assert pool([window], pooling).argmax() == window.argmax()
    assert pool([[0.7, 0.2, 0.1]], "mean").tolist() == [0.7, 0.2, 0.1]


def test_a_window_in_which_a_genre_has_probability_0_does_not_rule_it_out() -> None:
    windows = np.array([[0.9, 0.1, 0.0]] * 5 + [[0.0, 0.0, 1.0]])
    found = pool(windows, "log_mean")
    assert found.argmax() == 0
    assert np.isfinite(found).all()
    assert found.min() >= MIN_PROBABILITY


def test_probabilities_of_an_int8_file_give_the_answers_of_the_network() -> None:
    songs = [random_windows(8, seed=seed) for seed in range(200)]
    for pooling in POOLINGS:
        exact = np.array([pool(song, pooling).argmax() for song in songs])
        rounded = np.array([pool(np.round(song * 256) / 256, pooling).argmax() for song in songs])
        assert (exact == rounded).mean() >= 0.98, pooling


def test_of_genres_with_as_many_votes_the_one_with_the_highest_mean_wins() -> None:
    assert pool([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]], "vote").argmax() == 1
    assert pool([[0.1, 0.9, 0.0], [0.6, 0.4, 0.0]], "vote").argmax() == 1


def test_a_window_below_the_threshold_abstains_so_that_an_unknown_sound_has_no_winner() -> None:
    unsure = [[0.4, 0.3, 0.3]] * 9
    assert pool(unsure, "vote").max() == pytest.approx(1.0, abs=1e-4)
    assert pool(unsure, "vote", threshold=0.5).max() < 0.01
    assert pool([*unsure, [0.9, 0.1, 0.0]], "vote", threshold=0.5).max() == pytest.approx(0.1, abs=1e-3)

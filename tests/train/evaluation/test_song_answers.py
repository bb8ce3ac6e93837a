"""Pooling and smoothing are chosen on songs, and only where these are enough to tell."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.model_card import DEFAULT_SMOOTHING_SECONDS
from edge_runtime.pooling import POOLINGS
from edge_runtime.predictions import Summarizer
from tests.edge_runtime.factories import make_prediction
from train.dataset.dataset import Clip
from train.evaluation.metrics import Predicted, compute_scores
from train.evaluation.song_answers import (
    LONGEST_SMOOTHING_SECONDS,
    MIN_SONGS,
    accuracy_curve,
    choose_answer,
    compare_poolings,
)

GENRES = ("Caz", "Halk", "Rock")


def songs_of(windows: list[list[list[float]]], *, group_size: int = 1) -> Predicted:
    """Songs of ``Caz``, given the probabilities of the windows of each, whose clips are listed in the order of time."""
    clips = [
        Clip(f"{song}-{part}", str(song), "Caz", "test", 2.0 * part, 0.0, -20.0, group=str(song // group_size))
        for song, rows in enumerate(windows)
        for part in range(len(rows))
    ]
    probabilities = np.array([row for rows in windows for row in rows], np.float32)
    return Predicted(clips, np.zeros(len(clips), np.int64), probabilities)


RIGHT, NARROWLY_RIGHT, WRONG = [0.9, 0.05, 0.05], [0.5, 0.4, 0.1], [0.05, 0.9, 0.05]
SURELY_WRONG = [0.01, 0.98, 0.01]


def test_the_curve_follows_time_and_ends_at_the_accuracy_of_the_songs() -> None:
    found = songs_of([[WRONG, RIGHT, RIGHT, RIGHT], [RIGHT, RIGHT, WRONG, RIGHT]])
    curve = accuracy_curve(found, 2.0, "mean", threshold=0.0)
    assert [(point.windows, point.seconds, point.songs) for point in curve] == [(n, 2.0 * n, 2) for n in (1, 2, 3, 4)]
    assert [point.accuracy for point in curve] == [0.5, 1.0, 1.0, 1.0]
    clips, labels, probabilities = found
    order = np.random.default_rng(1).permutation(len(clips))
    shuffled = Predicted([clips[row] for row in order], labels[order], probabilities[order])
    assert [point.accuracy for point in accuracy_curve(shuffled, 2.0, "mean", threshold=0.0)] == [0.5, 1.0, 1.0, 1.0]
    scores = compute_scores(probabilities, clips, GENRES, split="test")
    assert (curve[-1].accuracy, curve[-1].accuracy_ci) == (scores.song_accuracy, scores.song_accuracy_ci)


def test_a_short_song_keeps_its_answer_so_that_every_point_has_the_same_songs() -> None:
    found = songs_of([[RIGHT], [WRONG, RIGHT, RIGHT]])
    curve = accuracy_curve(found, 2.0, "mean", threshold=0.0)
    assert [point.songs for point in curve] == [2, 1, 1]
    assert curve[-1].accuracy == 1.0


def test_the_curve_of_long_songs_has_few_points_and_the_last_one_has_all_windows() -> None:
    curve = accuracy_curve(songs_of([[RIGHT] * 500] * 3), 2.0, "mean", threshold=0.0)
    assert len(curve) <= 20
    assert [point.windows for point in curve][:3] == [1, 2, 3]
    assert curve[-1].windows == 500


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_accuracy_by_song_is_that_of_the_chosen_pooling(pooling: str) -> None:
    found = songs_of([[NARROWLY_RIGHT, NARROWLY_RIGHT, WRONG]])
    scores = compute_scores(found.probabilities, found.clips, GENRES, split="test", pooling=pooling)
    assert scores.song_accuracy == float(pooling == "vote")
    assert accuracy_curve(found, 2.0, pooling, threshold=0.0)[-1].accuracy == scores.song_accuracy


def test_the_mean_is_kept_unless_another_pooling_is_significantly_better() -> None:
    voters = [[NARROWLY_RIGHT, NARROWLY_RIGHT, WRONG]]
    unanimous = [[RIGHT, RIGHT, RIGHT]]
    few = choose_answer(songs_of(voters * 2 + unanimous * 10), 2.0, threshold=0.0)
    assert few.pooling == "mean"
    assert "none is significantly better on 12 validation songs" in few.pooling_reason
    many = choose_answer(songs_of(voters * 12 + unanimous * 10), 2.0, threshold=0.0)
    assert many.pooling == "vote"
    assert "better than the mean on 22 validation songs" in many.pooling_reason
    one_group = choose_answer(songs_of(voters * 12 + unanimous * 10, group_size=12), 2.0, threshold=0.0)
    assert one_group.pooling == "mean", "twelve songs of one artist are one observation"


def test_the_smoothing_is_the_shortest_within_a_point_of_the_best() -> None:
    slow = [[SURELY_WRONG, SURELY_WRONG, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT]]
    quick = [[RIGHT] * 7]
    chosen = choose_answer(songs_of(slow * 10 + quick * 30), 2.0, threshold=0.0)
    assert chosen.smoothing_seconds == 10.0
    assert chosen.smoothing_reason == "100.0 % of 40 validation songs, the best being 100.0 % after 10 s"


@pytest.mark.parametrize(("late", "songs"), [(1, 120), (1, 40)])
def test_a_single_song_that_needs_longer_does_not_lengthen_the_smoothing(late: int, songs: int) -> None:
    windows = [[SURELY_WRONG, SURELY_WRONG, RIGHT, RIGHT, RIGHT, RIGHT]] * late + [[RIGHT] * 6] * songs
    assert choose_answer(songs_of(windows), 2.0, threshold=0.0).smoothing_seconds == 2.0


def test_the_smoothing_is_never_so_long_that_it_shows_the_song_before() -> None:
    slow = [[SURELY_WRONG] * 20 + [RIGHT] * 60]
    chosen = choose_answer(songs_of(slow * 20 + [[RIGHT] * 80] * 20), 2.0, threshold=0.0)
    assert chosen.smoothing_seconds <= LONGEST_SMOOTHING_SECONDS


@pytest.mark.parametrize(("songs", "windows"), [(MIN_SONGS - 1, 8), (MIN_SONGS + 10, 2), (MIN_SONGS + 10, 1)])
def test_too_few_songs_or_windows_leave_the_smoothing_as_it_is(songs: int, windows: int) -> None:
    chosen = choose_answer(songs_of([[RIGHT] * windows] * songs), 2.0, threshold=0.0)
    assert chosen.smoothing_seconds == DEFAULT_SMOOTHING_SECONDS
    assert "the default" in chosen.smoothing_reason


def test_one_long_song_does_not_decide_how_long_to_smooth() -> None:
    songs = [[RIGHT] * 4] * MIN_SONGS + [[WRONG] * 20 + [RIGHT] * 100]
    assert choose_answer(songs_of(songs), 2.0, threshold=0.0).smoothing_seconds <= 8.0


def test_every_pooling_has_its_curve_on_the_evaluated_split() -> None:
    found = songs_of([[NARROWLY_RIGHT, NARROWLY_RIGHT, WRONG], [RIGHT, RIGHT, WRONG]])
    answers = compare_poolings(choose_answer(found, 2.0, threshold=0.0), found, 2.0, threshold=0.0)
    assert tuple(answers.curves) == POOLINGS
    assert {name: curve[-1].accuracy for name, curve in answers.curves.items()} == {
        "mean": 0.5,
        "log_mean": 0.5,
        "vote": 1.0,
    }


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("threshold", [0.0, 0.55, 0.99])
def test_the_accuracy_by_song_is_that_of_the_listeners_summaries(pooling: str, threshold: float) -> None:
    random = np.random.default_rng(1)
    found = songs_of(random.dirichlet((1.5, 1.0, 1.0), (60, 5)).tolist())
    summaries = []
    for song in found.probabilities.reshape(60, 5, 3):
        summarizer = Summarizer("song", threshold=threshold, pooling=pooling)
        for window in song:
            summarizer.add(make_prediction(probabilities=dict(zip(GENRES, window.tolist(), strict=True))))
        summaries.append(summarizer.summary().probabilities)
    heard = np.mean([max(pooled, key=pooled.__getitem__) == "Caz" for pooled in summaries])
    scores = compute_scores(
        found.probabilities, found.clips, GENRES, split="test", pooling=pooling, threshold=threshold
    )
    curve = accuracy_curve(found, 2.0, pooling, threshold=threshold)
    assert curve[-1].accuracy == scores.song_accuracy == heard


def test_votes_that_the_threshold_rejects_do_not_choose_the_vote() -> None:
    voters = songs_of([[NARROWLY_RIGHT, NARROWLY_RIGHT, WRONG]] * 12 + [[RIGHT, RIGHT, RIGHT]] * 10)
    assert choose_answer(voters, 2.0, threshold=0.4).pooling == "vote"
    assert choose_answer(voters, 2.0, threshold=0.6).pooling == "mean"

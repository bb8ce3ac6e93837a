"""Metrics are those of the predictions, and their intervals respect groups of songs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from train.dataset.dataset import Clip
from train.evaluation.metrics import accuracy_interval, compute_scores, paired_difference, wilson_interval, with_ci

GENRES = ("Caz", "Halk")


def clips_of(genre: str, song: str, count: int, *, group: str = "") -> list[Clip]:
    """Clips of one song that have no files."""
    return [Clip(f"{song}{part}", song, genre, "test", 2.0 * part, 0.0, -20.0, group or song) for part in range(count)]


CLIPS = [*clips_of("Caz", "a", 2), *clips_of("Halk", "b", 2)]
PREDICTIONS = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.55, 0.45]], np.float32)


def test_a_song_is_classified_by_the_mean_of_its_clips() -> None:
    found = compute_scores(PREDICTIONS, CLIPS, GENRES, split="test")
    assert (found.clip_accuracy, found.song_accuracy) == (0.5, 1.0)
    assert (found.clips, found.songs) == (4, 2)
    assert found.confusion == ((1, 1), (1, 1))
    assert found.song_confusion == ((1, 0), (0, 1))
    assert found.per_genre["Caz"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "clips": 2.0}
    assert found.per_genre_songs["Halk"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "songs": 1.0}
    assert (found.clip_macro_f1, found.song_macro_f1) == (0.5, 1.0)


def test_the_two_most_probable_genres_count_as_top_2() -> None:
    predictions = np.array([[0.5, 0.3, 0.2], [0.3, 0.2, 0.5], [0.2, 0.3, 0.5]], np.float32)
    found = compute_scores(predictions, clips_of("Caz", "a", 3), ("Caz", "Halk", "Rock"), split="test")
    assert found.clip_accuracy == pytest.approx(1 / 3)
    assert found.clip_top2_accuracy == pytest.approx(2 / 3)
    assert found.song_top2_accuracy == 1.0


def test_a_genre_that_the_split_lacks_does_not_count_in_macro_f1() -> None:
    found = compute_scores(np.array([[0.9, 0.1]], np.float32), clips_of("Caz", "a", 1), GENRES, split="test")
    assert (found.clip_macro_f1, found.song_macro_f1) == (1.0, 1.0)
    assert found.per_genre["Halk"]["f1"] == 0.0


def test_the_interval_is_bootstrapped_over_songs_not_clips() -> None:
    clips = [clip for song in range(10) for clip in clips_of("Caz", f"{song}-", 50)]
    right = np.repeat(np.arange(10) < 5, 50)
    probabilities = np.stack([right, ~right], axis=1).astype(np.float32)
    low, high = compute_scores(probabilities, clips, GENRES, split="test").clip_accuracy_ci
    assert 0.15 <= low <= 0.3
    assert 0.7 <= high <= 0.85


def test_songs_of_one_group_count_as_songs_but_widen_both_intervals() -> None:
    right = np.repeat(np.arange(10) < 5, 8)
    probabilities = np.stack([right, ~right], axis=1).astype(np.float32)
    alone = [clip for song in range(40) for clip in clips_of("Caz", f"{song}-", 2)]
    grouped = [clip for song in range(40) for clip in clips_of("Caz", f"{song}-", 2, group=f"{song // 4}")]
    one, other = (compute_scores(probabilities, clips, GENRES, split="test") for clips in (alone, grouped))
    assert one.songs == other.songs == 40
    assert one.song_accuracy == other.song_accuracy == 0.5
    for narrow, wide in (
        (one.clip_accuracy_ci, other.clip_accuracy_ci),
        (one.song_accuracy_ci, other.song_accuracy_ci),
    ):
        assert wide[0] < narrow[0] - 0.05
        assert narrow[1] + 0.05 < wide[1]


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(30, 30, 0.8865, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662)],  # the last: Newcombe 1998, table I
)
def test_the_interval_of_a_proportion_is_wilsons(successes: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(successes, count) == pytest.approx((low, high), abs=1e-4)


def test_a_share_is_written_with_its_confidence_interval() -> None:
    assert with_ci(0.931, (0.904, 0.95)) == "93.1 % (95 % CI 90 to 95)"


@pytest.mark.parametrize("count", [1, 3, 30, 300])
@pytest.mark.parametrize("correct", [True, False])
def test_songs_that_are_all_correct_or_all_wrong_leave_an_interval_of_some_width(count: int, correct: bool) -> None:
    low, high = accuracy_interval(np.full(count, correct), [np.array([number]) for number in range(count)])
    assert high - low > 1 / (count + 4)
    assert (high if correct else low) == float(correct)


@pytest.mark.parametrize(("correct", "count"), [(3, 3), (0, 10), (7, 10), (30, 30), (50, 60), (81, 263)])
def test_for_independent_songs_it_is_close_to_wilsons_interval(correct: int, count: int) -> None:
    found = accuracy_interval(np.arange(count) < correct, [np.array([number]) for number in range(count)])
    assert found == pytest.approx(wilson_interval(correct, count), abs=0.09)


def test_the_interval_covers_the_truth_in_19_of_20_samples() -> None:
    rng = np.random.default_rng(0)
    groups = [np.arange(4 * number, 4 * number + 4) for number in range(25)]
    covered = 0
    for _ in range(200):
        low, high = accuracy_interval(np.repeat(rng.random(25) < 0.9, 4), groups)
        covered += low <= 0.9 <= high
    assert covered >= 184, "190 are expected"


def paired_clips(songs: int, *, clips: int = 1, group_size: int = 1) -> list[Clip]:
    return [
        Clip(f"{song}-{part}", str(song), "Caz", "test", 0.0, 0.0, -20.0, group=str(song // group_size))
        for song in range(songs)
        for part in range(clips)
    ]


def correct(songs: int, *, of: int, clips: int = 1) -> NDArray[np.bool_]:
    """The clips of the first songs are classified correctly, and no others."""
    return np.repeat(np.arange(of) < songs, clips)


@pytest.mark.parametrize(("one", "other", "sign"), [(90, 50, 1), (50, 90, -1), (50, 48, 0), (50, 50, 0)])
def test_only_a_large_difference_over_many_songs_is_significant(one: int, other: int, sign: int) -> None:
    found = paired_difference(correct(one, of=100), correct(other, of=100), paired_clips(100))
    assert found.value == pytest.approx((one - other) / 100)
    assert found.ci[0] < found.value < found.ci[1]
    assert (found.sign, found.songs) == (sign, 100)


def test_four_songs_of_ten_are_not_significant() -> None:
    assert paired_difference(correct(9, of=10), correct(5, of=10), paired_clips(10)).sign == 0


def test_clips_of_one_song_count_as_one() -> None:
    many_clips = paired_difference(correct(9, of=10, clips=50), correct(5, of=10, clips=50), paired_clips(10, clips=50))
    assert many_clips.sign == 0
    assert paired_difference(correct(450, of=500), correct(250, of=500), paired_clips(500)).sign == 1


def test_songs_of_one_group_count_as_one() -> None:
    one, other = correct(45, of=50), correct(25, of=50)
    assert paired_difference(one, other, paired_clips(50)).sign == 1
    grouped = paired_difference(one, other, paired_clips(50, group_size=5))
    assert (grouped.sign, grouped.songs) == (0, 50)


def test_songs_that_are_hard_for_both_widen_nothing() -> None:
    """The two models' own intervals overlap, and the difference is nevertheless significant."""
    one, other = correct(60, of=100), correct(48, of=100)
    low, high = paired_difference(one, other, paired_clips(100)).ci
    assert 0.0 < low < 0.12 < high
    assert high - low < 0.17


def test_two_equal_models_differ_significantly_in_at_most_one_case_of_twenty() -> None:
    rng = np.random.default_rng(0)
    clips = paired_clips(20, clips=4)
    false_alarms = 0
    for _ in range(200):
        one, other = (np.repeat(rng.random(20) < 0.6, 4) for _ in range(2))
        false_alarms += paired_difference(one, other, clips).sign != 0
    assert false_alarms <= 16, "10 are expected at most, and 16 would be chance once in forty cases"

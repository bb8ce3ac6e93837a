"""The scores of an evaluation are those of its answers."""

from __future__ import annotations

import numpy as np
import pytest

from train.dataset.dataset import Clip
from train.evaluation.metrics import compute_scores

GENRES = ("Caz", "Halk")


def clips_of(genre: str, song: str, count: int, *, group: str = "") -> list[Clip]:
    """Clips of one song that have no files."""
    return [Clip(f"{song}{part}", song, genre, "test", 2.0 * part, 0.0, -20.0, group or song) for part in range(count)]


CLIPS = [*clips_of("Caz", "a", 2), *clips_of("Halk", "b", 2)]
ANSWERS = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.55, 0.45]], np.float32)


def test_a_song_is_named_by_the_mean_of_its_clips() -> None:
    found = compute_scores(ANSWERS, CLIPS, GENRES, split="test")
    assert (found.clip_accuracy, found.song_accuracy) == (0.5, 1.0)
    assert (found.clips, found.songs) == (4, 2)
    assert found.confusion == ((1, 1), (1, 1))
    assert found.song_confusion == ((1, 0), (0, 1))
    assert found.per_genre["Caz"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "clips": 2.0}
    assert found.per_genre_songs["Halk"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "songs": 1.0}
    assert (found.clip_macro_f1, found.song_macro_f1) == (0.5, 1.0)


def test_the_two_likeliest_answers_count_as_top_2() -> None:
    predictions = np.array([[0.5, 0.3, 0.2], [0.3, 0.2, 0.5], [0.2, 0.3, 0.5]], np.float32)
    found = compute_scores(predictions, clips_of("Caz", "a", 3), ("Caz", "Halk", "Rock"), split="test")
    assert found.clip_accuracy == pytest.approx(1 / 3)
    assert found.clip_top2_accuracy == pytest.approx(2 / 3)
    assert found.song_top2_accuracy == 1.0


def test_a_genre_that_the_split_lacks_does_not_count_in_macro_f1() -> None:
    found = compute_scores(np.array([[0.9, 0.1]], np.float32), clips_of("Caz", "a", 1), GENRES, split="test")
    assert (found.clip_macro_f1, found.song_macro_f1) == (1.0, 1.0)
    assert found.per_genre["Halk"]["f1"] == 0.0


def test_the_interval_is_drawn_over_songs_not_clips() -> None:
    clips = [clip for song in range(10) for clip in clips_of("Caz", f"{song}-", 50)]
    right = np.repeat(np.arange(10) < 5, 50)
    probabilities = np.stack([right, ~right], axis=1).astype(np.float32)
    low, high = compute_scores(probabilities, clips, GENRES, split="test").clip_interval
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
    for narrow, wide in ((one.clip_interval, other.clip_interval), (one.song_interval, other.song_interval)):
        assert wide[0] < narrow[0] - 0.05
        assert narrow[1] + 0.05 < wide[1]

"""The figures of an evaluation are those of its answers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from train.corpus import Clip
from train.judging.evaluate import judge, wilson_interval

GENRES = ("Caz", "Halk")


def clip(name: str, song: str, genre: str) -> Clip:
    return Clip(name, song, genre, "test", offset_seconds=0.0, lead_seconds=0.0, level_dbfs=-20.0)


CLIPS = [clip("a1", "a", "Caz"), clip("a2", "a", "Caz"), clip("b1", "b", "Halk"), clip("b2", "b", "Halk")]


def test_a_song_is_named_by_the_mean_of_its_clips() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.55, 0.45]], np.float32)
    found = judge(probabilities, CLIPS, GENRES, split="test")
    assert (found.clip_accuracy, found.song_accuracy) == (0.5, 1.0)
    assert (found.clips, found.songs) == (4, 2)
    assert found.confusion == ((1, 1), (1, 1))
    assert found.per_genre["Caz"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "clips": 2.0}


def test_the_interval_is_drawn_over_songs_not_clips() -> None:
    clips = [clip(f"{song}{part}", str(song), "Caz") for song in range(10) for part in range(50)]
    right = np.repeat(np.arange(10) < 5, 50)
    probabilities = np.stack([right, ~right], axis=1).astype(np.float32)
    low, high = judge(probabilities, clips, GENRES, split="test").clip_interval
    assert 0.15 <= low <= 0.25
    assert 0.75 <= high <= 0.85


def test_an_evaluation_is_json() -> None:
    found = judge(np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], CLIPS, GENRES, split="test")
    document = json.loads(found.to_json())
    assert document["song_accuracy"] == pytest.approx(1.0)
    assert "100.0%" in found.as_text()


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(30, 30, 0.8865, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662)],  # the last: Newcombe 1998, table I
)
def test_the_interval_of_a_share_is_wilsons(right: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=1e-4)

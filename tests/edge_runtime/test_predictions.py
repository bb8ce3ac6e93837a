"""Predictions are thresholded, and summarised for a whole source."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime import Prediction, Summarizer
from edge_runtime.predictions import apply_threshold
from tests.edge_runtime.factories import GENRES, make_prediction


def summarise(predictions: list[Prediction], *, threshold: float = 0.0) -> Summarizer:
    summarizer = Summarizer("sound", threshold=threshold)
    for prediction in predictions:
        summarizer.add(prediction)
    return summarizer


@pytest.mark.parametrize(("threshold", "genre"), [(0.0, "Caz"), (0.6, "Caz"), (0.61, "unknown"), (1.0, "unknown")])
def test_below_the_threshold_the_genre_is_unknown(threshold: float, genre: str) -> None:
    assert apply_threshold({"Halk": 0.3, "Caz": 0.6, "Rock": 0.1}, threshold) == (genre, 0.6)


def test_a_summary_is_the_mean_of_the_windows_that_are_not_silent() -> None:
    first, second = {"Halk": 0.6, "Caz": 0.3, "Rock": 0.1}, {"Halk": 0.1, "Caz": 0.7, "Rock": 0.2}
    predictions = [
        make_prediction(probabilities=first),
        make_prediction("silence", start=2.0),
        make_prediction(probabilities=second, start=4.0, model_ms=30.0, dropped_windows=2),
    ]
    summary = summarise(predictions).summary(overflows=3)
    assert summary.probabilities == pytest.approx({"Halk": 0.35, "Caz": 0.5, "Rock": 0.15})
    assert summary.genre == "Caz"
    assert summary.confidence == pytest.approx(0.5)
    assert (summary.windows, summary.seconds) == (3, 6.0)
    assert (summary.dropped_windows, summary.overflows) == (2, 3)
    assert set(summary.latency_ms) == {"p50", "p90", "p99", "max"}
    assert summary.latency_ms["max"] == 30.5


def test_a_summary_pools_the_windows_as_it_is_told() -> None:
    narrowly, surely = {"Halk": 0.5, "Caz": 0.4, "Rock": 0.1}, {"Halk": 0.05, "Caz": 0.9, "Rock": 0.05}
    voted = Summarizer("sound", threshold=0.45, pooling="vote")
    averaged = Summarizer("sound", threshold=0.45)
    for probabilities in (narrowly, narrowly, surely):
        for summarizer in (voted, averaged):
            summarizer.add(make_prediction(probabilities=probabilities))
    assert averaged.summary().genre == "Caz"
    assert voted.summary().genre == "Halk"
    assert voted.summary().confidence == pytest.approx(2 / 3, abs=1e-3)


def test_the_summary_of_silence_has_no_genre() -> None:
    summary = summarise([make_prediction("silence", start=float(n)) for n in range(3)]).summary()
    assert (summary.genre, summary.confidence, summary.probabilities) == ("silence", 0.0, {})
    assert summary.windows == 3


def test_a_source_without_a_window_has_a_summary() -> None:
    summary = summarise([]).summary()
    assert (summary.genre, summary.windows, summary.seconds, summary.realtime_factor) == ("silence", 0, 0.0, 0.0)
    assert summary.latency_ms == {}


def test_a_summary_below_the_threshold_is_unknown() -> None:
    predictions = [make_prediction(), make_prediction("Caz"), make_prediction("Caz")]
    confidence = summarise(predictions).summary().confidence
    assert summarise(predictions, threshold=confidence - 1e-6).summary().genre in GENRES
    unknown = summarise(predictions, threshold=confidence + 1e-6).summary()
    assert (unknown.genre, unknown.confidence) == ("unknown", confidence)


def test_latency_percentiles_are_exact_to_a_percent() -> None:
    latencies_ms = np.random.default_rng(0).lognormal(3, 1, 5000)
    predictions = [make_prediction(spectrogram_ms=0.0, model_ms=ms) for ms in latencies_ms]
    latency_ms = summarise(predictions).summary().latency_ms
    assert latency_ms["max"] == pytest.approx(latencies_ms.max())
    for percent in (50, 90, 99):
        assert latency_ms[f"p{percent}"] == pytest.approx(np.percentile(latencies_ms, percent), rel=0.01)


def test_waiting_for_audio_is_no_work() -> None:
    summarizer = summarise([make_prediction(start=float(n)) for n in range(3)])
    assert summarizer.summary(idle_seconds=1e6).realtime_factor == 0 < summarizer.summary().realtime_factor

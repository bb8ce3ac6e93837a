"""Predictions and summaries are lines for a person to read."""

from __future__ import annotations

import io

import pytest

from edge_runtime import Summarizer, Summary
from edge_runtime.outputs.text import TextLines, summary_line, window_line
from tests.edge_runtime.factories import make_prediction


def summarise(*genres: str, threshold: float = 0.5) -> Summary:
    summarizer = Summarizer("microphone", threshold=threshold)
    for number, genre in enumerate(genres):
        summarizer.add(make_prediction(genre, start=float(number)))
    return summarizer.summary()


def test_a_window_is_a_line_with_its_times_genre_level_and_latency() -> None:
    line = window_line(make_prediction("Halk", start=61.0, smoothed_genre="Caz", smoothed_confidence=0.7))
    assert line == "  1:01.0 -   1:03.0  Halk          80%    -20.0 dBFS    18.5 ms   smoothed: Caz 70%"


def test_a_silent_window_has_neither_confidence_nor_latency() -> None:
    assert window_line(make_prediction("silence")) == "  0:00.0 -   0:02.0  silence              -80.0 dBFS"


@pytest.mark.parametrize(
    ("threshold", "beginning"),
    [(0.5, "microphone: Halk 80%, 2 w"), (0.9, "microphone: unknown (most probable: Halk, 80%), 2 w")],
)
def test_an_unknown_source_is_summarised_with_its_most_probable_genre(threshold: float, beginning: str) -> None:
    line = summary_line(summarise("Halk", "Halk", threshold=threshold), window_seconds=2.0)
    assert line.startswith(beginning)
    assert "latency p50 18.5 ms, p99 18.5 ms" in line


@pytest.mark.parametrize(("window_seconds", "length"), [(2.0, "2 s"), (1.5, "1.5 s"), (3.0, "3 s")])
def test_the_length_of_a_window_is_that_of_the_model(window_seconds: float, length: str) -> None:
    stream = io.StringIO()
    TextLines(window_seconds, stream).summary(summarise("Halk", "Halk"))
    assert f" 2 windows of {length}, " in stream.getvalue()


def test_silence_and_a_source_without_a_window_have_no_latency() -> None:
    assert summary_line(summarise(), window_seconds=2.0) == "microphone: ended before the first window"
    assert summary_line(summarise("silence"), window_seconds=2.0) == "microphone: silence, 1 window of 2 s"


def test_each_line_is_written_at_once() -> None:
    written = io.BytesIO()
    output = TextLines(2.0, io.TextIOWrapper(written, encoding="utf-8"))
    output.window(make_prediction())
    assert written.getvalue().count(b"\n") == 1
    output.summary(summarise("Halk"))
    assert written.getvalue().count(b"\n") == 2

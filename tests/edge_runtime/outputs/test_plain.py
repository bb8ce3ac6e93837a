"""A whole source in one line for a person to read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_runtime import Prediction
from edge_runtime.outputs.text import summary_line
from edge_runtime.predictions import Summarizer


@pytest.mark.parametrize(
    ("threshold", "said"), [(0.5, "microphone: Halk 80%, 2 w"), (0.9, "microphone: unknown (most like Halk, 80%), 2 w")]
)
def test_what_is_unknown_is_said_with_what_it_is_most_like(
    threshold: float, said: str, make_answer: Callable[..., Prediction]
) -> None:
    summarizer = Summarizer("microphone", threshold=threshold)
    for start in (0.0, 1.0):
        summarizer.add(make_answer("Halk", start=start))
    assert summary_line(summarizer.summary()).startswith(said)


def test_silence_and_nothing_are_said_without_figures(make_answer: Callable[..., Prediction]) -> None:
    summarizer = Summarizer("microphone", threshold=0.5)
    assert summary_line(summarizer.summary()) == "microphone: ended before the first window"
    summarizer.add(make_answer("silence"))
    assert summary_line(summarizer.summary()) == "microphone: silence in all 1 windows"

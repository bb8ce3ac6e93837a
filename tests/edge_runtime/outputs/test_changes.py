"""Only what is new is said, and nothing else is held back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge_runtime import Event, Prediction, Summarizer, Summary
from edge_runtime.outputs.factory import OnlyChanges


class Kept:
    """An output that keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[Prediction | Event | Summary | str] = []

    def window(self, prediction: Prediction) -> None:
        self.given.append(prediction)

    def event(self, event: Event) -> None:
        self.given.append(event)

    def summary(self, summary: Summary) -> None:
        self.given.append(summary)

    def close(self) -> None:
        self.given.append("closed")


@pytest.mark.parametrize(
    ("smoothed", "said"),
    [
        ("HHHH", [0]),
        ("HHCCH", [0, 2, 4]),
        ("HCHC", [0, 1, 2, 3]),
    ],
)
def test_the_first_answer_and_each_new_smoothed_one_is_given_on(
    smoothed: str, said: list[int], make_answer: Callable[..., Prediction]
) -> None:
    kept = Kept()
    output = OnlyChanges(kept)
    for number, genre in enumerate(smoothed):
        raw = "Rock" if number % 2 else "Caz"  # what changes without the smoothed answer is not new
        output.window(make_answer(raw, start=float(number), smoothed_genre={"H": "Halk", "C": "Caz"}[genre]))
    assert [prediction.start_seconds for prediction in kept.given if isinstance(prediction, Prediction)] == said


def test_events_summaries_and_the_end_are_given_on(make_answer: Callable[..., Prediction]) -> None:
    kept = Kept()
    output = OnlyChanges(kept)
    event = Event(datetime.now(UTC), "microphone", "overload", "slow")
    summarizer = Summarizer("microphone", threshold=0.0)
    output.window(make_answer())
    output.event(event)
    output.window(make_answer())
    output.summary(summarizer.summary())
    output.close()
    assert [type(item) for item in kept.given] == [Prediction, Event, Summary, str]


def test_each_source_has_a_first_answer(make_answer: Callable[..., Prediction]) -> None:
    kept = Kept()
    output = OnlyChanges(kept)
    for source in ("a.ogg", "b.ogg", "b.ogg"):
        output.window(replace(make_answer(), source=source))
        output.window(replace(make_answer(), source=source))
        output.summary(Summarizer(source, threshold=0.0).summary())
    heard = [prediction.source for prediction in kept.given if isinstance(prediction, Prediction)]
    assert heard == ["a.ogg", "b.ogg", "b.ogg"]  # the same file again is a new source

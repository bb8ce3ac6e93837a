"""Every JSON line is valid against its schema."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from edge_runtime import Event, GenreClassifier, ModelCard, Summarizer
from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA, JsonLines, json_line
from edge_runtime.predictions import EVENTS
from tests.edge_runtime.factories import GENRES, make_prediction

SCHEMA: dict[str, Any] = json.loads(JSON_LINES_SCHEMA.read_text("utf-8"))


def written(classifier: GenreClassifier, *results: Any) -> list[dict[str, Any]]:
    """What the output writes for these results, each valid."""
    stream = io.StringIO()
    output = JsonLines(classifier, "runs/x/exports/tiny.tflite", stream)
    for name, result in results:
        getattr(output, name)(result)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in lines:
        jsonschema.validate(line, SCHEMA)
    return lines


def test_a_window_has_its_time_in_utc_and_its_latencies(classifier: GenreClassifier) -> None:
    time = datetime(2026, 11, 23, 12, 0, 1, 5000, tzinfo=UTC)
    (line,) = written(classifier, ("window", make_prediction("Caz", time=time, start=1.0)))
    assert line["time"] == "2026-11-23T12:00:01.005Z"
    assert (line["start_s"], line["end_s"], line["genre"]) == (1.0, 3.0, "Caz")
    assert line["latency_ms"] == {"spectrogram": 0.5, "model": 18.0, "total": 18.5}
    assert line["probabilities"] == {"Halk": 0.1, "Caz": 0.8, "Rock": 0.1}


def test_a_silent_window_has_no_probabilities(classifier: GenreClassifier) -> None:
    (line,) = written(classifier, ("window", make_prediction("silence")))
    assert (line["genre"], line["confidence"], line["probabilities"]) == ("silence", 0.0, {})


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_has_a_reason(kind: str, classifier: GenreClassifier) -> None:
    (line,) = written(classifier, ("event", Event(datetime.now(UTC), "microphone", kind, "şimdi\nburada")))
    assert (line["event"], line["reason"]) == (kind, "şimdi\nburada")


def test_the_schema_lists_every_event() -> None:
    assert SCHEMA["$defs"]["event"]["properties"]["event"]["enum"] == list(EVENTS)


@pytest.mark.parametrize("windows", [0, 3])
def test_a_summary_names_the_model(windows: int, classifier: GenreClassifier, card: ModelCard) -> None:
    summarizer = Summarizer("microphone", threshold=0.0)
    for _ in range(windows):
        summarizer.add(make_prediction())
    (line,) = written(classifier, ("summary", summarizer.summary(overflows=2)))
    assert (line["windows"], line["overflows"]) == (windows, 2)
    assert set(line["probabilities"]) == (set(GENRES) if windows else set())
    assert line["model"]["file"] == "runs/x/exports/tiny.tflite"
    assert (line["model"]["name"], line["model"]["format"]) == (card.name, "tflite")


def test_a_device_is_a_line_too() -> None:
    line = json_line("device", number=0, name="USB", channels=1, sample_rate=48_000, default=True)
    jsonschema.validate(json.loads(line), SCHEMA)


def test_undecodable_bytes_of_a_file_name_are_replaced(classifier: GenreClassifier) -> None:
    (line,) = written(classifier, ("window", make_prediction(source="caf\udce9.ogg")))
    assert line["source"] == "caf?.ogg"


def test_a_value_that_json_cannot_hold_is_refused(classifier: GenreClassifier) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        written(classifier, ("window", make_prediction(confidence=float("nan"))))


def test_the_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

"""JSON lines for programs: one object a line, valid against the JSON Schema beside this file."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from edge_runtime.classifier import GenreClassifier
from edge_runtime.outputs import Output
from edge_runtime.predictions import Event, Prediction, Summary
from edge_runtime.terminal import printable_json

SCHEMA = 1
"""Version of the JSON lines."""

JSON_LINES_SCHEMA = Path(__file__).with_name("json_lines.schema.json")
"""The JSON Schema of every line."""


class JsonLines(Output):
    """Writes predictions, events and summaries as JSON lines.

    Parameters
    ----------
    classifier : GenreClassifier
    model : str
        The file that it was opened from.
    stream : text stream, optional
        Standard output by default.
    """

    def __init__(self, classifier: GenreClassifier, model: str, stream: TextIO | None = None) -> None:
        self._model = model_fields(classifier, model)
        self._stream = stream or sys.stdout

    def window(self, prediction: Prediction) -> None:
        self._write(window_json(prediction))

    def event(self, event: Event) -> None:
        self._write(event_json(event))

    def summary(self, summary: Summary) -> None:
        self._write(summary_json(summary, self._model))

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def json_line(kind: str, **fields: object) -> str:
    """One JSON object, without a line break.

    Parameters
    ----------
    kind : str
        Its ``type``: ``window``, ``event``, ``summary`` or ``device``.
    **fields : object
        Its other fields, as the schema lists them.
    """
    document = {"schema": SCHEMA, "type": kind, **fields}
    return printable_json(json.dumps(document, ensure_ascii=False, allow_nan=False))


def window_json(prediction: Prediction) -> str:
    """The prediction for one window as a JSON object."""
    return json_line(
        "window",
        time=iso8601(prediction.time),
        start_s=round(prediction.start_seconds, 3),
        end_s=round(prediction.end_seconds, 3),
        genre=prediction.genre,
        confidence=round(prediction.confidence, 4),
        smoothed={"genre": prediction.smoothed_genre, "confidence": round(prediction.smoothed_confidence, 4)},
        probabilities=_rounded(prediction.probabilities, 4),
        level_dbfs=round(prediction.level_dbfs, 1),
        latency_ms={
            "spectrogram": round(prediction.spectrogram_ms, 2),
            "model": round(prediction.model_ms, 2),
            "total": round(prediction.latency_ms, 2),
        },
        delay_ms=round(prediction.delay_ms, 2),
        dropped_windows=prediction.dropped_windows,
        source=prediction.source,
    )


def event_json(event: Event) -> str:
    """A disturbance as a JSON object."""
    return json_line("event", time=iso8601(event.time), source=event.source, event=event.event, reason=event.reason)


def summary_json(summary: Summary, model: Mapping[str, Any]) -> str:
    """The summary of a source as a JSON object.

    Parameters
    ----------
    summary : Summary
    model : mapping
        From :func:`model_fields`.
    """
    return json_line(
        "summary",
        source=summary.source,
        windows=summary.windows,
        genre=summary.genre,
        confidence=round(summary.confidence, 4),
        probabilities=_rounded(summary.probabilities, 4),
        seconds=round(summary.seconds, 3),
        realtime_factor=round(summary.realtime_factor, 5),
        latency_ms=_rounded(summary.latency_ms, 2),
        dropped_windows=summary.dropped_windows,
        overflows=summary.overflows,
        model=model,
    )


def iso8601(time: datetime) -> str:
    """A time in UTC as JSON lines write it."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def model_fields(classifier: GenreClassifier, path: str) -> dict[str, Any]:
    """What a summary says of the model.

    Parameters
    ----------
    classifier : GenreClassifier
    path : str
        The file that it was opened from.
    """
    card = classifier.card
    return {
        "file": path,
        "name": card.name,
        "format": card.export.get("format"),
        "recipe": card.export.get("recipe"),
        "runtime": classifier.runtime,
        "threads": classifier.threads,
        "demonstration": card.demonstration,
    }


def _rounded(values: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}

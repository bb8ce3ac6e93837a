"""Answers as JSON lines for programs: one object a line, by the JSON Schema beside this file."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from edge_runtime.classifier import GenreClassifier
from edge_runtime.files import to_utf8
from edge_runtime.predictions import Event, Prediction, Summary

SCHEMA = 1
"""Version of the JSON lines."""

JSON_LINES_SCHEMA = Path(__file__).with_name("json_lines.schema.json")
"""The JSON Schema that every line keeps."""


class JsonLines:
    """Prints one JSON object a line.

    Parameters
    ----------
    classifier : GenreClassifier
    model : str
        The file that it was opened from.
    """

    def __init__(self, classifier: GenreClassifier, model: str) -> None:
        self._model = _model(classifier, model)

    def window(self, prediction: Prediction) -> None:
        print_line("window", **window_document(prediction))

    def event(self, event: Event) -> None:
        print_line("event", time=iso(event.time), source=event.source, event=event.event, reason=event.reason)

    def summary(self, summary: Summary) -> None:
        print_line(
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
            model=self._model,
        )

    def close(self) -> None:
        """Every line is out already."""


def window_document(prediction: Prediction) -> dict[str, Any]:
    """One window as programs get it, but for its type and schema."""
    return {
        "time": iso(prediction.time),
        "start_s": round(prediction.start_seconds, 3),
        "end_s": round(prediction.end_seconds, 3),
        "genre": prediction.genre,
        "confidence": round(prediction.confidence, 4),
        "smoothed": {"genre": prediction.smoothed_genre, "confidence": round(prediction.smoothed_confidence, 4)},
        "probabilities": _rounded(prediction.probabilities, 4),
        "level_dbfs": round(prediction.level_dbfs, 1),
        "latency_ms": {
            "spectrogram": round(prediction.spectrogram_ms, 2),
            "model": round(prediction.model_ms, 2),
            "total": round(prediction.spectrogram_ms + prediction.model_ms, 2),
        },
        "delay_ms": round(prediction.delay_ms, 2),
        "dropped_windows": prediction.dropped_windows,
        "source": prediction.source,
    }


def iso(time: datetime) -> str:
    """ISO 8601 with milliseconds and a Z for UTC."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _model(classifier: GenreClassifier, path: str) -> dict[str, Any]:
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


def print_line(kind: str, **values: Any) -> None:
    line = json.dumps({"schema": SCHEMA, "type": kind, **values}, ensure_ascii=False, allow_nan=False)
    click.echo(to_utf8(line))


def _rounded(values: Any, digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}

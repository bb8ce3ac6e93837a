"""Answers as JSON lines for programs and as plain lines for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_runtime.card import ModelCard
from edge_runtime.classifier import GenreClassifier
from edge_runtime.listening import Answer, Summary

SCHEMA = 1
"""Version of the JSON lines."""

JSON_LINES_SCHEMA = Path(__file__).with_name("json_lines.schema.json")
"""The JSON Schema that every line keeps."""


def window_json(answer: Answer) -> str:
    """One ``window`` object, on one line."""
    return _line(
        "window",
        time=_iso(answer.time),
        start_s=round(answer.start_seconds, 3),
        end_s=round(answer.end_seconds, 3),
        genre=answer.genre,
        confidence=round(answer.confidence, 4),
        smoothed={"genre": answer.smoothed_genre, "confidence": round(answer.smoothed_confidence, 4)},
        probabilities=_rounded(answer.probabilities, 4),
        level_dbfs=round(answer.level_dbfs, 1),
        latency_ms={
            "spectrogram": round(answer.spectrogram_ms, 2),
            "model": round(answer.model_ms, 2),
            "total": round(answer.spectrogram_ms + answer.model_ms, 2),
        },
        delay_ms=round(answer.delay_ms, 2),
        dropped_windows=0,
        source=answer.source,
    )


def summary_json(summary: Summary, classifier: GenreClassifier, model: str) -> str:
    """One ``summary`` object, on one line."""
    return _line(
        "summary",
        source=summary.source,
        windows=summary.windows,
        genre=summary.genre,
        confidence=round(summary.confidence, 4),
        probabilities=_rounded(summary.probabilities, 4),
        seconds=round(summary.seconds, 3),
        realtime_factor=round(summary.realtime_factor, 5),
        latency_ms=_rounded(summary.latency_ms, 2),
        dropped_windows=0,
        overflows=0,
        model=_model(classifier, model),
    )


def refused_json(source: str, reason: str) -> str:
    """The ``event`` object of a file that could not be heard, on one line."""
    return _line("event", time=_iso(datetime.now(UTC)), source=source, event="file refused", reason=reason)


def window_line(answer: Answer) -> str:
    """One window for a person to read."""
    at = f"{_clock(answer.start_seconds)} - {_clock(answer.end_seconds)}"
    if not answer.probabilities:
        return f"{at}  {answer.genre:<12}{'':7}{answer.level_dbfs:7.1f} dBFS"
    latency = answer.spectrogram_ms + answer.model_ms
    return (
        f"{at}  {answer.genre:<12}{answer.confidence:5.0%}  {answer.level_dbfs:7.1f} dBFS {latency:7.1f} ms"
        f"   smoothed: {answer.smoothed_genre} {answer.smoothed_confidence:.0%}"
    )


def summary_line(summary: Summary) -> str:
    """A whole source for a person to read."""
    if not summary.probabilities:
        return f"{summary.source}: silence in all {summary.windows} windows"
    return (
        f"{summary.source}: {summary.genre} {summary.confidence:.0%}, {summary.windows} windows of 2 s, "
        f"{summary.latency_ms['p50']:.1f} ms each (p99 {summary.latency_ms['p99']:.1f} ms), "
        f"{1 / max(summary.realtime_factor, 1e-9):.0f} times as fast as it plays"
    )


def warning_of(card: ModelCard) -> str | None:
    """What the listener must know of the model before believing it."""
    if dict(card.export.get("parity") or {}).get("held") is False:
        return "this export failed its parity check against Keras: do not trust its answers"
    if card.demonstration:
        return "this model is a demonstration: it knows synthesised music only, and nothing about real music"
    return None


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


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(kind: str, **values: Any) -> str:
    return json.dumps({"schema": SCHEMA, "type": kind, **values}, ensure_ascii=False, allow_nan=False)


def _rounded(values: Any, digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes):3d}:{rest:04.1f}"

"""Predictions without audio, and ``tmgc-listen`` in this process."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from click.testing import CliRunner, Result

from edge_runtime import ModelCard, Prediction
from edge_runtime.cli.listen import main

GENRES = ("Halk", "Caz", "Rock")
"""The genres of the card of the tests."""


def make_prediction(
    genre: str = "Halk", *, time: datetime | None = None, start: float = 0.0, **fields: Any
) -> Prediction:
    """A prediction of one of :data:`GENRES` with probability 0.8, or of silence."""
    is_sound = genre != "silence"
    prediction = Prediction(
        time=time or datetime.now(UTC),
        start_seconds=start,
        end_seconds=start + 2.0,
        genre=genre,
        confidence=0.8 if is_sound else 0.0,
        smoothed_genre=genre,
        smoothed_confidence=0.8 if is_sound else 0.0,
        probabilities={name: 0.8 if name == genre else 0.1 for name in GENRES} if is_sound else {},
        level_dbfs=-20.0 if is_sound else -80.0,
        spectrogram_ms=0.5,
        model_ms=18.0,
        delay_ms=19.0,
        dropped_windows=0,
        source="microphone",
    )
    return replace(prediction, **fields)


def listen_command(*arguments: object, charset: str = "utf-8") -> Result:
    """``tmgc-listen`` with these arguments in a locale: its exit code, standard output and standard error."""
    return CliRunner(charset=charset).invoke(main, list(map(str, arguments)))


def wrong_in_onnxruntime(card: ModelCard) -> ModelCard:
    """A card by whose golden windows ONNX Runtime computes something else, and other engines do not."""
    golden = card.export["golden"]
    permuted = {window: [*values[1:], values[0]] for window, values in golden["probabilities"].items()}
    return card.replace(export={**card.export, "golden": {**golden, "other_engines": {"onnxruntime": permuted}}})

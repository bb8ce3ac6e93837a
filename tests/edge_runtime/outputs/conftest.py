"""Answers as listening would give them, without a sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edge_runtime import Prediction

AnswerMaker = Callable[..., Prediction]


@pytest.fixture(scope="session")
def make_answer() -> AnswerMaker:
    """An answer of the three genres of the tests' card; silence has no probabilities."""

    def make(genre: str = "Halk", *, time: datetime | None = None, start: float = 0.0, **changes: Any) -> Prediction:
        heard = genre != "silence"
        split_ratios = {name: 0.8 if name == genre else 0.1 for name in ("Halk", "Caz", "Rock")} if heard else {}
        prediction = Prediction(
            time=time or datetime.now(UTC),
            start_seconds=start,
            end_seconds=start + 2.0,
            genre=genre,
            confidence=0.8 if heard else 0.0,
            smoothed_genre=genre,
            smoothed_confidence=0.8 if heard else 0.0,
            probabilities=split_ratios,
            level_dbfs=-20.0 if heard else -80.0,
            spectrogram_ms=0.5,
            model_ms=18.0,
            delay_ms=19.0,
            dropped_windows=0,
            source="microphone",
        )
        return replace(prediction, **changes)

    return make

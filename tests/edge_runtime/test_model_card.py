"""A model card is complete, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import ModelCard, TmgcError


def test_a_card_survives_json(card: ModelCard) -> None:
    full = replace(card, temperature=1.3, threshold=0.4, training={"epochs": 3}, versions={"keras": "3.15"})
    assert ModelCard.from_json(full.to_json(), where="here") == full


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema"),
        ({"genres": ["Halk"]}, "two different genres"),
        ({"genres": ["Halk", "Halk"]}, "two different genres"),
        ({"colormap": [[0, 0, 0]]}, "256 RGB triples"),
        ({"input_kind": "video"}, "image or waveform"),
        ({"temperature": 0}, "temperature"),
        ({"threshold": 1.5}, "threshold"),
        ({"spectrogram": {"n_mels": 64}}, "missing or unknown"),
        ({"unheard_of": 1}, "no readable model card"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused_and_its_place_named(
    card: ModelCard, change: dict[str, Any], message: str
) -> None:
    text = json.dumps(json.loads(card.to_json()) | change)
    with pytest.raises(TmgcError, match=message) as caught:
        ModelCard.from_json(text, where="model.tflite")
    assert str(caught.value).startswith("model.tflite")


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", "null"])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(TmgcError, match="no readable model card"):
        ModelCard.from_json(text, where="model.tflite")


def test_a_missing_card_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="tmgc-train fit"):
        ModelCard.read(tmp_path / "card.json")

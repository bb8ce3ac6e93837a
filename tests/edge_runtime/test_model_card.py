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


def test_the_colormap_says_how_many_channels_a_model_takes(card: ModelCard) -> None:
    assert card.input_shape == (32, 48, 3)
    gray = replace(card, colormap=tuple((level,) for level in range(256)))
    assert gray.input_shape == (32, 48, 1)
    assert gray.colormap_array.shape == (256, 1)
    assert ModelCard.from_json(gray.to_json(), where="here") == gray
    assert replace(gray, input_kind="waveform").input_shape == (44_100,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "schema"),
        ({"genres": ["Halk"]}, "two different genres"),
        ({"genres": ["Halk", "Halk"]}, "two different genres"),
        ({"colormap": [[0, 0, 0]]}, "256 RGB triples"),
        ({"colormap": [[0, 0]] * 256}, "256 RGB triples"),
        ({"colormap": [[0]] * 255 + [[0, 0, 0]]}, "256 RGB triples"),
        ({"colormap": [[256]] * 256}, "256 RGB triples"),
        ({"colormap": [[[0]]] * 256}, "no readable model card"),
        ({"input_kind": "video"}, "image or waveform"),
        ({"temperature": 0}, "temperature"),
        ({"threshold": 1.5}, "threshold"),
        ({"spectrogram": {"n_mels": 64}}, "missing or unknown"),
        ({"unheard_of": 1}, "no readable model card"),
        ({"genres": "Halk"}, "genres must be a list"),
        ({"genres": ["Halk", "silence"]}, "answers without a genre"),
        ({"genres": ["Halk", "C\naz"]}, "control characters"),
        ({"genres": ["Halk", "C" * 256]}, "1 to 255 printable"),
        ({"genres": ["Halk", 5]}, "1 to 255 printable"),
        ({"genres": [str(number) for number in range(1001)]}, "at most 1000"),
        ({"name": "a" * 256}, "1 to 255 printable"),
        ({"name": ["a"]}, "1 to 255 printable"),
        ({"name": "\ud800"}, "control characters"),
        ({"temperature": True}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": 10**4000}, "temperature"),
        ({"threshold": [[]]}, "threshold"),
        ({"pooling": "max"}, "mean, log_mean, vote"),
        ({"pooling": ["mean"]}, "mean, log_mean, vote"),
        ({"smoothing_seconds": 0}, "smoothing_seconds"),
        ({"smoothing_seconds": 1e6}, "smoothing_seconds"),
        ({"demonstration": "no"}, "demonstration"),
        ({"network": {"architecture": "\x1b]0;title\x07"}}, "control characters"),
        ({"network": {"\x1b[2J": 1}}, "control characters"),
        ({"training": {"settings": [[[[[[[[[[[[1]]]]]]]]]]]]}}, "nested deeper"),
        ({"export": {"parity": 5}}, "parity"),
        ({"export": {"parity": {"other_engines": 5}}}, "other_engines"),
        ({"export": {"parity": {"other_engines": {"openvino": True}}}}, "other_engines"),
        ({"versions": "3.11"}, "versions"),
        ({"network": {"text": "a" * 1_000_000}}, "at most 1,000,000 bytes"),
        ({"export": {"recipe": "a" * 4_097}}, "more than 4096 characters"),
        ({"spectrogram": []}, "missing or unknown|no readable"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused_and_its_place_named(
    card: ModelCard, change: dict[str, Any], message: str
) -> None:
    text = json.dumps(json.loads(card.to_json()) | change)
    with pytest.raises(TmgcError, match=message) as caught:
        ModelCard.from_json(text, where="model.tflite")
    assert str(caught.value).startswith("model.tflite")


def test_numbers_that_json_does_not_have_and_fields_that_are_named_twice_are_refused(card: ModelCard) -> None:
    text = card.to_json()
    for old, new in (
        ('"threshold": 0.0', '"threshold": NaN'),
        ('"network": {}', '"network": {"parameters": 1e999}'),
        ('"network": {}', '"network": {"parameters": -Infinity}'),
        ('"network": {}', '"network": {}, "network": {}'),
        ('"network": {}', f'"network": {{"parameters": {"9" * 5000}}}'),
    ):
        assert old in text
        with pytest.raises(TmgcError, match="no readable model card") as caught:
            ModelCard.from_json(text.replace(old, new), where="model.tflite")
        assert len(str(caught.value)) < 300


def test_a_card_that_would_be_refused_for_its_size_is_not_written(card: ModelCard) -> None:
    large = replace(card, export={"calibration": ["a clip of a song"] * 60_000})
    with pytest.raises(TmgcError, match="at most 1,000,000 bytes"):
        large.to_json()


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", "null", "[" * 100_000, '{"a":' * 100_000])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(TmgcError, match="no readable model card") as caught:
        ModelCard.from_json(text, where="model.tflite")
    assert "attribute" not in str(caught.value)  # the words of Python


def test_a_missing_card_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="tmgc-train fit"):
        ModelCard.read(tmp_path / "card.json")


def test_engines_that_differ_from_keras_are_named(card: ModelCard) -> None:
    others = {"openvino": {"passed": False}, "tflite-runtime": {"passed": True}, "new": {}}
    export = {"parity": {"passed": True, "other_engines": others}}
    assert card.replace(export=export).failed_engines == ("openvino", "new")
    assert card.failed_engines == ()

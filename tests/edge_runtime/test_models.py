"""The default model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import soundfile

from edge_runtime import GenreClassifier
from edge_runtime.engine_choice import open_verified
from edge_runtime.models import SMALL_MODEL, default_model
from tests.edge_runtime.factories import listen_command
from train.demo_corpus import synthesize_song

MOST_BYTES = 1_500_000


def test_the_newest_complete_export_that_passed_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exports = tmp_path / "runs" / "mine" / "exports"
    exports.mkdir(parents=True)
    assert default_model() == SMALL_MODEL
    names = [".part-mine.int8.tflite", "mine.int8.FAILED.tflite", "mine.int8.onnx", "mine.float16.tflite"]
    for age, name in enumerate(names):
        (exports / name).touch()
        os.utime(exports / name, (1e9 - age, 1e9 - age))
    assert default_model() == Path("runs/mine/exports/mine.int8.onnx")


def test_the_small_model_is_small_and_marked_as_a_demonstration() -> None:
    card = GenreClassifier.open(SMALL_MODEL).card
    assert SMALL_MODEL.stat().st_size < MOST_BYTES
    assert card.demonstration
    assert card.export["parity"]["passed"]
    assert card.accuracy["teacher"]["verdict"] == "as good"
    assert all(result.passed for result in open_verified(SMALL_MODEL).results)
    assert len(card.genres) == 10


@pytest.mark.parametrize("genre", ["Halk", "Elektronik", "Tasavvuf"])
def test_the_small_model_recognises_a_song_that_it_was_not_trained_on(
    genre: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("song.wav", synthesize_song(genre, song=1000, seed=1, seconds=8.0), 44_100)
    done = listen_command("song.wav")
    assert done.exit_code == 0, done.stderr
    assert f"song.wav: {genre}" in done.stdout
    assert "it knows synthesised music only" in done.stderr
    assert "XNNPACK" not in capfd.readouterr().err

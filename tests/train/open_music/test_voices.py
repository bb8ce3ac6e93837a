from __future__ import annotations

import shutil

import numpy as np
import pytest

from train.open_music.accompaniment import Piece
from train.open_music.programs import Program
from train.open_music.sound import SAMPLE_RATE
from train.open_music.voices import Speaker, rap, sing, vocode

PIECE = Piece(
    family="pop",
    style="casio/pop",
    grooves=("Pop",) * 4,
    chords=("C",) * 4,
    tempo=100,
    beats_per_bar=4,
    key=0,
    melody=((0.0, 2.0, 69), (8.0, 2.0, 72)),
    lead="Flute",
)


@pytest.fixture
def espeak() -> Program:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    return Program(("espeak-ng",))


def test_a_vocoded_sound_has_the_length_and_pitch_that_are_asked_for() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=SAMPLE_RATE // 4).astype(np.float32)
    sung = vocode(noise, 1.0, 220.0, vibrato_cents=0.0, rough=0.0, rng=rng)
    assert len(sung) == pytest.approx(SAMPLE_RATE, rel=0.05)
    assert np.abs(sung).max() <= 1.0
    spectrum = np.abs(np.fft.rfft(sung[SAMPLE_RATE // 4 :][: SAMPLE_RATE // 2]))
    between = spectrum[[55, 165, 275, 385]].mean()
    assert spectrum[[110, 220, 330, 440]].mean() > 5 * between


def test_rap_is_as_long_as_its_piece_and_is_the_same_for_a_seed(espeak: Program) -> None:
    verse, again = (rap(PIECE, espeak, np.random.default_rng(4)) for _ in range(2))
    assert len(verse) == round(16 * 0.6 * SAMPLE_RATE)
    assert np.abs(verse).max() == pytest.approx(1.0)
    np.testing.assert_array_equal(verse, again)


def test_a_melody_is_sung_where_its_notes_are_and_nowhere_else(espeak: Program) -> None:
    sung = sing(PIECE, espeak, np.random.default_rng(1))
    beat = round(0.6 * SAMPLE_RATE)
    loud = [float(np.abs(sung[first * beat : (first + 1) * beat]).max()) for first in range(16)]
    assert min(loud[0], loud[1], loud[8], loud[9]) > 0.05
    assert max(loud[4:8]) == max(loud[12:]) == 0.0


def test_a_turkish_voice_speaks_turkish_words_without_silence_around_them(espeak: Program) -> None:
    speaker = Speaker(espeak, "tr", "f2", 50, 150)
    word = speaker.words(1, np.random.default_rng(0))[0]
    samples = speaker.say(word)
    assert len(samples) > 0.1 * SAMPLE_RATE
    assert np.abs(samples[:200]).max() > 0.01

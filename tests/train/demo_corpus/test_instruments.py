"""Instruments play the written pitch."""

from __future__ import annotations

import numpy as np
import pytest

from train.demo_corpus import SAMPLE_RATE
from train.demo_corpus.instruments import MELODIC
from train.synthesis.dsp import Canvas, Notes


@pytest.mark.parametrize("name", ["bağlama", "ney", "strings", "kanun"])
def test_an_instrument_plays_the_pitch_that_is_written(name: str) -> None:
    hz, seconds = 440.0, 1.0
    note = Notes(np.zeros(1), np.array([seconds]), np.array([[np.log2(hz)]]), np.ones(1))
    track = MELODIC[name].render(note, Canvas(SAMPLE_RATE), np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(track * np.hanning(len(track))))
    heard = 400 + int(np.argmax(spectrum[400:480]))
    # One bin is 1 Hz; a player may be out of tune by some 20 cents, and the vibrato spreads the line.
    assert abs(heard - hz) <= 8

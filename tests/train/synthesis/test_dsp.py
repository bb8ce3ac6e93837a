"""Noise has the signal-to-noise ratio that was asked for, and FFT lengths are fast."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import tone
from train.synthesis.dsp import PINK, add_noise, fast_length

RATE = 11_025


@pytest.mark.parametrize("slope", [0.0, PINK, 1.0])
@pytest.mark.parametrize("snr_db", [5.0, 20.0, 40.0])
def test_noise_has_the_signal_to_noise_ratio_that_was_asked_for(snr_db: float, slope: float) -> None:
    sound = tone(2, sample_rate=RATE)
    noise = add_noise(sound, snr_db=snr_db, slope=slope, random=np.random.default_rng(1)).astype(np.float64)
    noise -= sound
    assert 10 * np.log10(np.mean(sound.astype(np.float64) ** 2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.1)


def test_noise_on_silence_is_silence() -> None:
    silence = np.zeros(RATE, np.float32)
    np.testing.assert_array_equal(add_noise(silence, snr_db=10, slope=PINK, random=np.random.default_rng(0)), silence)


def test_the_transform_length_has_only_small_factors() -> None:
    assert [fast_length(count) for count in (2, 7, 11, 101, 88_201)] == [2, 8, 12, 108, 90_000]

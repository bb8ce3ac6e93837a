"""Out-of-distribution sounds are of their kind, the same for the same seed, at any sample rate."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.audio import Samples, level_dbfs
from edge_runtime.listener import ListenSettings
from edge_runtime.spectrogram import SpectrogramSettings
from train.synthesis.negatives import KINDS, negatives

SETTINGS = SpectrogramSettings()


def made(kind: str, *, count: int = 12, seed: int = 1, settings: SpectrogramSettings = SETTINGS) -> list[Samples]:
    return list(negatives(kind, settings, count=count, seed=seed))


@pytest.mark.parametrize("sample_rate", [8000, 44_100])
@pytest.mark.parametrize("seconds", [0.25, 2.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_filled_with_sound_of_any_rate(kind: str, seconds: float, sample_rate: int) -> None:
    settings = SpectrogramSettings(sample_rate=sample_rate, window_seconds=seconds)
    for samples in made(kind, count=4, settings=settings):
        assert samples.shape == (settings.window_samples,)
        assert samples.dtype == np.float32
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_only_silence_is_silence_to_a_listener(kind: str) -> None:
    for samples in made(kind):
        assert (level_dbfs(samples) < ListenSettings().silence_dbfs) == (kind == "silence")


def test_silence_is_now_digital_and_now_faint_noise() -> None:
    assert {bool(samples.any()) for samples in made("silence")} == {True, False}


@pytest.mark.parametrize("kind", ["speech", "noise", "hum"])
def test_another_seed_gives_other_sounds_and_the_same_seed_the_same(kind: str) -> None:
    first, again, other = (made(kind, count=2, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_hum_is_the_mains_and_its_harmonics() -> None:
    for samples in made("hum"):
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
        hz = np.fft.rfftfreq(len(samples), 1 / SETTINGS.sample_rate)
        harmonic = np.abs(hz - 50.0 * np.rint(hz / 50.0)) < 5.0
        assert power[harmonic & (hz > 40) & (hz < 1100)].sum() > 0.9 * power.sum()


def test_speech_has_pauses_and_syllables() -> None:
    swings = []
    for samples in made("speech"):
        levels = np.sqrt(np.mean(samples[: len(samples) // 882 * 882].reshape(-1, 882) ** 2, axis=1))  # of 20 ms
        swings.append(np.percentile(levels, 95) / np.percentile(levels, 5))
    assert np.median(swings) > 10, "20 dB between syllables and rests"

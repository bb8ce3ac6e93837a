"""Each degradation does what it says, by measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.audio import read_audio
from tests.conftest import tone
from train.demo_corpus import SAMPLE_RATE, synthesize_song
from train.evaluation.robustness import (
    DEGRADATIONS,
    MP3_SAMPLE_RATE,
    Degradation,
    code_as_mp3,
    mp3_of,
    overdrive,
    play_at,
    play_in_room,
    room_response,
    send_by_telephone,
)
from train.synthesis.dsp import PINK, add_noise

Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def music() -> Sound:
    return synthesize_song("Halk", song=3, seconds=3.0)


def noise(seconds: float, *, sample_rate: int, level: float = 0.2) -> Sound:
    samples = np.random.default_rng(5).normal(0.0, level, round(seconds * sample_rate))
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def power(samples: Sound, sample_rate: int, *, low: float, high: float) -> float:
    """Power between two frequencies in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    return float(spectrum[(hz >= low) & (hz < high)].sum())


def decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))


def noisy(samples: Sound, snr_db: float) -> Sound:
    return add_noise(samples, snr_db=snr_db, slope=PINK, random=np.random.default_rng(0))


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 5.0])
def test_noise_has_the_power_that_it_is_named_for(snr_db: float, music: Sound) -> None:
    added = noisy(music, snr_db) - music
    measured = decibels(np.mean(np.square(music, dtype=float)) / np.mean(np.square(added, dtype=float)))
    assert measured == pytest.approx(snr_db, abs=0.1)


def test_noise_has_equal_power_in_every_octave(music: Sound) -> None:
    added = noisy(music, 0.0) - music
    octaves = [power(added, SAMPLE_RATE, low=low, high=2 * low) for low in (200.0, 800.0, 3200.0, 10_000.0)]
    assert max(decibels(octave / octaves[0]) for octave in octaves) < 1.0
    assert min(decibels(octave / octaves[0]) for octave in octaves) > -1.0


def test_an_mp3_of_32_kbit_is_as_small_as_that(music: Sound) -> None:
    coded = mp3_of(music[: 2 * MP3_SAMPLE_RATE])
    assert len(coded) * 8 / 2 / 1000 == pytest.approx(32.0, rel=0.05)


@pytest.mark.parametrize("sample_rate", [8000, 11_025, 22_050, 44_100, 96_000])
def test_mp3_at_any_rate_is_lossy_and_in_time(sample_rate: int, music: Sound) -> None:
    import soxr

    original = soxr.resample(music, SAMPLE_RATE, sample_rate)
    coded = code_as_mp3(original, sample_rate)
    assert coded.shape == original.shape
    assert 0.95 < np.corrcoef(coded, original)[0, 1] < 0.99999


def test_mp3_of_real_recordings_is_in_time(recordings: list[Path]) -> None:
    for path in recordings:
        original = read_audio(path, sample_rate=44_100, start_seconds=1.0, seconds=3.0)
        assert np.corrcoef(code_as_mp3(original, 44_100), original)[0, 1] > 0.9, path.name


@pytest.mark.parametrize("sample_rate", [8000, 22_050, 44_100])
def test_a_telephone_carries_its_band_and_nothing_else(sample_rate: int) -> None:
    sent = noise(3.0, sample_rate=sample_rate)
    heard = send_by_telephone(sent, sample_rate)
    bands = {"inside": (400.0, 3200.0), "below": (0.0, 250.0), "above": (3600.0, sample_rate / 2)}
    kept = {
        name: decibels(power(heard, sample_rate, low=low, high=high) / power(sent, sample_rate, low=low, high=high))
        for name, (low, high) in bands.items()
    }
    assert kept["inside"] == pytest.approx(0.0, abs=0.6)
    assert kept["below"] < -30.0
    assert kept["above"] < -30.0


def test_a_room_dies_away_by_60_db_in_half_a_second() -> None:
    response = room_response(44_100, np.random.default_rng(0))
    remaining = np.cumsum(response[::-1] ** 2)[::-1]  # Schroeder's backward integration (1965)
    curve = 10 * np.log10(remaining / remaining[0])
    falling = (curve < -5.0) & (curve > -25.0)
    slope = np.polyfit(np.flatnonzero(falling) / 44_100, curve[falling], 1)[0]
    assert -60.0 / slope == pytest.approx(0.5, rel=0.1)


def test_in_a_room_the_sound_comes_first_and_its_echo_is_as_loud() -> None:
    click = np.zeros(44_100, np.float32)
    click[1000] = 0.5
    heard = play_in_room(click, 44_100, np.random.default_rng(0))
    assert not np.abs(heard[:1000]).max() > 1e-6
    assert heard[1000] == pytest.approx(0.5, abs=1e-5)
    assert np.sum(heard[1001:] ** 2) == pytest.approx(0.25, rel=0.01)


def test_a_sine_that_is_12_db_too_loud_is_cut_off_for_most_of_its_time() -> None:
    heard = overdrive(tone(1.0, sample_rate=44_100, hz=441.7), excess_db=12.0)
    share = float(np.mean(np.abs(heard) >= np.abs(heard).max() * 0.9999))
    assert share == pytest.approx(1 - 2 / np.pi * np.arcsin(10 ** (-12 / 20)), abs=0.01)
    assert np.abs(heard).max() == pytest.approx(0.5 * 10 ** (-12 / 20), rel=1e-3)


@pytest.mark.parametrize("speed", [1.03, 0.97])
def test_a_wrong_speed_moves_pitch_and_length(speed: float) -> None:
    heard = play_at(tone(3.0, sample_rate=22_050, hz=1000.0), 22_050, speed=speed)
    assert len(heard) / 22_050 == pytest.approx(3.0 / speed, abs=1e-3)
    loudest = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))).argmax() * 22_050 / len(heard)
    assert loudest == pytest.approx(1000.0 * speed, abs=0.4)


@pytest.mark.parametrize("kind", DEGRADATIONS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("sample_rate", [8000, 44_100])
def test_silence_stays_a_number(kind: Degradation, sample_rate: int) -> None:
    silence = np.zeros(3 * sample_rate, np.float32)
    heard = kind.apply(silence, sample_rate, np.random.default_rng(0))
    assert heard.dtype == np.float32
    assert np.abs(heard).max() < 1e-3


def test_all_that_the_report_promises_is_there() -> None:
    assert [kind.name for kind in DEGRADATIONS] == [
        "as it is",
        "noise at 20 dB SNR",
        "noise at 10 dB SNR",
        "noise at 5 dB SNR",
        "mp3 at 32 kbit/s",
        "telephone band",
        "a room's echo",
        "clipping by 12 dB",
        "3 % too fast",
        "3 % too slow",
    ]

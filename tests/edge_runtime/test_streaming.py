"""A stream's pictures are those of its windows computed at once, however the sound arrives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import Spectrogram, SpectrogramSettings, read_audio
from edge_runtime.spectrogram import to_decibels
from edge_runtime.windowing import _BATCH_FRAMES, StreamedWindow, cut_windows, stream_windows

SMALL = SpectrogramSettings(sample_rate=8_000, n_mels=20, image_height=32, image_width=48)
DECIBEL_TOLERANCE = 1e-3
GREY_LEVELS = 1

SETTINGS = {
    "11 025 Hz": SpectrogramSettings(sample_rate=11_025),
    "22 050 Hz": SpectrogramSettings(sample_rate=22_050),
    "44 100 Hz": SpectrogramSettings(),
    "an odd frame": replace(SMALL, n_fft=511, hop_length=100),
    "an odd frame and a window of whole hops": replace(SMALL, n_fft=401, hop_length=160),
    "a hop that is no part of a frame": replace(SMALL, n_fft=500, hop_length=137),
    "frames that do not overlap": replace(SMALL, n_fft=200, hop_length=777),
    "frames of many hops": replace(SMALL, n_fft=512, hop_length=32),
    "a frame as long as the window": replace(SMALL, n_fft=8_000, window_seconds=1.0),
    "a frame of one sample": replace(SMALL, n_fft=1, hop_length=64, n_mels=1),
}


def torn(sound: NDArray[np.float32], longest: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """The sound in blocks of random length, empty ones among them."""
    random, start = np.random.default_rng(seed), 0
    while start < len(sound):
        length = int(random.integers(0, longest))
        yield sound[start : start + length]
        start += length


def sound_for(settings: SpectrogramSettings, windows: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness changes, with a stretch of silence."""
    random = np.random.default_rng(seed)
    sound = random.uniform(-1, 1, round(windows * settings.window_samples)).astype(np.float32)
    sound *= np.interp(np.arange(len(sound)), np.linspace(0, len(sound), 9), random.uniform(0, 1, 9)).astype(np.float32)
    sound[len(sound) // 2 : len(sound) // 2 + settings.window_samples // 3] = 0
    return sound


def assert_as_at_once(window: StreamedWindow, spectrogram: Spectrogram) -> None:
    power = spectrogram._mel_power(window.samples, window.inner_power)
    top_db = spectrogram.settings.top_db
    at_once = spectrogram.decibels(window.samples)
    np.testing.assert_allclose(to_decibels(power, top_db=top_db), at_once, atol=DECIBEL_TOLERANCE)
    # The green of the test's colormap falls by one a level.
    streamed = spectrogram.image(window.samples, window.inner_power)[..., 1].astype(int)
    assert np.abs(streamed - spectrogram.image(window.samples)[..., 1]).max() <= GREY_LEVELS


@pytest.mark.parametrize("hop_share", [0.11, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_stream_agrees_with_the_pictures_computed_at_once(
    name: str, hop_share: float, colormap: NDArray[np.uint8]
) -> None:
    settings = SETTINGS[name]
    spectrogram = Spectrogram(settings, colormap)
    hop = max(hop_share * settings.window_seconds, settings.hop_length / settings.sample_rate)
    sound = sound_for(settings, 3.3)
    for longest in (settings.hop_length, settings.window_samples // 5, 3 * settings.window_samples):
        streamed = list(stream_windows(torn(sound, longest + 2, longest), spectrogram, hop_seconds=hop))
        expected = list(cut_windows([sound], settings, hop_seconds=hop))
        assert [window.start_sample for window in streamed] == [window.start_sample for window in expected]
        assert len(streamed) >= 2
        for window, whole in zip(streamed, expected, strict=True):
            np.testing.assert_array_equal(window.samples, whole.samples)
            assert_as_at_once(window, spectrogram)


@pytest.mark.parametrize("hop", [0.3, 1.0, 2.5])
def test_no_frame_straddles_a_gap(hop: float, colormap: NDArray[np.uint8]) -> None:
    spectrogram = Spectrogram(SMALL, colormap)
    parts = [sound_for(SMALL, length, seed) for seed, length in enumerate((1.63, 0.4, 2.21, 1.0))]
    blocks = [block for part in parts for block in (*torn(part, 3000, len(part)), None, None)]
    streamed = list(stream_windows(blocks, spectrogram, hop_seconds=hop))
    windows = cut_windows(blocks, SMALL, hop_seconds=hop)
    assert [window.start_sample for window in streamed] == [window.start_sample for window in windows]
    assert len(streamed) >= 3
    for window in streamed:
        assert_as_at_once(window, spectrogram)


@pytest.mark.parametrize("hop", [0.5, 1.0])
def test_each_frame_is_computed_once(hop: float, colormap: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    spectrogram = Spectrogram(SMALL, colormap)
    sound, frames = sound_for(SMALL, 8), 0
    power_of = spectrogram._power_of

    def counted(sliced: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal frames
        power = power_of(sliced)
        frames += len(power)
        return power

    monkeypatch.setattr(spectrogram, "_power_of", counted)
    windows = list(stream_windows(torn(sound, 500, 0), spectrogram, hop_seconds=hop))
    whole = 1 + (len(sound) - SMALL.n_fft) // SMALL.hop_length
    assert whole - _BATCH_FRAMES < frames <= whole
    frames = 0
    for window in windows:
        spectrogram.image(window.samples, window.inner_power)
    assert frames == 2 * len(windows)


def test_an_endless_stream_keeps_no_more_than_its_window(colormap: NDArray[np.uint8]) -> None:
    spectrogram = Spectrogram(SMALL, colormap)
    minute = sound_for(SMALL, 30)
    held = [len(window.inner_power.base) for window in stream_windows(  # type: ignore[union-attr, arg-type]
        torn(minute, 900, 1), spectrogram, hop_seconds=0.5
    )]  # fmt: skip
    assert max(held) <= SMALL.frame_count + 900 // SMALL.hop_length + round(0.5 * SMALL.sample_rate / SMALL.hop_length)


def test_real_recordings_agree_too(recordings: list[Path], colormap: NDArray[np.uint8]) -> None:
    spectrogram = Spectrogram(SpectrogramSettings(), colormap)
    for path in recordings[::3]:
        sound = read_audio(path, sample_rate=44_100, seconds=6)
        for window in stream_windows(torn(sound, 20_000, 0), spectrogram, hop_seconds=1.0):
            assert_as_at_once(window, spectrogram)

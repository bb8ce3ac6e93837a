"""A stream becomes the same windows and images however it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import Spectrogram, SpectrogramSettings, TmgcError, read_audio
from edge_runtime.spectrogram import to_decibels
from edge_runtime.windowing import _BATCH_FRAMES, StreamedWindow, cut_windows, hop_samples, stream_windows

SETTINGS = SpectrogramSettings(sample_rate=11_025)


@pytest.mark.parametrize(("hop", "samples"), [(1.0, 172 * 256), (0.5, 86 * 256), (2.0, 88_200), (3.0, 132_300)])
def test_a_hop_is_whole_frames_unless_windows_do_not_overlap(hop: float, samples: int) -> None:
    assert hop_samples(SpectrogramSettings(), hop) == samples


def test_a_hop_below_one_frame_is_refused() -> None:
    with pytest.raises(TmgcError, match="at least one frame"):
        hop_samples(SpectrogramSettings(), 0.001)


@pytest.mark.parametrize("hop", [0.3, 1.0, 2.0, 2.5, 7.0])
@pytest.mark.parametrize("block", [1, 999, 22_050, 100_000])
def test_windows_do_not_depend_on_the_blocks_of_the_stream(hop: float, block: int) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 100_000 if block > 1 else 45_000).astype(np.float32)
    blocks = (sound[start : start + block] for start in range(0, len(sound), block))
    windows = list(cut_windows(blocks, SETTINGS, hop_seconds=hop))
    starts = range(0, len(sound) - SETTINGS.window_samples + 1, hop_samples(SETTINGS, hop))
    assert [window.start_sample for window in windows] == list(starts)
    for window in windows:
        expected = sound[window.start_sample : window.start_sample + SETTINGS.window_samples]
        np.testing.assert_array_equal(window.samples, expected)


def test_a_stream_shorter_than_a_window_has_none() -> None:
    sound = np.zeros(SETTINGS.window_samples - 1, np.float32)
    assert list(cut_windows([sound], SETTINGS, hop_seconds=1.0)) == []


def test_a_window_is_yielded_as_soon_as_its_last_sample_has_arrived() -> None:
    taken = 0

    def blocks() -> Iterator[NDArray[np.float32]]:
        nonlocal taken
        for _ in range(100):
            taken += 441
            yield np.zeros(441, np.float32)

    next(cut_windows(blocks(), SETTINGS, hop_seconds=1.0))
    assert taken == 22_050


@pytest.mark.parametrize("hop", [1.0, 2.0, 7.0])
def test_no_window_spans_a_gap_and_starts_go_on_counting_what_came(hop: float) -> None:
    first, second = np.full(30_000, 0.1, np.float32), np.full(30_000, 0.2, np.float32)
    windows = list(cut_windows([first, None, second], SETTINGS, hop_seconds=hop))
    assert [float(window.samples.std()) for window in windows] == pytest.approx([0.0] * len(windows), abs=1e-6)
    assert next(window.start_sample for window in windows if window.samples[0] > 0.15) == 30_000


@pytest.mark.parametrize("hop", [0.5, 2.0])
def test_the_first_window_after_a_gap_is_marked(hop: float) -> None:
    block = np.zeros(50_000, np.float32)
    windows = list(cut_windows([None, block, None, None, block], SETTINGS, hop_seconds=hop))
    marked = [window.start_sample for window in windows if window.after_gap]
    assert marked == [0, 50_000]


SMALL = SpectrogramSettings(sample_rate=8_000, n_mels=20, image_height=32, image_width=48)
DECIBEL_TOLERANCE = 1e-3
INDEX_LEVELS = 1

GRIDS = {
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
    assert np.abs(streamed - spectrogram.image(window.samples)[..., 1]).max() <= INDEX_LEVELS


@pytest.mark.parametrize("hop_share", [0.11, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("name", GRIDS)
def test_a_stream_agrees_with_the_images_computed_at_once(
    name: str, hop_share: float, colormap: NDArray[np.uint8]
) -> None:
    settings = GRIDS[name]
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
    windows = list(cut_windows(blocks, SMALL, hop_seconds=hop))
    assert [window.start_sample for window in streamed] == [window.start_sample for window in windows]
    assert [window.after_gap for window in streamed] == [window.after_gap for window in windows]
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


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("hop", [0.5, 1.0, 3.0])
def test_frames_are_shown_once_with_their_place(framed: bool, hop: float, colormap: NDArray[np.uint8]) -> None:
    spectrogram = Spectrogram(SETTINGS, colormap)
    sound = np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)
    shown: list[tuple[NDArray[np.float32], float]] = []
    windows = stream_windows(
        torn(sound, 3_000, 0),
        spectrogram,
        hop_seconds=hop,
        framed=framed,
        on_frames=lambda power, end: shown.append((power, end)),
    )
    assert sum(1 for _ in windows) > 2
    first = SETTINGS.leading_frames * SETTINGS.hop_length - SETTINGS.n_fft // 2
    whole = spectrogram.frame_power(sound[first:])
    frames = np.concatenate([power for power, _ in shown])
    np.testing.assert_allclose(frames, whole[: len(frames)], rtol=1e-5)
    assert len(whole) - len(frames) < 2 * _BATCH_FRAMES
    ends = (np.cumsum([len(power) for power, _ in shown]) - 1) * SETTINGS.hop_length + SETTINGS.n_fft + first
    assert [end for _, end in shown] == pytest.approx(ends / SETTINGS.sample_rate)


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

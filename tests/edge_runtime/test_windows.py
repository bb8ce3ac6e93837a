"""A stream is cut into the same windows however it arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import SpectrogramSettings, TmgcError
from edge_runtime.windowing import cut_windows, hop_samples

SETTINGS = SpectrogramSettings(sample_rate=11_025)


@pytest.mark.parametrize(("hop", "samples"), [(1.0, 172 * 256), (0.5, 86 * 256), (2.0, 88_200), (3.0, 132_300)])
def test_a_hop_is_whole_frames_unless_windows_do_not_overlap(hop: float, samples: int) -> None:
    assert hop_samples(SpectrogramSettings(), hop) == samples


def test_a_hop_below_one_frame_is_refused() -> None:
    with pytest.raises(TmgcError, match="at least one frame"):
        hop_samples(SpectrogramSettings(), 0.001)


@pytest.mark.parametrize("hop", [0.3, 1.0, 2.0, 2.5, 7.0])
@pytest.mark.parametrize("block", [1, 999, 22_050, 100_000])
def test_windows_do_not_depend_on_the_blocks_that_the_stream_comes_in(hop: float, block: int) -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 100_000 if block > 1 else 45_000).astype(np.float32)
    blocks = (sound[start : start + block] for start in range(0, len(sound), block))
    windows = list(cut_windows(blocks, SETTINGS, hop_seconds=hop))
    starts = range(0, len(sound) - SETTINGS.window_samples + 1, hop_samples(SETTINGS, hop))
    assert [window.start_sample for window in windows] == list(starts)
    for window in windows:
        expected = sound[window.start_sample : window.start_sample + SETTINGS.window_samples]
        np.testing.assert_array_equal(window.samples, expected)


def test_a_stream_shorter_than_a_window_gives_none() -> None:
    sound = np.zeros(SETTINGS.window_samples - 1, np.float32)
    assert list(cut_windows([sound], SETTINGS, hop_seconds=1.0)) == []


def test_a_window_is_given_as_soon_as_its_last_sample_has_come() -> None:
    taken = 0

    def blocks() -> Iterator[NDArray[np.float32]]:
        nonlocal taken
        for _ in range(100):
            taken += 441
            yield np.zeros(441, np.float32)

    next(cut_windows(blocks(), SETTINGS, hop_seconds=1.0))
    assert taken == 22_050


@pytest.mark.parametrize("hop", [1.0, 2.0, 7.0])
def test_no_window_straddles_a_gap_and_starts_go_on_counting_what_came(hop: float) -> None:
    first, second = np.full(30_000, 0.1, np.float32), np.full(30_000, 0.2, np.float32)
    windows = list(cut_windows([first, None, second], SETTINGS, hop_seconds=hop))
    assert [float(window.samples.std()) for window in windows] == pytest.approx([0.0] * len(windows), abs=1e-6)
    assert next(window.start_sample for window in windows if window.samples[0] > 0.15) == 30_000

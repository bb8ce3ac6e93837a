from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Spectrogram
from export.parity_reference import parity_inputs, stress_inputs
from export.recipes import MOST_PARITY_WINDOWS, PARITY_WINDOWS
from train.dataset.dataset import read_dataset
from train.run import Run


def test_the_longest_hop_with_500_windows_is_taken(tiny_run: Run) -> None:
    shown = parity_inputs(read_dataset(tiny_run), "test")
    assert shown.hop_seconds == 0.125
    assert PARITY_WINDOWS <= len(shown.pictures) <= MOST_PARITY_WINDOWS
    assert (shown.clip_count, shown.song_count) == (48, 48)
    assert shown.pictures.shape[1:] == (32, 32, 3)
    assert {clip.split for clip in shown.clips} == {"test"}


def test_pictures_are_those_that_a_listener_would_see(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    shown = parity_inputs(dataset, "test")
    clip, samples = next(dataset.windows(dataset.of("test"), hop_seconds=shown.hop_seconds))
    np.testing.assert_array_equal(shown.pictures[0], Spectrogram(dataset.spectrogram, dataset.colormap).image(samples))
    assert shown.clips[0] == clip
    assert dataset.genres[shown.labels[0]] == clip.genre


def test_a_split_without_clips_is_refused(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    empty = replace(dataset, clips=tuple(dataset.of("train")))
    with pytest.raises(TmgcError, match="clips of the test split"):
        parity_inputs(empty, "test")


def test_hard_sounds_differ_from_one_another(tiny_run: Run) -> None:
    sounds = stress_inputs(read_dataset(tiny_run), "test")
    assert set(sounds) == {"silence", "full-scale noise", "one tone", "clipped music"}
    assert len({sound.tobytes() for sound in sounds.values()}) == 4

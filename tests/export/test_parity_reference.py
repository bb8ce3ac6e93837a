from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import Spectrogram
from export.parity import MAX_PARITY_WINDOWS, PARITY_WINDOWS
from export.parity_reference import parity_inputs, stress_inputs
from train.dataset.dataset import read_dataset
from train.run import Run


def test_the_longest_hop_with_500_windows_is_taken(tiny_run: Run) -> None:
    inputs = parity_inputs(read_dataset(tiny_run), "test")
    assert inputs.hop_seconds == 0.125
    assert PARITY_WINDOWS <= len(inputs.images) <= MAX_PARITY_WINDOWS
    assert (inputs.clip_count, inputs.song_count) == (48, 48)
    assert inputs.images.shape[1:] == (32, 32, 3)
    assert {clip.split for clip in inputs.clips} == {"test"}


def test_images_are_those_of_a_listener(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    inputs = parity_inputs(dataset, "test")
    clip, samples = next(dataset.windows(dataset.of("test"), hop_seconds=inputs.hop_seconds))
    np.testing.assert_array_equal(inputs.images[0], Spectrogram(dataset.spectrogram, dataset.colormap).image(samples))
    assert inputs.clips[0] == clip
    assert inputs.labels is not None
    assert dataset.genres[inputs.labels[0]] == clip.genre
    assert parity_inputs(dataset, "test", labelled=False).labels is None


def test_a_split_without_clips_is_refused(tiny_run: Run) -> None:
    dataset = read_dataset(tiny_run)
    empty = replace(dataset, clips=tuple(dataset.of("train")))
    with pytest.raises(TmgcError, match="clips of the test split"):
        parity_inputs(empty, "test")


def test_stress_inputs_differ_from_one_another(tiny_run: Run) -> None:
    waveforms = stress_inputs(read_dataset(tiny_run), "test")
    assert set(waveforms) == {"silence", "full-scale noise", "sine", "clipped music"}
    assert len({waveform.tobytes() for waveform in waveforms.values()}) == 4

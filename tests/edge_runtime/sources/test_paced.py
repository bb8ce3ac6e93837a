"""A file is read at the requested speed, until the end is requested."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import AudioFile
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources.paced import PacedSource
from tests.conftest import tone

RATE = 8_000


class Watch(Shutdown):
    """Remembers how long it should have rested, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, tone(30, sample_rate=RATE), RATE)
    return path


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_a_block_is_yielded_at_the_time_when_it_ends(song: Path, speed: float) -> None:
    watch = Watch()
    with AudioFile(song, sample_rate=RATE) as file:
        playback = PacedSource(file, sample_rate=RATE, stop=watch, speed=speed)
        samples = np.concatenate([block for block in playback.blocks() if block is not None])
    assert len(samples) == 30 * RATE
    assert 25 / speed < watch.rests[-1] <= 30 / speed
    assert playback.idle_seconds == pytest.approx(sum(watch.rests))


def test_it_is_read_as_fast_as_possible_by_default(song: Path) -> None:
    watch = Watch()
    with AudioFile(song, sample_rate=RATE) as file:
        assert len(list(PacedSource(file, sample_rate=RATE, stop=watch, speed=math.inf).blocks())) > 100
    assert not watch.rests


def test_it_ends_between_two_blocks_when_requested(song: Path) -> None:
    stop = Shutdown()
    with AudioFile(song, sample_rate=RATE) as file:
        blocks = PacedSource(file, sample_rate=RATE, stop=stop).blocks()
        assert next(blocks) is not None
        stop.request()
        assert list(blocks) == []


def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path: Path) -> None:
    peaks = []
    for minutes in (1, 20):
        path = tmp_path / f"{minutes}.flac"
        soundfile.write(path, np.zeros(minutes * 60 * RATE, np.int16), RATE)
        tracemalloc.start()
        with AudioFile(path, sample_rate=11_025) as file:
            for _ in PacedSource(file, sample_rate=11_025, stop=Shutdown()).blocks():
                pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]  # the longer one alone has 50 MB; some MB of either wait for the garbage collector

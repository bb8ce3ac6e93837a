"""Sound of any rate and channel count becomes mono without an offset, and its level is that of the sound."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import AudioFile, read_audio
from edge_runtime.audio import MonoResampler, Samples, level_dbfs, mono_recording, without_offset
from tests.conftest import tone

RATE = 8_000
OFFSETS = [0.003, -0.003, 0.03, -0.03, 0.3, -0.3]


def noise(seconds: float, *, rate: int = RATE, channels: int = 1, level: float = 0.01) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, level, (round(seconds * rate), channels)).astype(np.float32)


def mono(sound: NDArray[np.float32], *, rate: int = RATE) -> Samples:
    return mono_recording(sound, rate=rate, sample_rate=rate)


def in_blocks(sound: NDArray[np.float32], lengths: Sequence[int], *, sample_rate: int = RATE) -> Samples:
    """The mono sound of a stream that is cut into blocks of these lengths, in turn."""
    stream, made, start = MonoResampler(RATE, sample_rate), [], 0
    for length in cycle(lengths):
        made.append(stream.process(sound[start : start + length]))
        start += length
        if start >= len(sound):
            return np.concatenate([*made, stream.flush()])
    raise AssertionError("a stream needs blocks")


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def test_levels_are_decibels_of_the_root_mean_square() -> None:
    assert level_dbfs(np.tile(floats(1, -1), 50)) == pytest.approx(0)
    assert level_dbfs(tone(1, sample_rate=8_000, level=1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level_dbfs(np.zeros(100, np.float32)) == pytest.approx(-120)


@pytest.mark.parametrize("offset", OFFSETS)
def test_the_level_of_a_quiet_room_is_the_same_with_an_offset(offset: float) -> None:
    room = noise(2, level=1e-4)[:, 0]
    assert level_dbfs(room + np.float32(offset)) == pytest.approx(-80, abs=0.2)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("offset", [-0.3, 0.003])
def test_sound_with_an_offset_is_the_sound_from_the_first_sample_on(rate: int, channels: int, offset: float) -> None:
    sound = noise(1.3, rate=rate, channels=channels)
    offsets = floats(offset, -offset / 3)[:channels]
    expected, found = (mono_recording(each, rate=rate, sample_rate=22_050) for each in (sound, sound + offsets))
    assert len(found) == len(expected) == pytest.approx(1.3 * 22_050, abs=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_silence_with_an_offset_is_silence() -> None:
    assert np.abs(mono(np.full((RATE, 2), 0.25, np.float32))).max() < 1e-7


@pytest.mark.parametrize(("hz", "loss_db"), [(5.0, 3.0), (20.0, 0.27), (40.0, 0.07), (440.0, 0.0)])
def test_only_what_is_below_the_bass_is_lost(hz: float, loss_db: float) -> None:
    sound = tone(4, sample_rate=44_100, hz=hz)
    kept = mono(sound[:, None], rate=44_100)[44_100:]
    assert level_dbfs(sound) - level_dbfs(kept) == pytest.approx(loss_db, abs=0.03)


def test_a_step_of_the_offset_settles_in_a_third_of_a_second() -> None:
    room = noise(3, level=1e-4)
    stepped = room.copy()
    stepped[RATE:] += np.float32(0.3)
    found, expected = mono(stepped), mono(room)
    np.testing.assert_allclose(found[:RATE], expected[:RATE], atol=1e-6)
    np.testing.assert_allclose(found[RATE + RATE // 3 :], expected[RATE + RATE // 3 :], atol=1e-4)


def test_an_offset_that_begins_after_silence_does_not_spoil_the_silence() -> None:
    sound = np.zeros((RATE, 1), np.float32)
    sound[RATE // 4 :] = 0.3
    assert np.abs(mono(sound)[: RATE // 5]).max() < 1e-3


def test_an_offset_that_drifts_is_removed_as_well() -> None:
    room = noise(20, level=1e-4)
    drift = np.linspace(-0.1, 0.1, len(room), dtype=np.float32)[:, None]
    assert level_dbfs(mono(room + drift)) < -70


@pytest.mark.parametrize("frames", [0, 1, 2, 10, 4_001])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [3, RATE, 192_000])
def test_sound_of_any_length_keeps_its_length(frames: int, channels: int, rate: int) -> None:
    sound = noise(1, channels=channels)[:frames] + np.float32(0.3)
    found = mono(sound, rate=rate)
    assert found.dtype == np.float32
    assert found.shape == (frames,)
    assert np.isfinite(found).all()
    assert np.abs(found).max(initial=0) < 0.1, "the offset is gone from the first sample on"


@pytest.mark.parametrize("lengths", [(1, 7, 100), (441,), (4_000,), (3_999, 2), (0, 5_000), (100_000,)])
@pytest.mark.parametrize("sample_rate", [RATE, 11_025])
def test_the_blocks_of_a_stream_do_not_matter(lengths: tuple[int, ...], sample_rate: int) -> None:
    sound = noise(2.2, channels=2) + floats(0.1, -0.2)
    sound[RATE:, 1] = -sound[RATE:, 0]
    whole = mono_recording(sound, rate=RATE, sample_rate=sample_rate)
    np.testing.assert_allclose(in_blocks(sound, lengths, sample_rate=sample_rate), whole, atol=1e-7)


@pytest.mark.parametrize("frames", [100, 5_000])
def test_the_number_of_channels_may_change(frames: int) -> None:
    stream, made = MonoResampler(RATE, RATE), []
    sound = noise(4) + np.float32(0.3)
    for number, start in enumerate(range(0, len(sound), frames)):
        block = sound[start : start + frames] * np.ones((1, (1, 2, 6)[number % 3]), np.float32)
        made.append(stream.process(block))
    np.testing.assert_allclose(np.concatenate([*made, stream.flush()])[frames:], mono(sound)[frames:], atol=1e-2)


def test_an_inverted_channel_is_found_again_after_the_number_of_channels_has_changed() -> None:
    sound = tone(3, sample_rate=RATE)[:, None]
    inverted = sound * floats(1, -1)
    stream = MonoResampler(RATE, RATE)
    made = [stream.process(block) for block in (inverted, sound, inverted)]
    assert stream.cancelled
    assert level_dbfs(made[1]) == pytest.approx(-9, abs=0.1)
    assert level_dbfs(made[2][RATE:]) == pytest.approx(-9, abs=0.1)


def test_a_block_whose_memory_is_used_again_was_copied() -> None:
    stream, sound = MonoResampler(RATE, RATE), noise(1)
    memory = np.empty((100, 1), np.float32)
    made = []
    for start in range(0, len(sound), 100):
        memory[:] = sound[start : start + 100]
        made.append(stream.process(memory))
        memory.fill(99)
    np.testing.assert_array_equal(np.concatenate([*made, stream.flush()]), mono(sound))


def test_after_a_gap_the_offset_is_known() -> None:
    stream, sound = MonoResampler(RATE, 11_025), noise(2, level=1e-4) + np.float32(0.3)
    before = np.concatenate([stream.process(sound[:RATE]), stream.flush()])
    after = np.concatenate([stream.process(sound[RATE:]), stream.flush()])
    assert len(before) == len(after) == 11_025
    assert max(np.abs(before).max(), np.abs(after).max()) < 1e-3


def test_invalid_samples_are_replaced_before_the_offset_is_measured() -> None:
    sound = noise(1)
    sound[10], sound[20], sound[5_000] = np.nan, np.inf, 1e38
    stream = MonoResampler(RATE, RATE)
    found = np.concatenate([stream.process(sound), stream.flush()])
    assert stream.damaged
    assert np.abs(found).max() < 0.1


@pytest.mark.parametrize("gains", [(1, -1), (-1, 1), (0.8, -1), (1, -1, 1, -1), (1, 1, -1, -0.9)])
@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_channels_that_cancel_each_other_leave_the_loudest(gains: tuple[float, ...], offset: float) -> None:
    sound = noise(3, level=0.1)
    channels = sound * floats(*gains) + np.linspace(offset, 0, len(gains), dtype=np.float32)
    channels += 0.01 * np.random.default_rng(1).normal(0, 0.1, channels.shape).astype(np.float32)
    stream = MonoResampler(RATE, RATE)
    found = np.concatenate([stream.process(channels), stream.flush()])
    assert stream.cancelled
    assert level_dbfs(found) == pytest.approx(-20, abs=0.3)
    assert abs(np.corrcoef(found, sound[:, 0])[0, 1]) > 0.99


@pytest.mark.parametrize("gains", [(1, 1), (1, 0), (1, 0.01), (1, -0.3), (1, 1, -1), (1, *[0] * 31)])
def test_channels_that_do_not_cancel_each_other_are_averaged(gains: tuple[float, ...]) -> None:
    channels = noise(3, level=0.1) * floats(*gains)
    stream = MonoResampler(RATE, RATE)
    found = np.concatenate([stream.process(channels), stream.flush()])
    assert not stream.cancelled
    np.testing.assert_allclose(found, mono(channels.mean(axis=1, keepdims=True)), atol=1e-6)


@pytest.mark.parametrize("channels", [2, 8, 64])
def test_independent_channels_are_averaged(channels: int) -> None:
    sound = noise(3, channels=channels)
    np.testing.assert_allclose(mono(sound), mono(sound.mean(axis=1, keepdims=True)), atol=1e-6)


def test_a_quiet_second_between_inverted_sounds_changes_nothing() -> None:
    sound = tone(4, sample_rate=RATE, level=0.1)[:, None] * floats(1, -1)
    sound[RATE : 2 * RATE] = 0
    np.testing.assert_allclose(mono(sound), mono(sound[:, :1]), atol=1e-6)


def test_channels_that_cancel_each_other_for_a_second_are_no_defect_and_switched_without_a_click() -> None:
    sound = tone(4, sample_rate=RATE, hz=50.0, level=0.5)[:, None] * np.ones(2, np.float32)
    sound[RATE : 2 * RATE, 1] *= -1
    stream = MonoResampler(RATE, RATE)
    found = np.concatenate([stream.process(sound), stream.flush()])
    assert not stream.cancelled
    inside = found[RATE + RATE // 2 + 100 : 2 * RATE - 100]
    assert level_dbfs(inside) == pytest.approx(-9, abs=0.2), "half a second later the louder one is heard"
    switched = slice(RATE + RATE // 2 - 50, RATE + RATE // 2 + 50)
    assert np.abs(np.diff(found[switched])).max() < 0.03


def test_real_stereo_music_is_averaged(recordings: list[Path]) -> None:
    stereo = [path for path in recordings if soundfile.info(path).channels == 2]
    assert stereo
    for path in stereo:
        sound, rate = soundfile.read(path, frames=10 * soundfile.info(path).samplerate, dtype="float32")
        with AudioFile(path, sample_rate=rate) as file:
            heard = np.concatenate(list(file.blocks(seconds=10.0, block_seconds=10.0)))
            assert not file.warnings
        mean = mono(sound.mean(axis=1, keepdims=True), rate=rate)
        np.testing.assert_allclose(heard[: len(mean)], mean[: len(heard)], atol=1e-5, err_msg=path.name)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_file_with_an_inverted_channel_is_heard_with_one_warning(tmp_path: Path, suffix: str) -> None:
    path, sound = tmp_path / f"inverted.{suffix}", tone(4, sample_rate=44_100, level=0.3)
    soundfile.write(path, np.stack([sound + 0.05, 0.02 - sound], axis=1), 44_100)
    with AudioFile(path, sample_rate=22_050) as file:
        samples = np.concatenate(list(file.blocks()))
        assert [warning.removeprefix(str(path)) for warning in file.warnings] == [
            " has channels that cancel each other (one is inverted): the louder one is used instead of their mean"
        ]
    assert level_dbfs(samples) == pytest.approx(level_dbfs(sound), abs=2.0)


@pytest.mark.parametrize("offset", OFFSETS)
def test_an_offset_of_a_single_window_is_subtracted(offset: float) -> None:
    window = noise(2)[:, 0]
    window -= window.mean()
    np.testing.assert_allclose(without_offset(window + np.float32(offset)), window, atol=1e-6)


def test_a_window_without_offset_is_left_as_it_is(recordings: list[Path]) -> None:
    for path in recordings:
        samples = read_audio(path, sample_rate=22_050, seconds=10.0)
        for start in range(0, len(samples) - 44_100, 22_050):
            window = samples[start : start + 44_100]
            assert without_offset(window) is window, (path.name, start / 22_050)


@pytest.mark.parametrize("samples", [[], [0.0], [0.5], [0.0, 0.0]])
def test_a_window_of_next_to_nothing_has_no_offset_either(samples: list[float]) -> None:
    assert not without_offset(floats(*samples)).any()


_READ_OFTEN = """
import os, sys, time
from edge_runtime.audio import level_dbfs, without_offset
from edge_runtime.audio_file import read_audio

def of_others():
    others = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
    stats = [open(f"/proc/self/task/{task}/stat").read().rpartition(")")[2].split() for task in others]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats)

before = of_others()
for _ in range(10):
    samples = read_audio(sys.argv[1], sample_rate=44_100)
    level_dbfs(without_offset(samples))
    time.sleep(0.05)
print(of_others() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the threads of a process are seen on Linux alone")
def test_no_other_thread_is_kept_busy_on_a_core_that_the_network_needs(tmp_path: Path) -> None:
    """OpenBLAS shares long products among threads, which then wait busily, some 250 ms in this test."""
    soundfile.write(tmp_path / "song.wav", tone(2, sample_rate=44_100), 44_100)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    command = [sys.executable, "-c", _READ_OFTEN, str(tmp_path / "song.wav")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 2

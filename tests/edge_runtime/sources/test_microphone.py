"""A microphone of any kind yields mono samples, and one that is lost is reported, searched for and opened again."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import Event, SpectrogramSettings, TmgcError
from edge_runtime.audio import Samples, level_dbfs, mono_recording
from edge_runtime.shutdown import Shutdown
from edge_runtime.sources import microphone as microphone_module
from edge_runtime.sources.microphone import Microphone
from edge_runtime.sources.portaudio import MAX_QUEUE_SECONDS
from edge_runtime.windowing import cut_windows
from tests.conftest import tone
from tests.edge_runtime.fake_portaudio import FakePortAudio, FakeStream

RATE = 22_050
PlugIn = Callable[..., FakePortAudio]


def noise(seconds: float, *, rate: int = RATE, channels: int = 1) -> NDArray[np.float32]:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    return sound.astype(np.float32)


def read_all(microphone: Microphone, portaudio: FakePortAudio) -> Samples:
    """The samples of a microphone that is then unplugged."""
    portaudio.streams[-1].active = False
    return np.concatenate([block for block in microphone.blocks() if block is not None])


@pytest.fixture
def events() -> list[Event]:
    return []


def test_sound_of_eight_channels_at_48_khz_is_their_mean_at_the_models_rate(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("array", sample_rate=48_000.0, channels=8)
    sound = noise(3, rate=48_000, channels=8)
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        for start in range(0, len(sound), 480):
            portaudio.streams[-1].play(sound[start : start + 480])
        samples = read_all(microphone, portaudio)
    expected = mono_recording(sound.mean(axis=1, keepdims=True), rate=48_000, sample_rate=RATE)
    assert portaudio.streams[-1].channels == 8
    np.testing.assert_allclose(samples, expected, atol=1e-3)


def test_a_sound_server_that_offers_any_number_of_channels_gives_two(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("default", channels=32)
    with Microphone(sample_rate=RATE):
        assert portaudio.streams[-1].channels == 2


def test_invalid_samples_become_silence_with_a_warning(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("broken")
    sound = tone(1, sample_rate=RATE)
    sound[100:200] = np.nan
    sound[300:302] = np.inf, 1e38
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        portaudio.streams[-1].play(sound)
        samples = read_all(microphone, portaudio)
    assert np.isfinite(samples).all()
    assert np.abs(samples[100:200]).max() < 0.02
    assert len(microphone.warnings) == 1
    assert microphone.warnings[0].startswith("broken holds invalid samples")


def test_clipped_sound_stays_clipped(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("loud")
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        portaudio.streams[-1].play(np.clip(100 * tone(1, sample_rate=RATE), -1, 1))
        samples = read_all(microphone, portaudio)
    assert np.abs(samples).max() == pytest.approx(1, abs=0.05)
    assert level_dbfs(samples) == pytest.approx(0, abs=0.1)
    assert not microphone.warnings


@pytest.mark.parametrize("offset", [-0.3, -0.003, 0.03])
def test_an_offset_is_removed_from_the_first_sample_on_and_after_each_gap(
    offset: float, fake_portaudio: PlugIn
) -> None:
    portaudio = fake_portaudio("i2s")
    room = 1e-4 * noise(2)
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        for start in range(0, len(room), 2205):
            heard = room[start : start + 2205] + np.float32(offset)
            portaudio.streams[-1].play(heard, overflow=start in (4410, 22_050))
        samples = read_all(microphone, portaudio)
    assert len(samples) == len(room)
    assert np.abs(samples).max() < 1e-4
    assert level_dbfs(samples) == pytest.approx(level_dbfs(room[:, 0]), abs=0.1)


def test_the_louder_of_two_channels_that_are_inverted_is_heard_with_a_warning(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("inverted", channels=2)
    sound = tone(4, sample_rate=RATE, level=0.1)
    both = np.stack([-0.8 * sound + np.float32(0.03), sound - np.float32(0.01)], axis=1)
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        for start in range(0, len(both), 1000):
            portaudio.streams[-1].play(both[start : start + 1000])
        samples = read_all(microphone, portaudio)
    np.testing.assert_allclose(samples, mono_recording(sound[:, None], rate=RATE, sample_rate=RATE), atol=1e-3)
    assert microphone.warnings == [
        "inverted has channels that cancel each other (one is inverted): the louder one is used instead of their mean"
    ]


def test_an_overflow_of_portaudio_is_counted_and_is_a_gap_in_the_stream(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("slow")
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        for number in range(6):
            portaudio.streams[-1].play(noise(0.1), overflow=number in (2, 4))
        portaudio.streams[-1].active = False
        lengths = [0]
        for block in microphone.blocks():
            if block is None:
                lengths.append(0)
            else:
                lengths[-1] += len(block)
        assert lengths == [4410, 4410, 4410]
        assert microphone.overflows == 2


def test_overflows_in_every_window_leave_a_notice_at_once_and_then_one_a_minute(
    fake_portaudio: PlugIn, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    portaudio = fake_portaudio("slow")
    now = 1000.0
    monkeypatch.setattr(microphone_module, "monotonic", lambda: now)
    with Microphone(sample_rate=RATE) as microphone:
        blocks = microphone.blocks()
        twelve_seconds = []
        for number in range(120):
            portaudio.streams[-1].play(noise(0.1), overflow=number % 15 == 14)
            twelve_seconds.append(next(blocks))
        assert not list(cut_windows(twelve_seconds, SpectrogramSettings(sample_rate=RATE), hop_seconds=1.0))
        line = "warning: slow: samples are lost ({} overflows): the machine is too slow, or the device fails"
        assert notices == [line.format(1)]
        now += 60
        portaudio.streams[-1].play(noise(0.1), overflow=True)
        until_gap(blocks)
        until_gap(blocks)
        assert notices == [line.format(1), line.format(9)]


def test_a_full_queue_loses_the_oldest_sound_and_counts_once(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("patient")
    sound = noise(round(1.5 * MAX_QUEUE_SECONDS))
    with Microphone(sample_rate=RATE, exit_on_loss=True) as microphone:
        for start in range(0, len(sound), 2205):
            portaudio.streams[-1].play(sound[start : start + 2205])
        assert microphone.waiting_seconds == pytest.approx(MAX_QUEUE_SECONDS)
        blocks = microphone.blocks()
        assert next(blocks) is None
        portaudio.streams[-1].active = False
        samples = np.concatenate([block for block in blocks if block is not None])
        assert microphone.overflows == 1
    assert len(samples) == MAX_QUEUE_SECONDS * RATE
    np.testing.assert_allclose(samples, mono_recording(sound[-len(samples) :], rate=RATE, sample_rate=RATE), atol=1e-6)


def until_gap(blocks: Iterator[Samples | None]) -> None:
    for block in blocks:
        if block is None:
            return


@pytest.mark.parametrize("value", [0.0, -1 / 2**15, 0.3])
def test_a_device_that_delivers_only_one_value_is_lost_once_and_back_with_its_first_sound(
    value: float, fake_portaudio: PlugIn, events: list[Event]
) -> None:
    def mute(stream: FakeStream) -> None:
        for _ in range(90):
            stream.play(np.full(RATE // 10, value, np.float32))

    portaudio = fake_portaudio("muted")
    portaudio.on_start = mute
    with Microphone(sample_rate=RATE, notify=events.append) as microphone:
        blocks = microphone.blocks()
        until_gap(blocks)
        until_gap(blocks)
        assert [event.event for event in events] == ["device lost"]
        assert "muted" in events[0].reason
        portaudio.on_start = lambda stream: stream.play(noise(0.1))
        assert next(blocks) is not None
    assert [event.event for event in events] == ["device lost", "device back"]
    assert len(portaudio.streams) == 3
    assert all(stream.closed for stream in portaudio.streams)
    assert portaudio.started_anew == 2


def test_a_device_that_delivers_nothing_is_lost(
    fake_portaudio: PlugIn, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone_module, "LOST_AFTER_SECONDS", 0.2)
    portaudio = fake_portaudio("dead")
    with Microphone(sample_rate=RATE, notify=events.append, exit_on_loss=True) as microphone:
        portaudio.streams[-1].play(np.zeros(0, np.float32))
        assert list(microphone.blocks()) == []
    assert [event.reason for event in events] == ["it delivers no samples"]


def test_a_device_that_is_gone_is_looked_for_and_found_by_its_name_under_another_number(
    fake_portaudio: PlugIn, events: list[Event]
) -> None:
    portaudio = fake_portaudio("webcam", "USB Audio: - (hw:1,0)")
    with Microphone("1", sample_rate=RATE, notify=events.append) as microphone:
        assert microphone.name == "USB Audio: - (hw:1,0)"
        portaudio.streams[-1].play(noise(0.1))
        portaudio.streams[-1].active = False
        portaudio.names = ["USB Audio: - (hw:3,0)"]
        portaudio.missing_queries = 1
        blocks = microphone.blocks()
        until_gap(blocks)
        assert [event.event for event in events] == ["device lost"]
        portaudio.on_start = lambda stream: stream.play(noise(0.1))
        assert next(blocks) is not None
    assert portaudio.streams[-1].device == 0
    assert [event.event for event in events] == ["device lost", "device back"]


def test_a_device_that_never_closes_ends_what_only_a_new_process_can_mend(
    fake_portaudio: PlugIn, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone_module, "HANGING_SECONDS", 0.3)
    portaudio, forever = fake_portaudio("dying"), threading.Event()
    with Microphone(sample_rate=RATE, notify=events.append) as microphone:
        stream = portaudio.streams[-1]
        stream.play(noise(0.1))
        monkeypatch.setattr(stream, "close", lambda ignore_errors: forever.wait())
        stream.active = False
        assert sum(len(block) for block in microphone.blocks() if block is not None) == len(noise(0.1))
    forever.set()
    assert [event.reason for event in events] == [
        "it is gone",
        "a microphone must open: dying hangs. Plug it in again, and start anew",
    ]


def test_a_device_that_never_opens_is_refused(fake_portaudio: PlugIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone_module, "HANGING_SECONDS", 0.3)
    portaudio, forever = fake_portaudio("dead"), threading.Event()

    def hang(stream: FakeStream) -> None:
        forever.wait()

    portaudio.on_start = hang
    with pytest.raises(TmgcError, match="microphone hangs"), Microphone(sample_rate=RATE, wait_seconds=1e6):
        pass
    forever.set()


HANGING_PORTAUDIO = """
import sys, threading
from edge_runtime.native_stderr import detach_python_stderr
from edge_runtime.sources import microphone
from tests.edge_runtime.fake_portaudio import FakePortAudio

def hang():
    print("while PortAudio hangs", file=sys.stderr)
    threading.Timer(0.1, print, ["from another thread"], {"file": sys.stderr}).start()
    threading.Event().wait()

portaudio = sys.modules["sounddevice"] = FakePortAudio("dying")
portaudio._initialize = hang
microphone.HANGING_SECONDS = 1.0
detach_python_stderr()
with microphone.Microphone(sample_rate=22_050, notify=lambda event: print(event.reason, file=sys.stderr)) as source:
    portaudio.streams[-1].active = False
    assert [block for block in source.blocks() if block is not None] == []
"""


def test_warnings_of_a_program_arrive_while_portaudio_hangs_in_its_initialisation() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING_PORTAUDIO], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines() == [
        "it is gone",
        "while PortAudio hangs",
        "from another thread",
        "a microphone must open: dying hangs. Plug it in again, and start anew",
    ]
    assert done.returncode == 0


def test_a_missing_device_is_waited_for_as_long_as_requested(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("late")
    portaudio.missing_queries = 1
    with pytest.raises(TmgcError, match="the system has none"), Microphone(sample_rate=RATE):
        pass
    portaudio.missing_queries = 1
    with Microphone(sample_rate=RATE, wait_seconds=60) as microphone:
        assert microphone.name == "late"


def test_waiting_for_a_device_ends_when_requested(fake_portaudio: PlugIn) -> None:
    fake_portaudio()
    stop = Shutdown()
    stop.request()
    with Microphone("USB", sample_rate=RATE, wait_seconds=1e6, stop=stop) as microphone:
        assert list(microphone.blocks()) == []


@pytest.mark.parametrize("wait", [-1.0, float("nan")])
def test_a_wait_that_makes_no_sense_is_refused(wait: float) -> None:
    with pytest.raises(TmgcError, match="0 seconds or longer"):
        Microphone(sample_rate=RATE, wait_seconds=wait)

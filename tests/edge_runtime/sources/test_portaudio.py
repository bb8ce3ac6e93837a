"""Microphones are listed and selected, and recorded into a queue."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

import numpy as np
import pytest

from edge_runtime import TmgcError
from edge_runtime.doctor import PROBLEM, check_microphone
from edge_runtime.sources.portaudio import Capture, Device, find_device, list_devices
from tests.edge_runtime.factories import listen_command
from tests.edge_runtime.fake_portaudio import FakePortAudio, FakeStream

PlugIn = Callable[..., FakePortAudio]


def test_devices_are_listed_with_all_that_matters(fake_portaudio: PlugIn) -> None:
    fake_portaudio("onboard", "USB Audio", sample_rate=48_000.0, channels=2)
    assert list_devices() == [
        Device(0, "onboard", channels=2, sample_rate=48_000, default=True),
        Device(1, "USB Audio", channels=2, sample_rate=48_000, default=False),
    ]


@pytest.mark.parametrize(
    ("wanted", "found"), [(None, "USB"), ("usb a", "USB Audio"), ("2", "webcam"), ("WEB", "webcam"), ("USB", "USB")]
)
def test_a_device_is_found_by_its_number_its_name_or_a_part_of_it(
    wanted: str | None, found: str, fake_portaudio: PlugIn
) -> None:
    fake_portaudio("USB", "USB Audio", "webcam")
    assert find_device(wanted).name == found


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("usb", "'usb' matches 0: USB one; 1: USB two. Give its number"),
        ("guitar", "none matches 'guitar'. Name one of these with --device: 0: USB one; 1: USB two; 2: webcam"),
        ("7", "none matches '7'"),
    ],
)
def test_a_name_that_fits_none_or_several_is_refused_with_the_list(
    wanted: str, message: str, fake_portaudio: PlugIn
) -> None:
    fake_portaudio("USB one", "USB two", "webcam")
    with pytest.raises(TmgcError) as caught:
        find_device(wanted)
    assert message in str(caught.value)


def test_no_device_at_all_is_one_line(fake_portaudio: PlugIn) -> None:
    fake_portaudio()
    assert list_devices() == []
    with pytest.raises(TmgcError, match="the system has none"):
        find_device(None)


def test_an_overflow_is_a_gap_before_the_block_that_reports_it(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("slow")
    capture = Capture(find_device(None))
    for number in range(4):
        portaudio.streams[-1].play(np.full(100, number, np.float32), overflow=number == 2)
    portaudio.streams[-1].play(np.zeros(0, np.float32), overflow=True)
    portaudio.streams[-1].play(np.full(100, 4, np.float32))
    blocks = [capture.take(0) for _ in range(5)]
    assert [int(block.samples[0, 0]) for block in blocks if block and block.after_gap] == [2, 4]
    assert capture.overflows == 2


def test_a_full_queue_is_a_gap_before_its_oldest_block(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("patient", sample_rate=1000.0)
    capture = Capture(find_device(None))
    for number in range(15):
        portaudio.streams[-1].play(np.full(1000, number, np.float32))
    blocks = [capture.take(0) for _ in range(10)]
    assert [int(block.samples[0, 0]) for block in blocks if block] == list(range(5, 15))
    assert [block.after_gap for block in blocks if block] == [True] + [False] * 9
    assert capture.overflows == 1


def test_one_block_longer_than_the_queue_is_kept(fake_portaudio: PlugIn) -> None:
    portaudio = fake_portaudio("long", sample_rate=1000.0)
    capture = Capture(find_device(None))
    portaudio.streams[-1].play(np.zeros(20_000, np.float32))
    block = capture.take(0)
    assert block is not None
    assert len(block.samples) == 20_000


def test_what_alsa_writes_while_a_device_opens_and_closes_goes_nowhere(
    fake_portaudio: PlugIn, capfd: pytest.CaptureFixture[str]
) -> None:
    def complain(stream: FakeStream) -> None:
        os.write(2, b"ALSA lib pcm.c: no such PCM\n")

    portaudio = fake_portaudio("noisy")
    portaudio.on_start = complain
    Capture(find_device(None)).close()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


@pytest.fixture
def no_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the library."""
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)


@pytest.mark.usefixtures("no_portaudio")
def test_a_missing_portaudio_is_one_line_with_the_fix() -> None:
    done = listen_command("--list-devices")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("sudo apt install libportaudio2\n")


@pytest.mark.usefixtures("no_portaudio")
def test_a_missing_portaudio_is_a_problem_to_the_doctor_and_not_its_end() -> None:
    (found,) = check_microphone(None)
    assert found.state == PROBLEM
    assert "sudo apt install libportaudio2" in found.found


def test_devices_are_listed_by_the_command(fake_portaudio: PlugIn) -> None:
    fake_portaudio("onboard", "USB")
    assert listen_command("--list-devices").stdout.splitlines() == [
        "  0  onboard  1 channel(s), 22050 Hz  (default)",
        "  1  USB  1 channel(s), 22050 Hz",
    ]
    fake_portaudio()
    assert listen_command("--list-devices").exit_code == 2


def test_devices_are_listed_in_a_locale_that_lacks_letters_of_their_names(fake_portaudio: PlugIn) -> None:
    fake_portaudio("ışık")
    assert listen_command("--list-devices", charset="latin-1").stdout.startswith("  0  isik  ")
    listed = listen_command("--list-devices", "--json", charset="latin-1")
    assert json.loads(listed.stdout_bytes.decode("utf-8"))["name"] == "ışık"

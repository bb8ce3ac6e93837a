"""Microphones are listed, and found by what a person calls them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from edge_runtime import TmgcError
from edge_runtime.sources.portaudio import Device, find_device, list_devices
from tests.edge_runtime.fake_portaudio import FakePortAudio

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
    ("wanted", "said"),
    [
        ("usb", "'usb' fits 0: USB one; 1: USB two. Give its number"),
        ("guitar", "none fits 'guitar'. Name one of these with --device: 0: USB one; 1: USB two; 2: webcam"),
        ("7", "none fits '7'"),
    ],
)
def test_a_name_that_fits_none_or_several_is_refused_with_the_list(
    wanted: str, said: str, fake_portaudio: PlugIn
) -> None:
    fake_portaudio("USB one", "USB two", "webcam")
    with pytest.raises(TmgcError) as caught:
        find_device(wanted)
    assert said in str(caught.value)


def test_no_device_at_all_is_one_line(fake_portaudio: PlugIn) -> None:
    fake_portaudio()
    with pytest.raises(TmgcError, match="the system has none"):
        list_devices()


def test_a_missing_portaudio_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    with pytest.raises(TmgcError, match="sudo apt install libportaudio2"):
        list_devices()

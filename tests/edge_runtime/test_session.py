"""A session with a microphone as its user has it: PortAudio on a sound server, and the command in its own process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile

from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from tests.conftest import tone
from tests.edge_runtime.virtual_microphone import VirtualMicrophone

IMPATIENT = """
from edge_runtime.cli.listen import main
from edge_runtime.sources import microphone
microphone.LOST_AFTER_SECONDS = 1.5
main()
"""
"""The command, but for how long a device may deliver nothing."""

Listen = Callable[..., subprocess.Popen[str]]
MOST_LINES = 200


@pytest.fixture
def listen(virtual_microphone: VirtualMicrophone, brief_model: Path) -> Iterator[Listen]:
    """Starts the command, and kills it where the test has failed to end it."""
    started = []

    def start(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", IMPATIENT, "--json", "--model", str(brief_model), "--hop", "0.25", *options]
        process = subprocess.Popen(
            command, env=virtual_microphone.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, tone(60, sample_rate=44_100), 44_100)
    return path


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout
    schema = json.loads(JSON_LINES_SCHEMA.read_text("utf-8"))
    for text in process.stdout:
        line = json.loads(text)
        jsonschema.validate(line, schema)
        yield line


def until(come: Iterator[dict[str, Any]], **wanted: object) -> dict[str, Any]:
    """The next line that holds all that is wanted."""
    for _, line in zip(range(MOST_LINES), come, strict=False):
        if wanted.items() <= line.items():
            return line
    raise AssertionError(f"no line with {wanted}")


def wait_for_waiting(process: subprocess.Popen[str]) -> None:
    assert process.stderr
    for text in process.stderr:
        if "waiting" in text:
            return


def test_what_is_played_is_recognised_as_it_is_from_the_file(
    virtual_microphone: VirtualMicrophone, listen: Listen, song: Path
) -> None:
    expected = next(lines(listen(str(song))))
    virtual_microphone.play(song)
    listening = listen("--device", "default", "--hop", "1")
    come = lines(listening)
    for _ in range(2):  # the first may hold the beginning
        window = until(come, type="window")
    assert window["genre"] == expected["genre"]
    assert window["level_dbfs"] == pytest.approx(expected["level_dbfs"], abs=1)
    assert window["source"] == "default"
    listening.send_signal(signal.SIGTERM)
    summary = until(come, type="summary")
    assert listening.wait() == 0
    assert summary["windows"] >= 2
    assert (summary["dropped_windows"], summary["overflows"]) == (0, 0)
    assert summary["realtime_factor"] < 1


def test_a_microphone_with_an_offset_and_an_inverted_channel_is_heard_as_one_without(
    virtual_microphone: VirtualMicrophone, listen: Listen, tmp_path: Path
) -> None:
    sound = tone(60, sample_rate=44_100, level=0.02)
    inverted = np.stack([sound + 0.03, -0.9 * sound + 0.1], axis=1)
    for name, samples in (("sound", sound), ("inverted", inverted)):
        soundfile.write(tmp_path / f"{name}.wav", samples, 44_100, subtype="PCM_24")
    expected = next(lines(listen(str(tmp_path / "sound.wav"))))
    virtual_microphone.play(tmp_path / "inverted.wav")
    listening = listen("--device", "default")
    come = lines(listening)
    for _ in range(12):  # until the channels have cancelled each other for two seconds
        window = until(come, type="window")
    assert window["genre"] == expected["genre"]
    assert window["level_dbfs"] == pytest.approx(expected["level_dbfs"], abs=1)
    listening.send_signal(signal.SIGTERM)
    assert "the louder one is used" in listening.communicate()[1]


def test_a_device_that_is_unplugged_and_plugged_in_again_is_survived(
    virtual_microphone: VirtualMicrophone, listen: Listen, song: Path
) -> None:
    virtual_microphone.play(song)
    listening = listen()
    come = lines(listening)
    genre = next(lines(listen(str(song))))["genre"]
    until(come, type="window", genre=genre)
    virtual_microphone.unplug()
    until(come, type="event", event="device lost")
    virtual_microphone.plug_in()
    virtual_microphone.play(song)
    until(come, type="event", event="device back")
    until(come, type="window", genre=genre)
    listening.send_signal(signal.SIGINT)
    until(come, type="summary")
    assert listening.wait() == 0


def test_a_device_that_hangs_holds_up_neither_the_news_nor_the_end(
    virtual_microphone: VirtualMicrophone, listen: Listen, song: Path
) -> None:
    virtual_microphone.play(song)
    listening = listen()
    come = lines(listening)
    until(come, type="window")
    virtual_microphone.hang()
    until(come, type="event", event="device lost")
    listening.send_signal(signal.SIGTERM)
    until(come, type="summary")
    assert listening.wait() == 0


def test_a_device_that_hangs_from_the_beginning_does_not_hold_up_the_end(
    virtual_microphone: VirtualMicrophone, listen: Listen
) -> None:
    virtual_microphone.hang()
    listening = listen("--wait-device", "1000")
    wait_for_waiting(listening)
    time.sleep(0.5)  # until PortAudio has begun, and hangs
    listening.send_signal(signal.SIGTERM)
    assert until(lines(listening), type="summary")["windows"] == 0
    assert listening.wait() == 0


def test_a_supervisor_sees_a_loss_in_the_exit_code(
    virtual_microphone: VirtualMicrophone, listen: Listen, song: Path
) -> None:
    virtual_microphone.play(song)
    listening = listen("--exit-on-device-loss")
    come = lines(listening)
    until(come, type="window")
    virtual_microphone.unplug()
    until(come, type="event", event="device lost")
    until(come, type="summary")
    assert listening.wait() == 1


def test_waiting_for_a_device_ends_with_a_summary_of_nothing(
    virtual_microphone: VirtualMicrophone, listen: Listen
) -> None:
    virtual_microphone.unplug()
    listening = listen("--wait-device", "1000")
    wait_for_waiting(listening)
    listening.send_signal(signal.SIGTERM)
    summary = until(lines(listening), type="summary")
    assert summary["windows"] == 0
    assert listening.wait() == 0


def test_devices_are_listed(virtual_microphone: VirtualMicrophone, listen: Listen) -> None:
    listed = list(lines(listen("--list-devices")))
    assert [device["name"] for device in listed if device["default"]] == ["default"]

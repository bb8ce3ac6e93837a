"""What a service manager is told, heard on a real socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from edge_runtime.outputs.systemd import Watchdog, tell_manager
from tests.conftest import tone

LISTEN = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()"]


class Manager:
    """A socket as systemd gives it to a service."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        """Everything that was sent so far, an assignment each."""
        assignments: list[str] = []
        while True:
            try:
                assignments += self._socket.recv(4096).decode("utf-8").split("\n")
            except BlockingIOError:
                return assignments

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", made.address)
    yield made
    made.close()


def test_assignments_arrive_as_they_are(manager: Manager) -> None:
    tell_manager("READY=1", "STATUS=şarkı 93%")
    assert manager.told() == ["READY=1", "STATUS=şarkı 93%"]


def test_a_socket_without_a_file_is_reached_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager(f"@tmgc-test-{os.getpid()}")
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    tell_manager("READY=1")
    assert manager.told() == ["READY=1"]
    manager.close()


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    tell_manager("READY=1")


def test_a_watchdog_speaks_at_once_and_then_not_all_the_time(manager: Manager) -> None:
    watchdog = Watchdog()
    for _ in range(50):
        watchdog()
    assert manager.told() == ["WATCHDOG=1"]


def test_listening_tells_that_it_is_ready_that_it_lives_and_what_it_hears(
    manager: Manager, models: dict[str, Path], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.wav", tone(4, sample_rate=22_050), 22_050)
    command = [*LISTEN, str(tmp_path / "song.wav"), "--model", str(models["tflite"])]
    subprocess.run(command, check=True, capture_output=True)
    told = manager.told()
    assert told.index("READY=1") < min(index for index, line in enumerate(told) if line.endswith("dBFS"))
    assert "WATCHDOG=1" in told
    assert told[-1] == "STOPPING=1"


@pytest.mark.parametrize("refused", [("--hop", "0"), ("--history", "/nowhere/at/all.sqlite"), ("--mqtt", "localhost")])
def test_nobody_is_told_that_it_is_ready_with_an_option_that_is_refused(
    refused: tuple[str, ...], manager: Manager, models: dict[str, Path]
) -> None:
    done = subprocess.run([*LISTEN, *refused, "--model", str(models["tflite"])], capture_output=True, check=False)
    assert done.returncode == 2
    assert "READY=1" not in manager.told()


def test_waiting_for_a_microphone_is_living_too(manager: Manager, models: dict[str, Path]) -> None:
    waiting = ["--device", "no such device", "--wait-device", "2.5"]
    done = subprocess.run([*LISTEN, *waiting, "--model", str(models["tflite"])], capture_output=True, check=False)
    assert done.returncode == 2
    lives = [line for line in manager.told() if line == "WATCHDOG=1"]
    assert len(lives) >= 2
    assert b"waiting up to 2.5 s for a microphone" in done.stderr

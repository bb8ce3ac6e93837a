"""The service manager receives its messages, here on a real socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime import Event
from edge_runtime.outputs.systemd import ServiceStatus, Watchdog, sd_notify
from tests.edge_runtime.factories import listen_command, make_prediction
from tests.edge_runtime.outputs.conftest import write_noise

LISTEN = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()"]


class Manager:
    """A socket as systemd gives it to a service."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1))
        self._socket.setblocking(False)

    def received(self) -> list[str]:
        """All assignments that were sent so far."""
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
    sd_notify("READY=1", "STATUS=şarkı 93%")
    assert manager.received() == ["READY=1", "STATUS=şarkı 93%"]


def test_a_socket_without_a_file_is_reached_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager(f"@tmgc-test-{os.getpid()}")
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    sd_notify("READY=1")
    assert manager.received() == ["READY=1"]
    manager.close()


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if address is None:
        monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    sd_notify("READY=1")


def test_the_watchdog_sends_at_once_and_then_once_a_second_at_most(manager: Manager) -> None:
    watchdog = Watchdog()
    for _ in range(50):
        watchdog()
    assert manager.received() == ["WATCHDOG=1"]


def test_the_newest_prediction_and_event_are_the_status(manager: Manager) -> None:
    status = ServiceStatus()
    status.window(make_prediction("Halk"))
    status.window(make_prediction("silence"))
    status.event(Event(datetime.now(UTC), "USB", "device lost", "it was unplugged"))
    status.close()
    assert manager.received() == [
        "STATUS=Halk 80%, -20 dBFS",
        "STATUS=silence 0%, -80 dBFS",
        "STATUS=device lost: it was unplugged",
        "STOPPING=1",
    ]


def test_a_file_name_of_any_bytes_is_one_assignment(manager: Manager) -> None:
    ServiceStatus().event(Event(datetime.now(UTC), "f", "file refused", "caf\udce9\nREADY=1.ogg is empty"))
    assert manager.received() == [r"STATUS=file refused: caf\xe9\nREADY=1.ogg is empty"]


def test_the_command_sends_ready_alive_and_its_status(
    manager: Manager, models: dict[str, Path], tmp_path: Path
) -> None:
    song = write_noise(tmp_path / "song.wav", seconds=4)
    assert listen_command(song, "--model", models["tflite"]).exit_code == 0
    received = manager.received()
    assert received.index("READY=1") < min(n for n, line in enumerate(received) if line.endswith("dBFS"))
    assert "WATCHDOG=1" in received
    assert received[-1] == "STOPPING=1"


@pytest.mark.parametrize("refused", [("--hop", "0"), ("--history", "/nowhere/at/all.sqlite"), ("--mqtt", "localhost")])
def test_ready_is_not_sent_with_an_option_that_is_refused(
    refused: tuple[str, ...], manager: Manager, models: dict[str, Path]
) -> None:
    assert listen_command(*refused, "--model", models["tflite"]).exit_code == 2
    assert "READY=1" not in manager.received()


def test_the_watchdog_is_told_while_a_microphone_is_waited_for(manager: Manager, models: dict[str, Path]) -> None:
    waiting = ("--device", "no such device", "--wait-device", "1.5")
    done = subprocess.run([*LISTEN, *waiting, "--model", str(models["tflite"])], capture_output=True, check=False)
    assert done.returncode == 2
    assert manager.received().count("WATCHDOG=1") >= 2
    assert b"waiting up to 1.5 s for a microphone" in done.stderr

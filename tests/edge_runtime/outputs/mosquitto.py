"""A real MQTT broker, and a client that keeps what it sends."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
with_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt install mosquitto")
TOPIC = "cafe/music"


class Mosquitto:
    """A real broker on a free port, which forgets everything when it stops."""

    def __init__(self, folder: Path, *settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", *(settings or ("allow_anonymous true",))]
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [str(MOSQUITTO), "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def url(self, *, user: str = "") -> str:
        return f"mqtt://{user}{self.name}/{TOPIC}"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber:
    """Everything that a broker sends to a client, from the moment it is made."""

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: list[tuple[str, str, bool]] = []
        subscribed: list[object] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: subscribed.append(True)
        self._client.on_message = lambda _, __, message: self.messages.append(
            (message.topic, message.payload.decode(), bool(message.retain))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        until(lambda: subscribed)

    def payloads(self, topic: str) -> list[str]:
        return [payload for found, payload, _ in list(self.messages) if found == topic]

    @property
    def starts(self) -> list[float]:
        """Beginnings of the windows whose states have arrived."""
        return [json.loads(state)["start_s"] for state in self.payloads(TOPIC)]

    @property
    def availability(self) -> list[str]:
        return self.payloads(f"{TOPIC}/availability")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


Subscribe = Callable[[int], Subscriber]

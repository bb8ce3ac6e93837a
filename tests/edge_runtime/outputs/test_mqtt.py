"""Predictions reach a real broker, whatever happens to it or to the listener."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from edge_runtime import TmgcError
from edge_runtime.outputs import mqtt
from edge_runtime.outputs.broker import Broker
from edge_runtime.outputs.home_assistant import discovery
from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from edge_runtime.outputs.mqtt import MqttPublisher
from tests.conftest import until
from tests.edge_runtime.factories import listen_command, make_prediction
from tests.edge_runtime.outputs.conftest import write_noise
from tests.edge_runtime.outputs.mosquitto import TOPIC, Mosquitto, Subscribe, with_broker

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make test installs it")


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher tries to connect again after 0.5 s, time enough for a subscriber to be there before it."""
    monkeypatch.setattr(mqtt, "RECONNECT_SECONDS", (0.5, 0.5))


@with_broker
def test_the_newest_prediction_is_the_retained_state(running: Mosquitto, subscribe: Subscribe) -> None:
    publisher = MqttPublisher(running.url(), model="tiny")
    for number, genre in enumerate(("Halk", "Caz", "Rock")):
        publisher.window(make_prediction(genre, start=float(number)))
    publisher.close()
    late = subscribe(running.port)
    until(lambda: len(late.messages) >= 4)
    (state,) = late.payloads(TOPIC)
    assert json.loads(state)["smoothed"] == {"genre": "Rock", "confidence": 0.8}
    assert json.loads(state)["start_s"] == 2.0
    jsonschema.validate(json.loads(state), json.loads(JSON_LINES_SCHEMA.read_text("utf-8")))
    assert all(retained for _, _, retained in late.messages)
    assert late.availability == ["offline"]


@with_broker
def test_every_prediction_is_published_while_the_broker_answers(running: Mosquitto, subscribe: Subscribe) -> None:
    subscriber = subscribe(running.port)
    publisher = MqttPublisher(running.url(), model="tiny")
    until(lambda: subscriber.availability == ["online"])
    for number in range(50):
        publisher.window(make_prediction(start=float(number)))
    publisher.close()
    until(lambda: subscriber.availability == ["online", "offline"])
    assert subscriber.starts == [float(number) for number in range(50)]


@with_broker
def test_home_assistant_discovers_two_sensors(running: Mosquitto, subscribe: Subscribe) -> None:
    subscriber = subscribe(running.port)
    publisher = MqttPublisher(running.url(), model="tiny")
    until(lambda: len(subscriber.messages) >= 3)
    publisher.close()
    found = {topic: json.loads(text) for topic, text, _ in subscriber.messages if topic.startswith("homeassistant/")}
    assert found == discovery(Broker.from_url(running.url()), "tiny")
    assert {topic.split("/")[-2] for topic in found} == {"genre", "confidence"}
    for topic, config in found.items():
        assert topic.startswith("homeassistant/sensor/")
        assert topic.endswith("/config")
        assert config["state_topic"] == TOPIC
        assert config["availability_topic"] == f"{TOPIC}/availability"
    assert len({config["unique_id"] for config in found.values()}) == 2


PUBLISHER = """
import sys, time
from edge_runtime.outputs.mqtt import MqttPublisher
publisher = MqttPublisher(sys.argv[1], model="tiny")
time.sleep(60)
"""


@with_broker
def test_a_killed_listener_is_offline_by_its_last_will(running: Mosquitto, subscribe: Subscribe) -> None:
    subscriber = subscribe(running.port)
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, running.url()])
    try:
        until(lambda: subscriber.availability == ["online"])
    finally:
        publisher.kill()
        publisher.wait()
    until(lambda: subscriber.availability == ["online", "offline"])


@with_broker
def test_after_a_reconnection_only_the_newest_prediction_is_published(
    running: Mosquitto, subscribe: Subscribe, short_pauses: None, notices: list[str]
) -> None:
    publisher = MqttPublisher(running.url(), model="tiny")
    publisher.window(make_prediction(start=0.0))
    first = subscribe(running.port)
    until(lambda: first.starts == [0.0])
    first.close()
    running.stop()
    until(lambda: notices)
    for number in range(1, 6):
        publisher.window(make_prediction(start=float(number)))
    running.start()
    second = subscribe(running.port)
    until(lambda: "online" in second.availability)
    publisher.close()
    until(lambda: "offline" in second.availability)
    assert second.starts == [5.0]
    assert notices == [
        f"warning: MQTT: {running.name} is gone; retrying, and keeping only the newest prediction",
        f"MQTT: {running.name} is back; 4 older predictions were skipped",
    ]


@with_broker
def test_a_broker_that_has_forgotten_the_state_gets_it_again(
    running: Mosquitto, subscribe: Subscribe, short_pauses: None
) -> None:
    publisher = MqttPublisher(running.url(), model="tiny")
    publisher.window(make_prediction(start=7.0))
    first = subscribe(running.port)
    until(lambda: first.starts == [7.0])
    first.close()
    running.stop()
    running.start()
    second = subscribe(running.port)
    until(lambda: second.starts == [7.0])
    publisher.close()


@with_broker
def test_a_broker_that_starts_later_gets_only_the_newest_prediction(
    broker: Mosquitto, subscribe: Subscribe, short_pauses: None, notices: list[str]
) -> None:
    publisher = MqttPublisher(broker.url(), model="tiny")
    until(lambda: notices)
    for number in range(10):
        publisher.window(make_prediction(start=float(number)))
    broker.start()
    subscriber = subscribe(broker.port)
    until(lambda: "online" in subscriber.availability)
    publisher.close()
    until(lambda: "offline" in subscriber.availability)
    assert subscriber.starts == [9.0]
    assert notices == [
        f"warning: MQTT: {broker.name} does not answer: nothing listens on that port. Start the broker, or correct "
        "the port; retrying, and keeping only the newest prediction",
        f"MQTT: {broker.name} is back; 9 older predictions were skipped",
    ]


def test_it_ends_soon_where_the_broker_never_answers(notices: list[str]) -> None:
    assert 2 * mqtt.CLOSE_SECONDS < 1
    with socket.socket() as silent:  # accepts connections and sends nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        name = f"127.0.0.1:{silent.getsockname()[1]}"
        publisher = MqttPublisher(f"mqtt://{name}/cafe", model="tiny")
        publisher.window(make_prediction())
        publisher.close()
    assert notices == [f"warning: MQTT: {name} is away or slow: the last predictions may not have arrived"]


@with_broker
def test_the_command_publishes(
    running: Mosquitto, subscribe: Subscribe, models: dict[str, Path], tmp_path: Path
) -> None:
    song = write_noise(tmp_path / "song.wav", seconds=6)
    subscriber = subscribe(running.port)
    done = listen_command(song, "--model", models["tflite"], "--mqtt", running.url(), "--hop", 2)
    assert done.exit_code == 0, done.stderr
    until(lambda: subscriber.starts[-1:] == [pytest.approx(4.0, abs=0.1)])
    until(lambda: subscriber.availability == ["online", "offline"])


def test_without_paho_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(TmgcError, match=r"which is not installed: \S+ -m pip install paho-mqtt$"):
        MqttPublisher("mqtt://host/topic", model="tiny")

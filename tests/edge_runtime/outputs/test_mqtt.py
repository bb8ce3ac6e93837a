"""Answers reach a real broker, whatever happens to it or to the listener."""

from __future__ import annotations

import gc
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile

from edge_runtime import Prediction, TmgcError
from edge_runtime.outputs import mqtt as mqtt_module
from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from edge_runtime.outputs.mqtt import PASSWORD_VARIABLE, Broker, Mqtt, discovery
from tests.conftest import until

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'tmgc[mqtt]'")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
with_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt install mosquitto")


class Mosquitto:
    """A broker of this test's own, on a free port."""

    def __init__(self, folder: Path, *settings: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
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

    def url(self, topic: str = "cafe/music", *, user: str = "") -> str:
        return f"mqtt://{user}127.0.0.1:{self.port}/{topic}"

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber:
    """What a broker gives to somebody who listens to everything."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, str, bool]] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_message = lambda _, __, message: self.messages.append(
            (message.topic, message.payload.decode(), bool(message.retain))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def of(self, topic: str) -> list[str]:
        return [payload for found, payload, _ in list(self.messages) if found == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def subscribe() -> Iterator[Callable[[int], Subscriber]]:
    made: list[Subscriber] = []

    def new(port: int) -> Subscriber:
        made.append(Subscriber(port))
        return made[-1]

    yield new
    for subscriber in made:
        subscriber.close()


Subscribe = Callable[[int], Subscriber]
Make = Callable[..., Prediction]


@with_broker
def test_the_newest_answer_is_the_retained_state(broker: Mosquitto, subscribe: Subscribe, make_answer: Make) -> None:
    output = Mqtt(broker.url(), model="tiny")
    for number, genre in enumerate(("Halk", "Caz", "Rock")):
        output.window(make_answer(genre, start=float(number)))
    output.close()
    late = subscribe(broker.port)
    until(lambda: len(late.messages) >= 4)
    (state,) = late.of("cafe/music")
    assert json.loads(state)["smoothed"] == {"genre": "Rock", "confidence": 0.8}
    assert json.loads(state)["start_s"] == 2.0
    jsonschema.validate(json.loads(state), json.loads(JSON_LINES_SCHEMA.read_text("utf-8")))
    assert all(retained for _, _, retained in late.messages)
    assert late.of("cafe/music/availability") == ["offline"]


@with_broker
def test_home_assistant_finds_two_sensors(broker: Mosquitto, subscribe: Subscribe) -> None:
    output = Mqtt(broker.url(), model="tiny")
    listener = subscribe(broker.port)
    until(lambda: len(listener.messages) >= 3)
    output.close()
    found = {topic: json.loads(text) for topic, text, _ in listener.messages if topic.startswith("homeassistant/")}
    assert found == discovery("cafe/music", "tiny")
    assert {topic.split("/")[-2] for topic in found} == {"genre", "confidence"}
    for topic, config in found.items():
        assert topic.startswith("homeassistant/sensor/")
        assert topic.endswith("/config")
        assert config["state_topic"] == "cafe/music"
        assert config["availability_topic"] == "cafe/music/availability"
    assert len({config["unique_id"] for config in found.values()}) == 2


PUBLISHER = """
import sys, time
from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from edge_runtime.outputs.mqtt import Mqtt
output = Mqtt(sys.argv[1], model="tiny")
time.sleep(60)
"""


@with_broker
def test_the_last_will_says_that_a_killed_listener_is_offline(broker: Mosquitto, subscribe: Subscribe) -> None:
    listener = subscribe(broker.port)
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, broker.url()])
    try:
        until(lambda: listener.of("cafe/music/availability") == ["online"])
    finally:
        publisher.kill()
        publisher.wait()
    until(lambda: listener.of("cafe/music/availability") == ["online", "offline"])


@with_broker
def test_what_is_heard_while_the_broker_restarts_is_published_in_its_order(
    broker: Mosquitto, subscribe: Subscribe, make_answer: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Mqtt(broker.url(), model="tiny")
    output.window(make_answer(start=0.0))
    until(lambda: not output._waiting)
    broker.stop()
    until(lambda: output._troubled)
    for number in range(1, 6):
        output.window(make_answer(start=float(number)))
    broker.start()
    listener = subscribe(broker.port)
    until(lambda: any(json.loads(state)["start_s"] == 5.0 for state in listener.of("cafe/music")))
    until(lambda: "online" in listener.of("cafe/music/availability"))
    output.close()
    states = [json.loads(state)["start_s"] for state in listener.of("cafe/music")]
    assert states == sorted(states)
    said = capsys.readouterr().err.splitlines()
    assert [line.split("; ")[0] for line in said] == [
        f"warning: MQTT: 127.0.0.1:{broker.port} is gone",
        f"MQTT: 127.0.0.1:{broker.port} is back",
    ]


@with_broker
def test_a_broker_that_comes_later_is_waited_for(
    tmp_path: Path, subscribe: Subscribe, make_answer: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Mosquitto(tmp_path)
    output = Mqtt(broker.url(), model="tiny")
    until(lambda: output._troubled)
    output.window(make_answer("Caz"))
    broker.start()
    listener = subscribe(broker.port)
    until(lambda: listener.of("cafe/music"))
    output.close()
    broker.stop()
    assert capsys.readouterr().err.startswith(f"warning: MQTT: 127.0.0.1:{broker.port} does not answer; ")


@with_broker
def test_of_more_answers_than_may_wait_the_last_is_kept_and_the_rest_counted(
    tmp_path: Path,
    subscribe: Subscribe,
    make_answer: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mqtt_module, "MOST_WAITING", 3)
    broker = Mosquitto(tmp_path)
    output = Mqtt(broker.url(), model="tiny")
    for number in range(10):
        output.window(make_answer(start=float(number)))
    broker.start()
    listener = subscribe(broker.port)
    until(lambda: any(json.loads(state)["start_s"] == 9.0 for state in listener.of("cafe/music")))
    output.close()
    broker.stop()
    said = capsys.readouterr().err
    assert "3 answers wait for" in said
    assert "7 answers were not published, but for the last" in said


@with_broker
def test_a_password_is_taken_from_the_environment_and_never_said(
    tmp_path: Path, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passwords = tmp_path / "passwords"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed: apt install mosquitto")
    subprocess.run([tool, "-c", "-b", passwords, "pi", "gizli"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}", "user root")
    broker.start()
    wrong = Mqtt(broker.url(user="pi:yanlis@"), model="tiny")
    until(lambda: wrong._troubled)
    wrong.close()
    monkeypatch.setenv(PASSWORD_VARIABLE, "gizli")
    right = Mqtt(broker.url(user="pi@"), model="tiny")
    until(lambda: right._arrived >= 3)
    right.close()
    broker.stop()
    said = capsys.readouterr().err
    assert "refuses (Not authorized)" in said
    assert "yanlis" not in said + repr(wrong._broker)
    assert "gizli" not in said + repr(right._broker)


@with_broker
# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_tls_is_spoken_and_a_stranger_s_certificate_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: apt install openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
               "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run(list(map(str, request)), check=True, capture_output=True)
    key.chmod(0o644)
    broker = Mosquitto(tmp_path, "allow_anonymous true", f"certfile {certificate}", f"keyfile {key}", "user root")
    broker.start()
    url = f"mqtts://localhost:{broker.port}/cafe"
    stranger = Mqtt(url, model="tiny")
    until(lambda: stranger._troubled)
    stranger.close()
    stranger._client.loop_stop()
    gc.collect()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    known = Mqtt(url, model="tiny")
    until(lambda: known._arrived >= 3)
    known.close()
    broker.stop()
    assert "does not answer" in capsys.readouterr().err


def test_it_ends_within_a_second_where_no_broker_answers(make_answer: Make, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        output = Mqtt(f"mqtt://127.0.0.1:{silent.getsockname()[1]}/cafe", model="tiny")
        output.window(make_answer())
        begun = time.monotonic()
        output.close()
        assert time.monotonic() - begun < 1.0
    assert "1 messages were not published" in capsys.readouterr().err


@with_broker
def test_the_command_publishes(
    broker: Mosquitto, subscribe: Subscribe, models: dict[str, Path], tmp_path: Path
) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 6 * 22_050)
    soundfile.write(tmp_path / "song.wav", sound, 22_050)
    listener = subscribe(broker.port)
    command = [sys.executable, "-c", "from edge_runtime.cli.listen import main; main()", tmp_path / "song.wav",
               "--model", models["tflite"], "--mqtt", broker.url(), "--hop", "2"]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    until(lambda: len(listener.of("cafe/music")) == 3)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://host/topic", "begins otherwise"),
        ("host/topic", "begins otherwise"),
        ("mqtt://host", "names no topic"),
        ("mqtt:///topic", "names no host"),
        ("mqtt://host:99999/topic", "its host or its port is none"),
        ("mqtt://host:port/topic", "its host or its port is none"),
        ("mqtt://host/topic/#", "a topic holds none of"),
        ("mqtt://host/a/+/b", "a topic holds none of"),
        ("mqtt://user:secret@/topic", "names no host"),
    ],
)
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str, said: str) -> None:
    with pytest.raises(TmgcError) as refused:
        Broker.of(url)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_url_has_ports_users_and_signs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    assert Broker.of("mqtt://host/a/b") == Broker("host", 1883, "a/b", tls=False)
    assert Broker.of("mqtts://host/kahve%20evi").topic == "kahve evi"
    assert Broker.of("mqtts://host/a").port == 8883
    broker = Broker.of("mqtt://me:p%40ss@host:1/a")
    assert (broker.user, broker.password, broker.port) == ("me", "p@ss", 1)
    assert "p@ss" not in repr(broker)


def test_without_paho_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(TmgcError, match=r"pip install 'tmgc\[mqtt\]'"):
        Mqtt("mqtt://host/topic", model="tiny")

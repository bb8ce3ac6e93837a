"""Predictions reach a real broker, whatever happens to it or to the listener."""

from __future__ import annotations

import errno
import gc
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import jsonschema
import pytest

from edge_runtime import TmgcError
from edge_runtime.outputs import mqtt
from edge_runtime.outputs.broker import PASSWORD_VARIABLE, Broker
from edge_runtime.outputs.home_assistant import discovery
from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from edge_runtime.outputs.mqtt import MqttPublisher, why_no_connection
from tests.conftest import until
from tests.edge_runtime.factories import listen_command, make_prediction
from tests.edge_runtime.outputs.conftest import write_noise

paho = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make test installs it")
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
        self.messages: list[tuple[str, str, bool]] = []
        subscribed: list[object] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
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


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that is not started."""
    broker = Mosquitto(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def running(broker: Mosquitto) -> Mosquitto:
    broker.start()
    return broker


Subscribe = Callable[[int], Subscriber]


@pytest.fixture
def subscribe(broker: Mosquitto) -> Iterator[Subscribe]:
    subscribers: list[Subscriber] = []

    def new(port: int) -> Subscriber:
        subscribers.append(Subscriber(port))
        return subscribers[-1]

    yield new
    for subscriber in subscribers:  # before the broker goes
        subscriber.close()


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


@with_broker
def test_a_password_is_read_from_the_environment_and_never_shown(
    tmp_path: Path, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    passwords = tmp_path / "passwords"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed: apt install mosquitto")
    subprocess.run([tool, "-c", "-b", passwords, "pi", "gizli"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}", "user root")
    broker.start()
    wrong = MqttPublisher(broker.url(user="pi:yanlis@"), model="tiny")
    until(lambda: notices)
    wrong.close()
    monkeypatch.setenv(PASSWORD_VARIABLE, "gizli")
    right = MqttPublisher(broker.url(user="pi@"), model="tiny")
    right.window(make_prediction())
    until(lambda: right._online)
    right.close()
    broker.stop()
    (notice,) = notices  # the right one has published all
    assert "refuses the connection (Not authorized): check the user, and the password in TMGC_MQTT_PASSWORD;" in notice
    assert "yanlis" not in notice + repr(wrong._broker)
    assert "gizli" not in notice + repr(right._broker)


def make_certificate(folder: Path, host: str, *, at: str | None = None) -> tuple[Path, Path]:
    """A certificate that has signed itself, valid for ten days from a date on, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: apt install openssl")
    faketime = [shutil.which("faketime"), at] if at else []
    if None in faketime:
        pytest.skip("faketime is not installed: apt install faketime")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    request = [*faketime, openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes", "-days", "10", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}",
               "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run(list(map(str, request)), check=True, capture_output=True)
    key.chmod(0o644)
    return certificate, key


@pytest.fixture
def with_tls(tmp_path: Path) -> Iterator[Callable[..., tuple[Mosquitto, Path]]]:
    """Starts a broker with a certificate for a host; also returns the certificate."""
    brokers: list[Mosquitto] = []

    def start(host: str = "localhost", *, at: str | None = None) -> tuple[Mosquitto, Path]:
        certificate, key = make_certificate(tmp_path, host, at=at)
        files = (f"certfile {certificate}", f"keyfile {key}")
        brokers.append(Mosquitto(tmp_path, "allow_anonymous true", *files, "user root"))
        brokers[0].start()
        return brokers[0], certificate

    yield start
    for broker in brokers:
        broker.stop()


# paho leaves the socket of a failed handshake to the garbage collector.
forgotten_sockets = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


def trouble_of(url: str, notices: list[str]) -> str:
    """The notice of a publisher that cannot connect."""
    publisher = MqttPublisher(url, model="tiny")
    publisher._client.reconnect_delay_set(0.05, 0.05)  # type: ignore[arg-type]
    until(lambda: notices)
    publisher.close()
    publisher._client.loop_stop()
    gc.collect()
    return notices[0]


@with_broker
def test_a_certificate_that_cafile_names_is_trusted(
    with_tls: Callable[..., tuple[Mosquitto, Path]], notices: list[str]
) -> None:
    broker, certificate = with_tls()
    publisher = MqttPublisher(f"mqtts://localhost:{broker.port}/cafe?cafile={certificate}", model="tiny")
    publisher.window(make_prediction())
    until(lambda: publisher._online)
    publisher.close()
    assert not notices


@with_broker
def test_a_certificate_of_the_system_is_trusted(
    with_tls: Callable[..., tuple[Mosquitto, Path]], monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    broker, certificate = with_tls()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    publisher = MqttPublisher(f"mqtts://localhost:{broker.port}/cafe", model="tiny")
    until(lambda: publisher._online)
    publisher.close()
    assert not notices


@with_broker
@forgotten_sockets
@pytest.mark.parametrize(
    ("host", "at", "trusted", "reason"),
    [
        ("localhost", None, False, "not trusted (self-signed certificate): name the authority that signed it with ?ca"),
        ("elsewhere", None, True, "not valid for 'localhost'): name the host as the certificate does"),
        ("localhost", "2020-01-01", True, "(certificate has expired): renew it, or set the clock"),
        ("localhost", "2090-01-01", True, "(certificate is not yet valid): renew it, or set the clock"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_the_named_cause(
    host: str,
    at: str | None,
    trusted: bool,
    reason: str,
    with_tls: Callable[..., tuple[Mosquitto, Path]],
    notices: list[str],
) -> None:
    broker, certificate = with_tls(host, at=at)
    cafile = f"?cafile={certificate}" if trusted else ""
    assert reason in trouble_of(f"mqtts://localhost:{broker.port}/cafe{cafile}", notices)


@with_broker
@forgotten_sockets
def test_tls_on_a_plain_port_and_the_reverse_name_the_other_scheme(
    running: Mosquitto, with_tls: Callable[..., tuple[Mosquitto, Path]], notices: list[str]
) -> None:
    assert "if this port is without TLS, use mqtt://" in trouble_of(f"mqtts://{running.name}/cafe", notices)
    notices.clear()
    broker, _ = with_tls()
    assert "if this port expects TLS, use mqtts://" in trouble_of(f"mqtt://localhost:{broker.port}/cafe", notices)


def test_a_host_that_nobody_knows_is_the_named_cause(notices: list[str]) -> None:
    notice = trouble_of("mqtt://nowhere.invalid/cafe", notices)
    assert "nowhere.invalid:1883 cannot be found (" in notice
    assert "check its name and this machine's network" in notice


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b" \x02\x00\x01", "refuses the connection (Unsupported protocol version);"),
        (b" \x02\x00\x02", "refuses the connection (Client identifier not valid);"),
        (b" \x02\x00\x03", "refuses the connection (Server unavailable);"),
        (b" \x02\x00\x04", "(Bad user name or password): check the user, and the password in TMGC_MQTT_PASSWORD;"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer with MQTT: if this port"),
        (b"", "does not answer with MQTT: if this port"),
    ],
)
def test_what_a_server_answers_instead_of_accepting_is_the_named_cause(
    answer: bytes, reason: str, notices: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_each() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1024)
                        connection.sendall(answer)

        Thread(target=answer_each, daemon=True).start()
        notice = trouble_of(f"mqtt://me:secret@127.0.0.1:{server.getsockname()[1]}/cafe", notices)
        server.shutdown(socket.SHUT_RDWR)
    assert reason in notice
    assert "secret" not in notice


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "does not answer (Network is unreachable)"),
        (TimeoutError("timed out"), "does not answer (timed out)"),
        (ValueError("odd"), "does not answer"),
    ],
)
def test_other_errors_are_told_in_their_own_words(error: Exception, end: str) -> None:
    assert why_no_connection(error, tls=False) == end


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

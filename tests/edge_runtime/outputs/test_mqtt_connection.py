"""Brokers that ask for TLS or a password are reached, and the cause of a refused connection is named."""

from __future__ import annotations

import errno
import gc
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from edge_runtime.outputs.broker import PASSWORD_VARIABLE
from edge_runtime.outputs.mqtt import MqttPublisher, why_no_connection
from tests.conftest import until
from tests.edge_runtime.factories import make_prediction
from tests.edge_runtime.outputs.mosquitto import Mosquitto, Subscribe, with_broker

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make test installs it")


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

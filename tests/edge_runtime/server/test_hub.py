"""What a listener hears, for clients of its server: they never delay it, and a slow one is cut."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter, time
from typing import Any, NoReturn
from urllib.parse import urlsplit

import numpy as np
import pytest
from starlette.requests import ClientDisconnect

from edge_runtime import Event, GenreClassifier, Summarizer
from edge_runtime.server.app import _Stream
from edge_runtime.server.hub import (
    CLIENT_MESSAGES,
    KEPT_MESSAGES,
    MAX_STREAMS,
    MAX_STREAMS_OF_ONE_CLIENT,
    MAX_WAITING,
    Hub,
)
from edge_runtime.server.metrics import Metrics
from edge_runtime.server.models import served_models, share
from edge_runtime.server.past import Past
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.running import ServedListener, serve_listener
from edge_runtime.server.settings import ServerSettings
from tests.conftest import until
from tests.edge_runtime.factories import make_prediction
from tests.edge_runtime.server.conftest import request

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def listener(models: dict[str, Path]) -> Iterator[ServedListener]:
    """The server of a listener without a history, whose results are those of the test."""
    classifier = GenreClassifier.open(models["tflite"])
    with serve_listener(models["tflite"], classifier, ServerSettings(port=0), history=None) as served:
        yield served


@contextmanager
def stream(address: str, **headers: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """The stream of a server; each call waits for its next event: its name, id and data."""
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)) as connection:
        connection.request("GET", "/v1/stream", headers=headers)
        response = connection.getresponse()
        assert response.getheader("content-type", "").startswith("text/event-stream")

        def read() -> dict[str, Any]:
            fields: dict[str, Any] = {}
            while line := response.readline().decode().strip():
                name, _, value = line.partition(": ")
                fields[name] = json.loads(value) if name == "data" else value
            return fields

        assert read()["event"] == "heartbeat"
        yield read


def test_what_is_heard_reaches_a_stream(listener: ServedListener) -> None:
    with stream(listener.address) as read:
        listener.hub.window(make_prediction(time=NOON))
        listener.hub.event(Event(NOON, "microphone", "device lost", "it is gone"))
        window, event = read(), read()
    assert (window["event"], window["data"]["genre"], window["data"]["type"]) == ("window", "Halk", "window")
    assert (event["event"], event["data"]["reason"]) == ("event", "it is gone")
    assert int(window["id"]) == NOON.timestamp() * 1000
    assert int(event["id"]) == int(window["id"]) + 1


def test_a_client_that_comes_back_gets_what_it_has_missed(listener: ServedListener) -> None:
    for second in range(5):
        listener.hub.window(make_prediction(time=NOON + timedelta(seconds=second), start=float(second)))
    until(lambda: len(listener.hub.kept) == 5)
    last = str(round(NOON.timestamp() * 1000) + 2000)
    with stream(listener.address, **{"Last-Event-ID": last}) as read:
        assert [read()["data"]["start_s"] for _ in range(2)] == [3.0, 4.0]
        listener.hub.window(make_prediction(start=5.0))
        assert read()["data"]["start_s"] == 5.0


def test_streams_that_are_opened_at_once_are_counted(listener: ServedListener) -> None:
    address = urlsplit(listener.address)
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=10))
            for _ in range(80)
        ]
        for client in clients:
            client.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        statuses = [client.recv(12) for client in clients]
    assert statuses.count(b"HTTP/1.1 200") == MAX_STREAMS
    assert statuses.count(b"HTTP/1.1 503") == 80 - MAX_STREAMS
    until(lambda: listener.hub.streams == 0)


def test_one_visitor_takes_no_place_of_others(listener: ServedListener) -> None:
    taken = [listener.hub.subscribe("192.0.2.7") for _ in range(MAX_STREAMS_OF_ONE_CLIENT)]
    with pytest.raises(RefusedError, match="of one address"):
        listener.hub.subscribe("192.0.2.7")
    listener.hub.subscribe("192.0.2.8")
    listener.hub.unsubscribe(taken[0])
    listener.hub.subscribe("192.0.2.7")


@pytest.mark.parametrize("proxy", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_all_visitors_of_a_proxy_on_this_machine_are_served(proxy: str, listener: ServedListener) -> None:
    for _ in range(MAX_STREAMS):
        listener.hub.subscribe(proxy)
    with pytest.raises(RefusedError, match="streams are open"):
        listener.hub.subscribe(proxy)


def test_a_client_that_has_gone_before_its_first_message_holds_no_place(listener: ServedListener) -> None:
    async def gone(*message: Any) -> NoReturn:
        raise ConnectionResetError

    stream = _Stream(listener.hub, Past(None), listener.hub.subscribe(), None)
    with pytest.raises(ClientDisconnect):
        asyncio.run(stream({"type": "http", "asgi": {"spec_version": "2.4"}}, gone, gone))
    assert listener.hub.streams == 0


def test_after_a_start_everything_before_it_may_be_missing(listener: ServedListener) -> None:
    now = round(time() * 1000)
    kept, oldest = listener.hub.kept_after(5)
    assert not kept
    assert oldest is not None
    assert now <= oldest < now + 60_000
    assert listener.hub.kept_after(now + 3_600_000) == ([], None)


def test_an_id_without_a_meaning_is_ignored(listener: ServedListener) -> None:
    listener.hub.window(make_prediction())
    for number, last in enumerate(["x", "-1", "9" * 30, "²"]):
        with stream(listener.address, **{"Last-Event-ID": last.encode().decode("latin-1")}) as read:
            listener.hub.window(make_prediction(start=7.0 + number))
            assert read()["data"]["start_s"] == 7.0 + number


def test_the_strip_has_twelve_columns_a_second_of_the_mel_bands(listener: ServedListener) -> None:
    settings = listener.classifier.card.spectrogram
    loud = np.full((16, settings.n_mels), 1e9, np.float32)
    with stream(listener.address) as read:
        for number in range(8):
            listener.hub.frames(loud, number * 16 * settings.hop_length / settings.sample_rate)
        levels = read()["data"]
    assert levels["bands"] == settings.n_mels
    assert levels["columns_per_s"] == pytest.approx(12, abs=1)
    columns = np.frombuffer(base64.b64decode(levels["columns"]), np.uint8).reshape(-1, settings.n_mels)
    assert len(columns) >= 3
    assert (columns == 255).all()


def test_a_client_that_reads_nothing_is_cut_and_delays_nobody(listener: ServedListener) -> None:
    long_name = make_prediction(source="x" * 20_000)
    address = urlsplit(listener.address)
    with socket.create_connection((address.hostname, address.port)) as sleeper, stream(listener.address) as read:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: listener.hub.streams == 2)
        for number in range(2 * CLIENT_MESSAGES):
            listener.hub.window(long_name)
            assert read()["event"] == "window", number
        assert listener.hub.cut_clients == 1


def test_the_listener_goes_on_while_the_event_loop_is_stuck(listener: ServedListener) -> None:
    stuck, end = threading.Event(), threading.Event()
    loop = listener.hub._loop
    assert loop is not None
    loop.call_soon_threadsafe(stuck.set)
    loop.call_soon_threadsafe(end.wait, 10)
    assert stuck.wait(10)
    begun = perf_counter()
    for _ in range(MAX_WAITING + 5):
        listener.hub.window(make_prediction())
    assert perf_counter() - begun < 5  # of ten
    assert listener.hub.lost == 5
    end.set()
    until(lambda: len(listener.hub.kept) == KEPT_MESSAGES)


def test_now_tells_what_is_heard_and_since_when(listener: ServedListener) -> None:
    assert request(listener.address, "/v1/now").json["window"] is None
    for second, genre in enumerate(["Caz", "Halk", "Halk"]):
        listener.hub.window(make_prediction(genre, time=NOON + timedelta(seconds=second)))
    until(lambda: len(listener.hub.kept) == 3)
    now = request(listener.address, "/v1/now").json
    assert now["window"]["genre"] == "Halk"
    assert now["since"] == "2026-11-26T12:00:01.000Z"
    assert [window["genre"] for window in now["recent"]] == ["Caz", "Halk", "Halk"]
    assert now["history"] is False
    assert now["health"]["delay_ms"] == {"p50": 19.0, "p99": 19.0}


def test_a_server_is_ready_as_long_as_sound_arrives(models: dict[str, Path]) -> None:
    (model,) = served_models([(models["tflite"], GenreClassifier.open(models["tflite"]))]).values()
    hub = Hub(model, Metrics(model))
    power = np.zeros((1, 64), np.float32)
    assert hub.state()[0] == "starting"
    hub.frames(power, 0.0)
    assert hub.state() == ("starting", "no window has been classified yet")
    hub._take_window(make_prediction())
    assert hub.state() == ("listening", "")
    hub._take_event(Event(NOON, "USB", "device lost", "it is gone"))
    assert hub.state() == ("device lost", "USB: it is gone")
    hub._take_event(Event(NOON, "USB", "device back", "it delivers samples again"))
    assert hub.state() == ("listening", "")
    hub._sound_at = perf_counter() - 7
    assert hub.state()[0] == "hung"
    hub._take_summary(Summarizer("USB", threshold=0.5).summary())
    assert hub.state()[0] == "ended"


def test_a_listener_without_sound_is_not_ready(listener: ServedListener) -> None:
    answer = request(listener.address, "/health/ready")
    assert answer.status == 503
    assert answer.json["found"] == "starting: no sound has arrived yet"


def test_without_a_history_there_are_the_last_events_and_no_past(listener: ServedListener) -> None:
    listener.hub.event(Event(NOON, "microphone", "device lost", "it is gone"))
    until(lambda: listener.hub.kept)
    assert [event["event"] for event in request(listener.address, "/v1/events").json["events"]] == ["device lost"]
    later = request(listener.address, "/v1/events?since=2026-11-26T12:00:01Z")
    assert later.json["events"] == []
    assert request(listener.address, "/v1/history").status == 404


def test_an_upload_waits_for_the_listener_and_both_get_their_own_answers(models: dict[str, Path]) -> None:
    alone = GenreClassifier.open(models["tflite"])
    random = np.random.default_rng(0)
    windows = [
        random.uniform(-amplitude, amplitude, alone.card.spectrogram.window_samples).astype(np.float32)
        for amplitude in (0.01, 0.5)
    ]
    expected = [alone.classify(window).probabilities for window in windows]
    first, second = share(alone)
    failures: list[int] = []

    def work(classifier: GenreClassifier, number: int) -> None:
        answers = [classifier.classify(windows[number]).probabilities for _ in range(50)]
        failures.extend(number for answer in answers if not np.array_equal(answer, expected[number]))

    threads = [threading.Thread(target=work, args=each) for each in ((first, 0), (second, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures

"""Real servers on free ports, and a client of the standard library."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from edge_runtime import GenreClassifier
from edge_runtime.server.bodies import Limits
from edge_runtime.server.running import Server, serve_models
from edge_runtime.server.settings import ServerSettings
from tests.conftest import tone


class Answer(NamedTuple):
    """The response to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.decode().splitlines()]

    @property
    def json(self) -> dict[str, Any]:
        (line,) = self.lines
        return line


def request(
    address: str,
    path: str,
    *,
    body: bytes | None = None,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send a request to a server, and read its whole answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    with closing(connection):
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())


def wav(seconds: float, *, sample_rate: int = 22_050, channels: int = 1, form: str = "WAV") -> bytes:
    """A file with a tone."""
    sound = np.repeat(tone(seconds, sample_rate=sample_rate)[:, None], channels, axis=1)
    file = io.BytesIO()
    soundfile.write(file, sound, sample_rate, format=form)
    return file.getvalue()


@pytest.fixture(scope="module")
def server(models: dict[str, Path]) -> Iterator[Server]:
    """A server of the ``.tflite`` model, without a listener, which has answered already."""
    opened = [(models["tflite"], GenreClassifier.open(models["tflite"]))]
    with serve_models(opened, ServerSettings(port=0)) as started:
        request(started.address, "/v1/classify", body=wav(2.1))  # so that its threads are there
        yield started


@pytest.fixture
def serve(models: dict[str, Path]) -> Iterator[Callable[..., Server]]:
    """Starts servers of the ``.tflite`` model, without a listener, with other settings and limits."""
    with ExitStack() as stack:

        def start(*, limits: Limits | None = None, **settings: Any) -> Server:
            opened = [(models["tflite"], GenreClassifier.open(models["tflite"]))]
            return stack.enter_context(serve_models(opened, ServerSettings(port=0, **settings), limits=limits))

        yield start

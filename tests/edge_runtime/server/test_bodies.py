"""Slow clients: what they are refused for, and what does not count."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_runtime.server.bodies import Body, Limits
from edge_runtime.server.running import Server
from tests.edge_runtime.server.conftest import request, wav
from tests.edge_runtime.server.test_uploads import wav_header

Serve = Callable[..., Server]

HASTY = replace(Limits(), patience_seconds=0.3)


def trickle(server: Server, path: str, begin: bytes, *, declared: int) -> bytes:
    """The answer, up to a refusal, to a body that goes on byte by byte."""
    address, answered = urlsplit(server.address), Event()
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {declared}\r\n\r\n".encode()
        client.sendall(head + begin)

        def go_on() -> None:
            with suppress(OSError):
                while not answered.wait(0.02):
                    client.sendall(b"\0")

        sender = Thread(target=go_on)
        sender.start()
        try:
            answer = b""
            while b"next_step" not in answer and (more := client.recv(65_536)):
                answer += more
            return answer
        finally:
            answered.set()
            sender.join()


@pytest.mark.parametrize(
    ("path", "begin", "declared", "rule"),
    [
        ("/v1/classify", b"", 9_999_999, b"1 kB/s or more"),
        ("/v1/classify", wav_header(8_000, 1) + bytes(64_000), 9_999_999, b"1 kB/s or more"),
        ("/v1/classify", b"", 9_999, b"there within 0.3 s"),
        ("/v2/models/tiny.float32/infer", b"", 9_999, b"there within 0.3 s"),
    ],
    ids=["slow", "slow after a fast beginning", "small", "tensor"],
)
def test_a_body_that_trickles_is_refused(path: str, begin: bytes, declared: int, rule: bytes, serve: Serve) -> None:
    server = serve(limits=HASTY)
    answer = trickle(server, path, begin, declared=declared)
    assert rule in answer
    assert b"408" in answer
    assert request(server.address, "/v1/classify", body=wav(3)).status == 200


def test_time_in_which_a_body_is_not_read_does_not_count() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def read_slowly() -> None:
        body = Body(receive, replace(Limits(), patience_seconds=0.1))
        for _ in range(10):
            assert await body.read() == b"x"
            await asyncio.sleep(0.02)

    asyncio.run(read_slowly())

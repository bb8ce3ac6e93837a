"""Clients of a server: ``python -m benchmarks.checks.serving_clients KIND ADDRESS SECONDS COUNT``.

They are a process of their own, so that they take no turns with the server. ``streams`` reads the stream, and ``load``
posts two seconds of sound as often as it can: each prints one JSON object. ``posts`` posts for each line of its input.
"""

from __future__ import annotations

import http.client
import io
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from time import perf_counter, sleep, time
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile

REFUSED_SECONDS = 0.05
"""How long a client rests after a 429; what the server advises is longer."""

_CHUNK_BYTES = 8
"""Of the framing of a chunk of some hundred bytes."""


def two_seconds(sample_rate: int, seconds: float) -> bytes:
    """A WAV of noise of the length of a window."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * sample_rate)).astype(np.float32)
    soundfile.write(file, noise, sample_rate, format="WAV")
    return file.getvalue()


def _connection(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)


def _body(address: str) -> bytes:
    with closing(_connection(address)) as connection:
        connection.request("GET", "/v1/model")
        model = json.loads(connection.getresponse().read())
    return two_seconds(model["sample_rate"], model["window_s"])


def read_stream(address: str, seconds: float) -> dict[str, Any]:
    """Read a stream: the age of each window when it arrives, ms, and the bytes of the strip a second."""
    ages_ms, strip_bytes, begun = [], 0, perf_counter()
    with closing(_connection(address)) as connection:
        connection.request("GET", "/v1/stream")
        response = connection.getresponse()
        kind, size, last = b"", 0, begun
        while perf_counter() - begun < seconds and (line := response.readline()):
            size += len(line)
            if line.startswith(b"event: "):
                kind = line[7:].strip()
            elif line.startswith(b"data: ") and kind == b"window":
                made = datetime.fromisoformat(json.loads(line[6:])["time"]).timestamp()
                ages_ms.append((time() - made) * 1e3)
            elif line == b"\n":
                if kind == b"levels":
                    strip_bytes, last = strip_bytes + size + _CHUNK_BYTES, perf_counter()
                size = 0
    return {"ages_ms": ages_ms, "strip_bytes_per_s": strip_bytes / max(1e-3, last - begun)}


def post_often(address: str, seconds: float, body: bytes) -> Counter[str]:
    """Post until the time is over; the number of answers by status, or by error."""
    answers: Counter[str] = Counter()
    begun = perf_counter()
    while perf_counter() - begun < seconds:
        try:
            with closing(_connection(address)) as connection:
                connection.request("POST", "/v1/classify", body)
                response = connection.getresponse()
                response.read()
                answers[str(response.status)] += 1
                if response.status == http.client.TOO_MANY_REQUESTS:
                    sleep(REFUSED_SECONDS)
        except OSError as error:
            answers[type(error).__name__] += 1
    return answers


def post_by_turns(address: str, body: bytes) -> None:
    """Post once for each line of standard input, on one connection, and print the time that it took, ms."""
    with closing(_connection(address)) as connection:
        for _ in sys.stdin:
            begun = perf_counter()
            connection.request("POST", "/v1/classify", body)
            connection.getresponse().read()
            print((perf_counter() - begun) * 1e3, flush=True)


def main(kind: str, address: str, seconds: str, count: str) -> None:
    """Print what the clients of a kind have seen."""
    if kind == "posts":
        post_by_turns(address, _body(address))
        return
    with ThreadPoolExecutor(int(count)) as threads:
        if kind == "streams":
            clients = [threads.submit(read_stream, address, float(seconds)) for _ in range(int(count))]
            print(json.dumps({"clients": [client.result() for client in clients]}))
        else:
            body = _body(address)
            posts = [threads.submit(post_often, address, float(seconds), body) for _ in range(int(count))]
            print(json.dumps({"answers": sum((post.result() for post in posts), Counter())}))


if __name__ == "__main__":
    main(*sys.argv[1:])

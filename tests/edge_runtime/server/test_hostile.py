"""Clients that mean harm: what they get, how long it takes, and what it costs a server in a process of its own."""

from __future__ import annotations

import io
import shutil
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import pytest
import soundfile

from tests.conftest import tone, until
from tests.edge_runtime.server.conftest import Answer, request, wav
from tests.edge_runtime.server.test_uploads import wav_header

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and addresses are Linux'"),
]

MAX_RISE_MB = 32
MAX_SECONDS = 2.0

ATTACKER, HONEST = "127.0.0.2", "127.0.0.1"


class Hostage:
    """A ``tmgc-serve`` whose memory is watched."""

    def __init__(self, model: Path) -> None:
        command = "from edge_runtime.cli.serve import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, str(model), "--address", "0"], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        self.address = next(line.split()[-1] for line in self.process.stderr if line.startswith("serving"))

    def memory_mb(self, kind: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(kind)) * 1024 / 1e6

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def connect(self, own: str = ATTACKER) -> socket.socket:
        found = urlsplit(self.address)
        return socket.create_connection((found.hostname, found.port), timeout=20, source_address=(own, 0))

    def post(self, body: bytes, accept: str = "application/json") -> Answer:
        return request(self.address, "/v1/classify", body=body, headers={"Accept": accept})


@pytest.fixture(scope="module")
def hostage(models: dict[str, Path]) -> Iterator[Hostage]:
    server = Hostage(models["tflite"])
    for form in ("WAV", "FLAC"):  # what every upload leaves in memory once
        server.post(encoded(form))
    yield server
    server.process.terminate()
    server.process.communicate(timeout=10)
    assert server.process.returncode == 0


@pytest.fixture(autouse=True)
def unharmed(hostage: Hostage) -> Iterator[None]:
    """Whatever is tried: memory rises little, nothing is left open, and the next client is served."""
    hostage.forget_peak()
    memory_mb, descriptors = hostage.memory_mb("VmRSS"), hostage.descriptors()
    yield
    assert hostage.memory_mb("VmHWM") - memory_mb < MAX_RISE_MB
    until(lambda: hostage.descriptors() <= descriptors)
    assert hostage.post(wav(3)).status == 200


def encoded(form: str, *, seconds: float = 30.0) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(seconds, sample_rate=44_100), 44_100, format=form)
    return file.getvalue()


def long_opus(copies: int) -> bytes:
    """Hours of sound at 6 kbit/s: the pages of two minutes again and again, with positions that go on."""
    encode = "ffmpeg -v error -f lavfi -i sine=300:duration=120 -ac 1 -c:a libopus -b:a 6k -f ogg -"
    pages = list(ogg_pages(subprocess.run(encode.split(), check=True, capture_output=True).stdout))
    joined, base = pages[:2], 0
    for _ in range(copies):
        for page in pages[2:]:
            (granule,) = struct.unpack_from("<q", page, 6)
            changed = bytearray(page)
            changed[5] &= ~4  # it does not end the stream
            struct.pack_into("<qxxxxII", changed, 6, base + granule, len(joined), 0)
            struct.pack_into("<I", changed, 22, ogg_checksum(bytes(changed)))
            joined.append(bytes(changed))
        base += granule
    return b"".join(joined)


def ogg_pages(content: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(content):
        segments = content[position + 26]
        size = 27 + segments + sum(content[position + 27 : position + 27 + segments])
        yield content[position : position + size]
        position += size


def ogg_checksum(page: bytes) -> int:
    """zlib's checksum of the same polynomial takes bits in the other order, and begins and ends inverted."""
    reversed_bits = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    checksum = zlib.crc32(page.translate(reversed_bits), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{checksum:032b}"[::-1], 2)


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Nine hours of sound in 24 MB."""
    return long_opus(280)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="Opus is made and decoded by ffmpeg")
@pytest.mark.parametrize("accept", ["application/json", "*/*"])
def test_hours_of_sound_in_a_small_file_are_refused_at_once(accept: str, bomb: bytes, hostage: Hostage) -> None:
    assert len(bomb) > 20e6
    begun = monotonic()
    answer = hostage.post(bomb, accept)
    assert monotonic() - begun < MAX_SECONDS
    assert answer.status == 413
    assert "states" in answer.json["found"]


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="FLAC from a pipe is decoded by ffmpeg")
@pytest.mark.parametrize(
    ("rate", "frames", "status"),
    [(655_350, 1, 200), (1, 1, 200), (44_100, (1 << 36) - 1, 413), (1, (1 << 36) - 1, 413)],
)
def test_a_flac_that_lies_is_heard_as_it_is_or_refused(rate: int, frames: int, status: int, hostage: Hostage) -> None:
    lie = bytearray(encoded("FLAC"))
    others = int.from_bytes(lie[18:26], "big") & (0xFF << 36)
    lie[18:26] = (rate << 44 | others | frames).to_bytes(8, "big")
    begun = monotonic()
    answer = hostage.post(bytes(lie))
    assert monotonic() - begun < MAX_SECONDS
    assert answer.status == status


@pytest.mark.parametrize(
    "body",
    [
        wav_header(192_000, 256) + bytes(20_000_000),
        wav_header(384_000, 8) + bytes(1_000_000),
        wav_header(8_000, 1, length=40_000_000 * 2) + bytes(1_000),
        b"RIFF\0\0\0\0WAVE" + b"LIST\xff\xff\xff\x7f" + bytes(1_000_000),
        b"#EXTM3U\nfile:///etc/passwd\n" + bytes(100_000),
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(5_000_000),
        bytes(30_000_000),
        bytes(4) + b"ftypM4A " + bytes(45_000_000),
        b"<svg><image href='http://127.0.0.1/'/></svg>" * 1000,
    ],
    ids=["channels", "rate", "length", "chunk", "playlist", "tag", "zeros", "mp4", "picture"],
)
def test_what_is_no_sound_of_music_is_refused_soon(body: bytes, hostage: Hostage) -> None:
    begun = monotonic()
    answer = hostage.post(body)
    assert monotonic() - begun < 2 * MAX_SECONDS
    assert answer.status in (413, 415, 422)
    assert "passwd" not in answer.json["found"]


def test_a_body_without_an_end_is_cut(hostage: Hostage) -> None:
    begun, sent = monotonic(), 0
    with hostage.connect() as client, suppress(OSError):
        client.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = wav_header(44_100, 2).ljust(65_536, b"\1")
        while monotonic() - begun < 20:
            client.sendall(b"10000\r\n" + chunk + b"\r\n")
            chunk, sent = b"\1\2" * 32_768, sent + 65_536
    assert monotonic() - begun < 15
    assert sent < 200e6


def test_headers_without_an_end_take_no_place_of_others(hostage: Hostage) -> None:
    begun = monotonic()
    with ExitStack() as stack:
        idle = [stack.enter_context(hostage.connect()) for _ in range(200)]
        for number, client in enumerate(idle):
            with suppress(OSError):
                client.sendall(b"GET / HTTP/1.1\r\nX: " if number % 2 else b"")
        for _ in range(4):
            assert hostage.post(wav(3)).status == 200
            for client in idle:
                with suppress(OSError):
                    client.sendall(b"x")  # as slow as can be
            sleep(1)
        for client in idle:
            with suppress(OSError):
                client.settimeout(15)
                assert client.recv(1) == b""
    assert monotonic() - begun < 20


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 5000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"y" * 600_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["zeros", "long header", "two hosts", "negative length", "smuggling", "proxy", "http2"],
)
def test_what_is_no_request_is_refused(content: bytes, hostage: Hostage) -> None:
    with hostage.connect() as client, suppress(ConnectionResetError):
        client.sendall(content)
        answer = client.recv(100)
        assert answer.startswith(b"HTTP/1.1 4"), answer


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/app.py",
        "/page/../app.py",
        "//etc/passwd",
        "/index.html%00.js",
        "/app.py",
        "/.",
        "/app.js/",
        "/v1/model?model=../../etc/passwd",
        "/v2/models/..%2f..%2fsmall/infer",
    ],
)
def test_no_path_leads_out_of_the_page(path: str, hostage: Hostage) -> None:
    with hostage.connect() as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.split()[1] in (b"404", b"405"), answer
    assert b"import" not in answer

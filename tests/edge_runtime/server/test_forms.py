"""Files of forms, one and several, by real requests and in any pieces."""

from __future__ import annotations

import asyncio

import pytest

from edge_runtime.server.bodies import MAX_PARTS, FormFiles
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.running import Server
from tests.edge_runtime.server.conftest import Answer, request, wav

BOUNDARY = "x1234567890"
TYPE = f'multipart/form-data; boundary="{BOUNDARY}"'


def form(*parts: tuple[str, bytes]) -> bytes:
    """A form of parts, each with what stands behind its name."""
    encoded = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"{more}\r\n\r\n'.encode() + content + b"\r\n"
        for more, content in parts
    ]
    return b"".join([*encoded, f"--{BOUNDARY}--\r\n".encode()])


def file(name: str, content: bytes) -> tuple[str, bytes]:
    return f'; filename="{name}"\r\nContent-Type: audio/wav', content


def send(server: Server, path: str, body: bytes) -> Answer:
    return request(server.address, path, body=body, headers={"Content-Type": TYPE})


def read_files(content: bytes, piece: int) -> list[tuple[str, bytes]]:
    pieces = [content[start : start + piece] for start in range(0, len(content), piece)]

    async def read() -> bytes:
        return pieces.pop(0) if pieces else b""

    async def collect() -> list[tuple[str, bytes]]:
        files, found = FormFiles(read, TYPE), []
        while (part := await files.next()) is not None:
            whole = b""
            while chunk := await part.read():
                whole += chunk
            found.append((part.name, whole))
        return found

    return asyncio.run(collect())


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_files_are_read_whatever_the_pieces(piece: int) -> None:
    content = form(("", b"a field"), file("şarkı.wav", b"\r\n--x12" * 9), file("", b""), file("C:\\a/b.mp3", b"abc"))
    assert read_files(content, piece) == [("şarkı.wav", b"\r\n--x12" * 9), ("upload", b""), ("b.mp3", b"abc")]


@pytest.mark.parametrize(
    "content", [b"no form", form(*[("", b"")] * (MAX_PARTS + 1)), form(("\r\nX-Long: " + "x" * 70_000, b""))]
)
def test_a_damaged_form_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedError, match="multipart/form-data") as refused:
        read_files(content, 1000)
    assert refused.value.status == 422


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 300])
def test_a_form_without_a_boundary_is_refused(content_type: str, server: Server) -> None:
    answer = request(server.address, "/v1/classify", body=form(), headers={"Content-Type": content_type})
    assert answer.status == 422


def test_a_file_of_a_form_is_answered_as_a_body_is(server: Server) -> None:
    answer = send(server, "/v1/classify", form(("", b"a field"), file("song.wav", wav(4))))
    assert [line["type"] for line in answer.lines] == ["window"] * 3 + ["summary"]
    assert answer.lines[-1]["source"] == "song.wav"
    assert send(server, "/v1/classify", form(("", b"a field"))).status == 422


def test_several_files_have_one_answer_each(server: Server) -> None:
    body = form(file("a.wav", wav(3)), file("b.txt", b"no sound" * 9), file("c.wav", wav(5)), file("d.wav", wav(1)))
    answer = send(server, "/v1/classify/batch", body)
    assert [(line["type"], line["source"]) for line in answer.lines] == [
        ("summary", "a.wav"),
        ("error", "b.txt"),
        ("summary", "c.wav"),
        ("error", "d.wav"),
    ]
    assert [line.get("windows") for line in answer.lines] == [2, None, 4, None]

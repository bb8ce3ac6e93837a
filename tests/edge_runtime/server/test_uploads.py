"""Uploads: what is decoded, and every limit, by real requests."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import jsonschema
import pytest
import soundfile

from edge_runtime.outputs.json_lines import JSON_LINES_SCHEMA
from edge_runtime.predictions import Prediction, Summarizer
from edge_runtime.server.bodies import Limits
from edge_runtime.server.running import Server
from tests.conftest import tone, until
from tests.edge_runtime.server.conftest import Answer, request, wav

Serve = Callable[..., Server]


def classify(server: Server, body: bytes, query: str = "", **headers: str) -> Answer:
    return request(server.address, f"/v1/classify{query}", body=body, headers=headers)


def encoded(form: str, subtype: str | None = None, *, seconds: float = 3.0, sample_rate: int = 48_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(seconds, sample_rate=sample_rate), sample_rate, format=form, subtype=subtype)
    return file.getvalue()


def wav_header(rate: int, channels: int, *, length: int = 0xFFFFFFFF) -> bytes:
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, 0, 2 * channels, 16)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + layout + b"data" + struct.pack("<I", length)


def connect(server: Server) -> socket.socket:
    host, _, port = urlsplit(server.address).netloc.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "PCM_24"), ("FLAC", None), ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")]
)
def test_formats_are_told_by_their_content(form: str, subtype: str | None, server: Server) -> None:
    answer = classify(server, encoded(form, subtype), **{"Content-Type": "audio/nonsense"})
    assert answer.status == 200
    assert answer.lines[-1]["windows"] == 2


@pytest.mark.parametrize(("form", "subtype"), [("FLAC", None), ("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS")])
def test_libsndfile_decodes_where_there_is_no_ffmpeg(
    form: str, subtype: str | None, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = classify(server, encoded(form, subtype))
    assert answer.status == 200, answer.body
    assert answer.lines[-1]["windows"] == 2


def test_without_ffmpeg_what_libsndfile_does_not_know_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    answer = classify(server, b"\x01\x02" * 5000)
    assert answer.status == 415
    assert "ffmpeg is missing" in answer.json["found"]


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg makes and decodes it")
@pytest.mark.parametrize("flags", ["", "-movflags +faststart"])
def test_an_mp4_is_decoded_wherever_its_index_stands(flags: str, server: Server, tmp_path: Path) -> None:
    encode = f"ffmpeg -v error -f lavfi -i sine=300:duration=5 -c:a aac {flags} {tmp_path / 'song.m4a'}"
    subprocess.run(encode.split(), check=True)
    answer = classify(server, (tmp_path / "song.m4a").read_bytes())
    assert answer.status == 200, answer.body
    assert answer.lines[-1]["windows"] == 4


def test_the_lines_are_those_of_the_json_option(server: Server) -> None:
    for line in classify(server, wav(4)).lines:
        jsonschema.validate(line, json.loads(JSON_LINES_SCHEMA.read_text("utf-8")))


def test_the_summary_alone_is_sent_where_json_is_accepted(server: Server) -> None:
    answer = classify(server, wav(4), Accept="application/json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["type"] == "summary"


def test_the_query_has_the_meaning_of_the_options(server: Server) -> None:
    lines = classify(server, wav(12), "?hop=2&threshold=1&start=3&duration=6").lines
    assert [line["start_s"] for line in lines[:-1]] == [3.0, 5.0, 7.0]
    assert lines[0]["genre"] == "unknown"


@pytest.mark.parametrize(
    "query",
    [
        "hop=0",
        "hop=0.01",
        "hop=x",
        "hop=nan",
        "smooth=0",
        "smooth=1.5",
        "smooth=601",
        "threshold=2",
        "start=-1",
        "duration=0",
    ],
)
def test_a_query_without_a_meaning_is_refused(query: str, server: Server) -> None:
    assert classify(server, wav(3), f"?{query}").status == 422


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        (b"", 415, "empty"),
        (b"\x01\x02" * 5000, 415, "no sound"),
        (wav(1), 422, "shorter"),
        (wav(3, sample_rate=4_000), 422, "4000 Hz"),
        (wav_header(384_000, 1) + bytes(100_000), 422, "384000 Hz"),
        (wav(3, channels=9), 422, "9 channels"),
    ],
)
def test_what_is_no_music_is_refused(body: bytes, status: int, found: str, server: Server) -> None:
    answer = classify(server, body)
    assert answer.status == status
    assert found in answer.json["found"]
    assert answer.json["rule"]
    assert answer.json["next_step"]


@pytest.mark.parametrize(
    ("limits", "body", "found"),
    [
        ({"body_bytes": 100_000}, wav(3), "132344 bytes"),
        ({"seconds": 3.0}, wav(4), "it states 4 s"),
        ({"seconds": 3.0}, encoded("OGG", "OPUS", seconds=9), "it states"),
        ({"seconds": 3.0}, wav_header(8_000, 1) + bytes(64_000), "more than 3 s"),
        ({"samples": 50_000}, wav(3), "it states 66150 samples"),
        ({"samples": 50_000}, wav(3, form="FLAC"), "it states 66150 samples"),
        ({"samples": 50_000}, encoded("OGG", "OPUS"), "it states 14"),
        ({"samples": 50_000}, wav_header(8_000, 2) + bytes(120_000), "more than 50000 samples"),
    ],
)
def test_what_is_too_large_is_refused_before_its_windows(
    limits: dict[str, Any], body: bytes, found: str, serve: Serve
) -> None:
    answer = classify(serve(limits=replace(Limits(), **limits)), body, Accept="application/json")
    assert answer.status == 413
    assert found in answer.json["found"]


def test_a_stretch_of_a_sound_that_is_too_long_is_answered(serve: Serve) -> None:
    server = serve(limits=replace(Limits(), seconds=4.0))
    assert classify(server, wav(9), "?duration=3").lines[-1]["windows"] == 2


def test_a_stretch_up_to_the_limit_of_an_endless_sound_is_answered(serve: Serve) -> None:
    server = serve(limits=replace(Limits(), seconds=4.0))
    body = wav_header(8_000, 1) + bytes(320_000)
    assert classify(server, body, "?duration=4").lines[-1]["windows"] == 3
    assert classify(server, body, "?start=1.5&duration=2.5", Accept="application/json").json["windows"] == 1


@pytest.mark.parametrize(
    ("body", "query", "status", "found"),
    [
        (wav_header(8_000, 1) + bytes(320_000), "?start=15", 413, "more than 10 s"),
        (wav_header(8_000, 1) + bytes(320_000), "?start=15&duration=2", 413, "more than 10 s"),
        (wav(3, sample_rate=4_000, channels=12), "?start=100000", 422, "4000 Hz"),
        (wav(3, channels=12), "?start=2", 422, "12 channels"),
    ],
)
def test_what_comes_before_a_stretch_is_under_the_limits_as_well(
    body: bytes, query: str, status: int, found: str, serve: Serve
) -> None:
    answer = classify(serve(limits=replace(Limits(), seconds=10.0)), body, query)
    assert answer.status == status
    assert found in answer.json["found"]


def test_smoothing_over_many_windows_is_answered(server: Server) -> None:
    assert classify(server, wav(3), "?smooth=600").status == 200


def test_a_refusal_after_the_first_windows_is_the_last_line(serve: Serve) -> None:
    server = serve(limits=replace(Limits(), seconds=20.0))
    answer = classify(server, wav_header(8_000, 1) + bytes(600_000), "?hop=2")
    assert answer.status == 200
    assert [line["type"] for line in answer.lines[-2:]] == ["window", "error"]
    assert answer.lines[-1]["status"] == 413


def test_a_body_that_does_not_go_on_is_refused(serve: Serve) -> None:
    server = serve(limits=replace(Limits(), idle_seconds=0.3))
    with connect(server) as client:
        client.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n" + wav(2)[:99])
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_an_answer_that_takes_too_long_is_refused(serve: Serve) -> None:
    server = serve(limits=replace(Limits(), total_seconds=0.3))
    with connect(server) as client:
        head = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n"
        client.sendall(head + wav_header(8_000, 1))
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_one_body_is_decoded_at_a_time_and_few_wait(serve: Serve) -> None:
    server = serve(limits=replace(Limits(), waiting=1))
    head = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    large = wav(14)
    with connect(server) as decoded, connect(server) as waiting, ThreadPoolExecutor(1) as reader:
        decoded.sendall(head % len(large) + large[:1000])
        answer = reader.submit(decoded.recv, 100)
        waiting.sendall(head % len(wav(3)) + wav(3))
        until(lambda: classify(server, wav(3)).status == 429)
        assert classify(server, wav(3)).headers["retry-after"] == "5"
        decoded.sendall(large[1000:])
        assert answer.result().startswith(b"HTTP/1.1 200 ")
        assert waiting.recv(100).startswith(b"HTTP/1.1 200 ")
    assert classify(server, wav(3)).status == 200


def test_a_client_that_goes_away_makes_room_for_the_next(serve: Serve) -> None:
    server = serve(limits=replace(Limits(), waiting=0))
    with connect(server) as client:
        client.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n" + wav(2)[:99])
        until(lambda: classify(server, wav(3)).status == 429)
    until(lambda: classify(server, wav(3)).status == 200)


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("lacking", ["pipe", "thread"])
def test_a_job_that_does_not_begin_leaves_the_turn_to_the_next(
    lacking: str, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(limits=replace(Limits(), waiting=0))
    classify(server, wav(3))
    before = descriptors()

    def exhausted(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(*{"pipe": (os, "pipe"), "thread": (ThreadPoolExecutor, "submit")}[lacking], exhausted)
        assert classify(server, wav(3)).status == 500
    assert "Too many open files" in caplog.text
    assert classify(server, wav(3)).status == 200
    until(lambda: descriptors() <= before)


def test_a_failure_before_the_first_window_is_a_refusal_with_a_line_in_the_log(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "ffmpeg").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "ffmpeg").chmod(0o755)
    server = serve()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        answer = classify(server, encoded("FLAC"))
    assert answer.status == 500
    assert answer.json["next_step"] == "see the log of the server"
    (record,) = caplog.records
    assert "OSError" in record.message
    assert not record.exc_info


def test_a_failure_after_the_first_window_is_the_last_line(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server, add = serve(), Summarizer.add

    def fail_later(summarizer: Summarizer, prediction: Prediction) -> None:
        if prediction.start_seconds > 1.5:
            raise MemoryError
        add(summarizer, prediction)

    monkeypatch.setattr(Summarizer, "add", fail_later)
    answer = classify(server, wav(6))
    assert [line["type"] for line in answer.lines] == ["window", "window", "error"]
    assert answer.lines[-1]["status"] == 500

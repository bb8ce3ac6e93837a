"""Answers that are corrected over HTTP: their images are kept, with time and genre."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from edge_runtime import GenreClassifier, Spectrogram, TmgcError
from edge_runtime.server import corrections
from edge_runtime.server.corrections import CORRECTION_NAME, Corrections, gray_png
from edge_runtime.server.running import ServedListener, serve_listener
from edge_runtime.server.settings import ServerSettings
from tests.conftest import tone
from tests.edge_runtime.factories import listen_command, make_prediction
from tests.edge_runtime.server.conftest import Answer, request

NOON = datetime(2026, 11, 26, 12, 0, 0, 123_456, tzinfo=UTC)

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def served(models: dict[str, Path], tmp_path: Path) -> Iterator[ServedListener]:
    """The server of a listener that keeps corrections; the results are those of the test."""
    classifier = GenreClassifier.open(models["tflite"])
    with serve_listener(
        models["tflite"], classifier, ServerSettings(port=0), history=None, corrections=tmp_path / "kept"
    ) as found:
        yield found


def hear(served: ServedListener, number: int, genre: str = "Halk") -> None:
    """Classify a tone of its own as the listener does, a second after the one before."""
    samples = tone(2.0, sample_rate=22_050, hz=300.0 + 50 * number)
    served.classifier.classify(samples)
    served.hub.window(make_prediction(genre, time=NOON + timedelta(seconds=number), start=float(number)))


def correct(served: ServedListener, genre: Any = "Caz", *, first: int = 0, last: int = 9) -> Answer:
    """Correct the answer of these windows, whose times are in milliseconds as clients know them."""
    begin, end = (f"2026-11-26T12:00:{second:02d}.123Z" for second in (first, last))
    body = json.dumps({"from": begin, "until": end, "genre": genre}).encode()
    return request(served.address, "/v1/corrections", body=body, headers=JSON)


def test_the_images_of_a_corrected_answer_are_kept(served: ServedListener, tmp_path: Path) -> None:
    for number in range(6):
        hear(served, number)
    assert correct(served, last=3).json == {"schema": 1, "genre": "Caz", "images": 2}
    (folder,) = (tmp_path / "kept").iterdir()
    document = json.loads((folder / CORRECTION_NAME).read_text("utf-8"))
    card = served.classifier.card
    assert (document["genre"], document["spectrogram"]) == ("Caz", card.spectrogram.to_json())
    assert [window["time"] for window in document["windows"]] == [
        "2026-11-26T12:00:00.123Z",
        "2026-11-26T12:00:02.123Z",
    ], "windows that overlap others are not"
    with Image.open(folder / document["windows"][1]["image"]) as image:
        kept = np.asarray(image)
    expected = Spectrogram(card.spectrogram, card.colormap_array).index_image(
        tone(2.0, sample_rate=22_050, hz=300.0 + 50 * 2)
    )
    np.testing.assert_array_equal(kept, expected)


def test_an_answer_that_is_corrected_again_has_the_newer_genre(served: ServedListener, tmp_path: Path) -> None:
    hear(served, 0)
    for genre in ("Caz", "Rock"):
        assert correct(served, genre).status == 200
    (folder,) = (tmp_path / "kept").iterdir()
    assert json.loads((folder / CORRECTION_NAME).read_text("utf-8"))["genre"] == "Rock"


def test_every_answer_can_be_corrected_however_short_it_was(served: ServedListener) -> None:
    for number, genre in enumerate(("Halk", "Caz", "Halk")):
        hear(served, number, genre)
    for number in range(3):
        assert correct(served, first=number, last=number).json["images"] == 1


def test_the_same_windows_are_kept_once_however_they_are_named(served: ServedListener, tmp_path: Path) -> None:
    hear(served, 2)
    for first in range(3):
        assert correct(served, first=first).status == 200
    assert [folder.name for folder in (tmp_path / "kept").iterdir()] == ["2026-11-26T12-00-02.123Z"]


def test_corrections_leave_room_on_the_disk(
    served: ServedListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MIN_FREE_BYTES", 1 << 60)
    hear(served, 0)
    answer = correct(served)
    assert answer.status == 507
    assert "of the disk free" in answer.json["rule"]
    assert not list((tmp_path / "kept").iterdir())


def begin_to_correct(served: ServedListener) -> socket.socket:
    """A client that has sent the first byte of a correction."""
    address = urlsplit(served.address)
    client = socket.create_connection((address.hostname, address.port), timeout=10)
    client.sendall(
        b"POST /v1/corrections HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 99\r\n\r\n{"
    )
    return client


def test_a_body_that_does_not_go_on_is_refused(served: ServedListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "BODY_SECONDS", 0.2)
    with begin_to_correct(served) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_goes_is_no_error_of_the_server(served: ServedListener, notices: list[str]) -> None:
    with begin_to_correct(served):
        request(served.address, "/health/live")  # by now it waits for the rest
    for _ in range(3):
        request(served.address, "/health/live")
    assert not notices


def test_silence_has_no_image_and_cannot_be_corrected(served: ServedListener) -> None:
    served.hub.window(make_prediction("silence", time=NOON))
    assert correct(served).status == 410


def test_a_long_answer_keeps_some_of_its_images_from_all_of_it(
    served: ServedListener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MAX_IMAGES", 3)
    for number in range(0, 18, 2):
        hear(served, number)
    assert correct(served, last=17).json["images"] == 3
    (document,) = (tmp_path / "kept").glob(f"*/{CORRECTION_NAME}")
    assert [window["start_s"] for window in json.loads(document.read_text("utf-8"))["windows"]] == [0, 8, 16]


def test_a_listener_says_what_can_be_corrected(served: ServedListener) -> None:
    assert request(served.address, "/v1/corrections").json == {
        "schema": 1,
        "genres": ["Halk", "Caz", "Rock"],
        "since": None,
    }
    hear(served, 0)
    assert request(served.address, "/v1/corrections").json["since"] == "2026-11-26T12:00:00.123Z"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"from": "2026-11-26T12:00Z", "until": "2026-11-26T12:01Z", "genre": "Caz"}', {}, 415),
        (b'{"from": "2026-11-26T12:00Z", "until": "2026-11-26T12:01Z", "genre": "Folk"}', JSON, 422),
        (b'{"from": "2026-11-26T12:00Z", "until": "2026-11-26T12:01Z", "genre": ["Caz"]}', JSON, 422),
        (b'{"from": "2026-11-26T12:00Z", "until": "2026-11-26T12:01Z"}', JSON, 422),
        (b'{"from": "../..", "until": "2026-11-26T12:01Z", "genre": "Caz"}', JSON, 422),
        (b'{"from": "0001-01-01", "until": 3, "genre": "Caz"}', JSON, 422),
        (b"[1]", JSON, 422),
        (b"{", JSON, 422),
        (b"[" * 1999, JSON, 422),
        (b"\xff\x00", JSON, 422),
        (b"1" * 3000, JSON, 413),
    ],
)
def test_what_is_no_correction_is_refused_in_one_line(
    body: bytes, headers: dict[str, str], status: int, served: ServedListener, tmp_path: Path
) -> None:
    hear(served, 0)
    answer = request(served.address, "/v1/corrections", body=body, headers=headers)
    assert (answer.status, answer.json["type"]) == (status, "error")
    assert not list((tmp_path / "kept").iterdir())


def test_a_folder_that_is_full_is_not_filled_further(
    served: ServedListener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(corrections, "MAX_CORRECTIONS", 1)
    (tmp_path / "kept" / "another").mkdir()
    hear(served, 0)
    assert correct(served).status == 507


def test_images_stay_in_memory_up_to_a_limit(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MEMORY_BYTES", 3 * 32 * 48)
    classifier = GenreClassifier.open(models["tflite"])
    kept = Corrections(tmp_path / "kept", classifier, "tiny.tflite")
    for number in range(0, 10, 2):
        classifier.classify(tone(2.0, sample_rate=22_050))
        kept.window(make_prediction(time=NOON + timedelta(seconds=number), start=float(number)))
    assert kept.to_json()["since"] == "2026-11-26T12:00:04.123Z"


def test_a_file_in_the_place_of_the_folder_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TmgcError, match="file"):
        Corrections(tmp_path / "file", GenreClassifier.open(models["tflite"]), "tiny.tflite")


def test_a_model_without_images_has_none_to_keep(models: dict[str, Path], tmp_path: Path) -> None:
    classifier = GenreClassifier.open(models["tflite"])
    classifier.card = replace(classifier.card, input_kind="waveform")
    with pytest.raises(TmgcError, match="takes a waveform and makes none"):
        Corrections(tmp_path / "kept", classifier, "tiny.tflite")


@pytest.mark.parametrize(
    "options",
    [
        ["--keep-corrections", "kept"],
        ["--public-page"],
        ["--token-file", "token"],
        ["--allow-host", "music.example"],
        ["--allow-origin", "https://app.example"],
    ],
)
def test_options_of_the_page_need_the_page(options: list[str]) -> None:
    result = listen_command(*options, "song.wav")
    assert result.exit_code == 2
    assert f"{options[0]} is for users of the page: add --serve 8321" in result.stderr


def test_an_image_is_written_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(5, 7), dtype=np.uint8)
    with Image.open(io.BytesIO(gray_png(pixels))) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), pixels)

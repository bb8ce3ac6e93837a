"""Answers that somebody has corrected: the spectrogram images of their windows, with time and genre, never the sound.

The images of the last minutes stay in memory. A correction writes those of an answer to a folder of its own, from which
``tmgc-train prepare --corrections`` takes them::

    corrections/2026-11-26T20-40-47.123Z/20-40-47.123.png ...    index images; the first one names the folder
    corrections/2026-11-26T20-40-47.123Z/correction.json         written last: without it the folder does not count
"""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import threading
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write, check_writable
from edge_runtime.outputs.json_lines import iso8601
from edge_runtime.predictions import Prediction
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.responses import json_response
from edge_runtime.spectrogram import Spectrogram

SCHEMA = 1
"""Version of the JSON documents."""

CORRECTION_NAME = "correction.json"

MEMORY_BYTES = 12 << 20
"""Of images that can still be corrected: about eight minutes of windows of 2 s at 224 x 224 pixels."""

MAX_IMAGES = 60
"""Of one correction, spread evenly over a longer answer: further ones of the same song teach little."""

ROUNDED_HOP_SECONDS = 0.1
"""Windows that overlap by less count as neighbours: two hops of 1.0 s are 1.997 s."""

MAX_CORRECTIONS = 10_000
"""Folders that are kept; a page that anyone may use must not fill a memory card."""

MIN_FREE_BYTES = 500_000_000
"""Of the disk, which corrections leave to everything else."""

MAX_BODY_BYTES = 2_000

BODY_SECONDS = 20.0
"""How long the body of a correction may take."""


class _Kept(NamedTuple):
    """One window that can still be corrected."""

    time: datetime
    """When the prediction was made, UTC, as clients know it: in milliseconds."""
    start_seconds: float
    end_seconds: float
    source: str
    genre: str
    """The smoothed one."""
    confidence: float
    level_dbfs: float
    index_image: NDArray[np.uint8]


@dataclass(frozen=True)
class Correction:
    """What a client asks for."""

    begin: datetime
    """Times of the first and the last window of the answer."""
    end: datetime
    genre: str
    """The right one."""


class Corrections:
    """Keeps the images of the last windows, and writes those that are corrected.

    Parameters
    ----------
    folder : Path
        Is created if it is missing.
    classifier : GenreClassifier
        Of the listener: another spectrogram takes the place of its own, and remembers the last image.
    model : str
        Name of the model's file.

    Raises
    ------
    TmgcError
        The model takes a waveform, so that there are no images, or the folder cannot be written.
    """

    def __init__(self, folder: Path, classifier: GenreClassifier, model: str) -> None:
        card = classifier.card
        if card.input_kind != "image":
            raise TmgcError(
                f"corrections are images: {model} takes a waveform and makes none. Export it with --input image, or "
                "leave out --keep-corrections"
            )
        check_writable(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TmgcError(f"corrections go to a folder: {folder} is none ({error.strerror}). Name another") from error
        self._folder = folder
        self._model = model
        self._genres = card.genres
        self._settings = card.spectrogram
        self._spectrogram = _RememberingSpectrogram(classifier.spectrogram)
        classifier.spectrogram = self._spectrogram
        size = card.spectrogram.image_height * card.spectrogram.image_width
        self._kept: deque[_Kept] = deque(maxlen=max(1, MEMORY_BYTES // size))
        self._lock = threading.Lock()

    def window(self, prediction: Prediction) -> None:
        """Keep the image of a window; called in the listener's thread, which has just computed it."""
        index_image = self._spectrogram.take()
        if index_image is None:
            return  # silence has no image
        last = self._kept[-1] if self._kept else None
        if last and last.source == prediction.source and last.start_seconds <= prediction.start_seconds:
            overlaps = prediction.start_seconds < last.end_seconds - ROUNDED_HOP_SECONDS
            if overlaps and last.genre == prediction.smoothed_genre:
                return  # half of the same sound again
        kept = _Kept(
            _to_milliseconds(prediction.time),
            prediction.start_seconds,
            prediction.end_seconds,
            prediction.source,
            prediction.smoothed_genre,
            prediction.smoothed_confidence,
            prediction.level_dbfs,
            index_image,
        )
        with self._lock:
            self._kept.append(kept)

    def to_json(self) -> dict[str, Any]:
        """The genres that an answer can be given, and since when answers can be corrected."""
        with self._lock:
            oldest = self._kept[0].time if self._kept else None
        return {"genres": list(self._genres), "since": iso8601(oldest) if oldest else None}

    def keep(self, correction: Correction) -> dict[str, Any]:
        """Write the images of an answer.

        Parameters
        ----------
        correction : Correction
            From :meth:`parse`.

        Returns
        -------
        kept : dict
            ``genre`` and the number of ``images``.

        Raises
        ------
        RefusedError
            No image of that time is in memory any more, or none can be written.
        """
        with self._lock:
            found = [kept for kept in self._kept if correction.begin <= kept.time <= correction.end]
        if not found:
            minutes = self._minutes()
            raise RefusedError(
                410,
                "an answer can be corrected as long as its images are in memory",
                f"those of the last {minutes:.0f} min are",
                "correct a newer answer",
            )
        chosen = [found[index] for index in _spread(len(found), MAX_IMAGES)]
        try:
            self._check_room()
            self._write(self._folder / _name(chosen[0].time), chosen, correction)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise RefusedError(507, "corrections need room on the disk", reason, "see the log of the server") from error
        return {"genre": correction.genre, "images": len(chosen)}

    def parse(self, document: Any) -> Correction:
        """What a client asks for.

        Parameters
        ----------
        document : Any
            JSON of any form.

        Raises
        ------
        RefusedError
            It is no correction, or names another genre than those of the model.
        """
        try:
            begin, end = (datetime.fromisoformat(document[name]).astimezone(UTC) for name in ("from", "until"))
            genre = document["genre"]
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            raise RefusedError(
                422,
                "a correction has from and until, times in ISO 8601, and a genre",
                repr(document)[:80],
                'send {"from": "2026-11-26T20:40:47Z", "until": "2026-11-26T20:42:10Z", "genre": "Caz"}',
            ) from None
        if genre not in self._genres:
            raise RefusedError(
                422, f"genre is one of {', '.join(self._genres)}", repr(genre)[:80], "name one of the model's genres"
            )
        return Correction(begin, end, genre)

    def _minutes(self) -> float:
        with self._lock:
            return (datetime.now(UTC) - self._kept[0].time).total_seconds() / 60 if self._kept else 0.0

    def _check_room(self) -> None:
        if sum(1 for _ in self._folder.iterdir()) >= MAX_CORRECTIONS:
            raise RefusedError(
                507,
                f"at most {MAX_CORRECTIONS} corrections are kept",
                "there are as many",
                "train with them, and empty the folder",
            )
        if (free := shutil.disk_usage(self._folder).free) < MIN_FREE_BYTES:
            rule = f"corrections leave {MIN_FREE_BYTES // 1_000_000} MB of the disk free"
            raise RefusedError(507, rule, f"{free // 1_000_000} MB are", "make room on the disk")

    def _write(self, folder: Path, windows: Sequence[_Kept], correction: Correction) -> None:
        """Write the images, and then what they are; an answer that is corrected again has the newer genre."""
        rows = []
        for window in windows:
            name = f"{window.time:%H-%M-%S}.{window.time.microsecond // 1000:03d}.png"
            with atomic_write(folder / name) as partial:
                partial.write_bytes(gray_png(window.index_image))
            rows.append(
                {
                    "image": name,
                    "time": iso8601(window.time),
                    "start_s": round(window.start_seconds, 3),
                    "predicted": window.genre,
                    "confidence": round(window.confidence, 4),
                    "level_dbfs": round(window.level_dbfs, 1),
                }
            )
        document = {
            "schema": SCHEMA,
            "genre": correction.genre,
            "model": self._model,
            "spectrogram": self._settings.to_json(),
            "windows": rows,
        }
        with atomic_write(folder / CORRECTION_NAME) as partial:
            partial.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def correction_routes(corrections: Corrections | None) -> list[Route]:
    """``GET`` tells what can be corrected: nothing where no corrections are kept. ``POST`` corrects.

    Parameters
    ----------
    corrections : Corrections or None
    """

    async def describe(request: Request) -> Response:
        kept = corrections.to_json() if corrections else {"genres": [], "since": None}
        return json_response({"schema": SCHEMA, **kept})

    async def correct(request: Request) -> Response:
        if corrections is None:
            raise RefusedError(
                404, "corrections are kept with --keep-corrections", "none are", "start tmgc-listen with it"
            )
        correction = corrections.parse(await _body(request))
        return json_response({"schema": SCHEMA, **await asyncio.to_thread(corrections.keep, correction)})

    path = "/v1/corrections"
    return [Route(path, describe, methods=["GET"]), Route(path, correct, methods=["POST"])]


class _RememberingSpectrogram(Spectrogram):
    """A spectrogram that keeps its last index image until it is taken."""

    def __init__(self, spectrogram: Spectrogram) -> None:
        super().__init__(spectrogram.settings, spectrogram.colormap)
        self._last: NDArray[np.uint8] | None = None

    def take(self) -> NDArray[np.uint8] | None:
        """The index image of the last window, once."""
        last, self._last = self._last, None
        return last

    def _indices(self, power: NDArray[np.float32]) -> NDArray[np.uint8]:
        self._last = super()._indices(power)
        return self._last


def gray_png(pixels: NDArray[np.uint8]) -> bytes:
    """A gray image as PNG, for which the edge needs no further library.

    Parameters
    ----------
    pixels : np.ndarray [shape=(height, width)], uint8
    """
    height, width = pixels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # a row begins with its filter: 0 is none
    rows[:, 1:] = pixels
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _spread(count: int, most: int) -> list[int]:
    """Indices of at most so many of a sequence, evenly spread."""
    return [round(index) for index in np.linspace(0, count - 1, min(count, most))]


def _to_milliseconds(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _name(begin: datetime) -> str:
    return f"{begin:%Y-%m-%dT%H-%M-%S}.{begin.microsecond // 1000:03d}Z"


async def _body(request: Request) -> Any:
    """The JSON of a small body. Its type makes a browser ask before it sends one of another server's page."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "a correction is application/json", repr(kind[:40]), "name it in Content-Type")
    content = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > MAX_BODY_BYTES:
                    raise RefusedError(413, f"a correction has at most {MAX_BODY_BYTES} bytes", "more", "send less")
    except TimeoutError:
        rule = f"a correction arrives within {BODY_SECONDS:g} s"
        raise RefusedError(408, rule, "this one took longer", "send it again") from None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise RefusedError(422, "a correction is JSON", repr(content[:40]), "see the documentation") from None

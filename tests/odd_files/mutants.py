"""Mutants: small files of every format with damaged headers. A mutant is known by its format and number."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import soundfile

from tests.odd_files.encoders import ffmpeg, flac, lame, oggenc, opusenc
from tests.odd_files.ladder import ladder
from tests.odd_files.mpeg import id3v1, id3v2

SEED = 13

_RATE = 8_000
_HEADER_BYTES = 600
"""Most mutations fall before it; in formats that end with an index, also into as many last bytes."""

_NUMBERS = (0, 1, 2, 3, 7, 0x7F, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _soundfile(form: str, subtype: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, ladder(2.0, _RATE), _RATE, format=form, subtype=subtype)
    return file.getvalue()


FORMATS: Mapping[str, Callable[[], bytes]] = {
    **{
        form: partial(_soundfile, form, subtype)
        for form, subtype in {
            "WAV": "PCM_16",
            "WAVEX": "PCM_24",
            "RF64": "PCM_16",
            "W64": "PCM_16",
            "AIFF": "PCM_16",
            "AU": "PCM_16",
            "CAF": "PCM_16",
        }.items()
    },
    "WAV of ADPCM": lambda: _soundfile("WAV", "IMA_ADPCM"),
    "WAV of floats": lambda: _soundfile("WAV", "FLOAT"),
    "AIFC of floats": lambda: _soundfile("AIFF", "FLOAT"),
    "standard input": lambda: _soundfile("WAV", "PCM_16"),
    "FLAC": partial(flac, "-8", "--no-padding", seconds=2.0, rate=_RATE),
    "Ogg Vorbis": partial(oggenc, "-q", "0", seconds=2.0, rate=_RATE),
    "Ogg Opus": partial(opusenc, "--bitrate", "16", seconds=2.0, rate=_RATE),
    "MP3": partial(lame, "-t", "-b", "32", seconds=2.0, rate=_RATE),
    "MP3 with tags": lambda: id3v2(60) + lame("-V", "6", seconds=2.0, rate=_RATE) + id3v1(),
    "M4A": partial(ffmpeg, "-c:a", "aac", "-movflags", "+faststart", form="ipod", seconds=2.0, rate=_RATE),
    "WebM": partial(ffmpeg, "-c:a", "libopus", form="webm", seconds=2.0, rate=_RATE),
    "WMA": partial(ffmpeg, "-c:a", "wmav2", form="asf", seconds=2.0, rate=_RATE),
}
"""By name, a sound file of 2 s."""


def mutant(form: str, number: int) -> bytes:
    """A damaged file; number 0 is the file itself."""
    content = FORMATS[form]()
    if number == 0:
        return content
    random = np.random.default_rng([SEED, zlib.crc32(form.encode()), number])
    damaged = bytearray(content)
    for _ in range(random.integers(1, 5)):
        mutation = _MUTATIONS[random.integers(len(_MUTATIONS))]
        damaged = mutation(damaged, random)
    if form.startswith("Ogg") and random.random() < 0.7:
        return _with_checksums(bytes(damaged))
    return bytes(damaged)


def _place(content: bytearray, random: np.random.Generator) -> int:
    """Mostly in the header, seldom anywhere."""
    if not content:
        return 0
    limit = (
        len(content) if random.random() < 0.15 else min(_HEADER_BYTES if random.random() < 0.5 else 64, len(content))
    )
    return int(random.integers(limit))


def _other_bytes(content: bytearray, random: np.random.Generator) -> bytearray:
    for _ in range(random.integers(1, 9)):
        if content:
            content[_place(content, random)] = random.integers(256)
    return content


def _other_bit(content: bytearray, random: np.random.Generator) -> bytearray:
    if content:
        content[_place(content, random)] ^= 1 << int(random.integers(8))
    return content


def _other_number(content: bytearray, random: np.random.Generator) -> bytearray:
    """A number that is likely to be a limit, at a place that is likely to be a field's."""
    at = _place(content, random) & ~1
    layout = ("<H", ">H", "<I", ">I", "<Q", ">Q")[random.integers(6)]
    number = _NUMBERS[random.integers(len(_NUMBERS))]
    packed = struct.pack(layout, number & (1 << 8 * struct.calcsize(layout)) - 1)
    content[at : at + len(packed)] = packed
    return content


def _cut(content: bytearray, random: np.random.Generator) -> bytearray:
    return content[: _place(content, random)] if random.random() < 0.3 else content[: random.integers(len(content) + 1)]


def _insert(content: bytearray, random: np.random.Generator) -> bytearray:
    at = _place(content, random)
    content[at:at] = random.bytes(int(random.integers(1, 40)))
    return content


def _delete(content: bytearray, random: np.random.Generator) -> bytearray:
    at = _place(content, random)
    del content[at : at + int(random.integers(1, 40))]
    return content


def _repeat(content: bytearray, random: np.random.Generator) -> bytearray:
    at, size = _place(content, random), int(random.integers(4, 400))
    content[at:at] = content[at : at + size]
    return content


_MUTATIONS = (
    _other_bytes,
    _other_bit,
    _other_bit,
    _other_number,
    _other_number,
    _other_number,
    _cut,
    _insert,
    _delete,
    _repeat,
)


def _with_checksums(ogg: bytes) -> bytes:
    """Ogg pages with right checksums, so that a decoder believes what they hold."""
    pages = ogg.split(b"OggS")
    return pages[0] + b"".join(_with_checksum(b"OggS" + page) for page in pages[1:])


def _with_checksum(page: bytes) -> bytes:
    if len(page) < 27:
        return page
    page = page[:22] + bytes(4) + page[26:]
    return page[:22] + ogg_checksum(page).to_bytes(4, "little") + page[26:]


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
        table.append(crc)
    return table


_TABLE = _table()


def ogg_checksum(page: bytes) -> int:
    """CRC-32 of an Ogg page (RFC 3533, section 6) whose own field is zero."""
    crc = 0
    for byte in page:
        crc = crc << 8 & 0xFFFFFFFF ^ _TABLE[crc >> 24 ^ byte]
    return crc

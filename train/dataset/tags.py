"""Reads the artists in the tags of an audio file of any format, whatever its name ends in.

mutagen reads ID3v2, Vorbis comments, MP4 and ASF. ID3v1, APE and the text chunks of WAV and AIFF are read here, since
their encoding is often not the one that they should have, and ffprobe reads Matroska. A tag may be damaged or hostile:
everything is read through :class:`_Excerpt`, which ends where a limit is reached.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from train.dataset.mojibake import decoded, repaired
from train.libraries import library

ELLIPSIS = "…"
"""End of a name that may go on: ID3v1 has space for 30 bytes."""

_FIELDS = (
    *("artist", "albumartist", "album artist", "album_artist", "artists"),
    *("\xa9art", "aart", "author", "wm/albumartist"),
)
"""Fields of Vorbis comments, APEv2, Matroska and ID3's TXXX; of MP4; of ASF; in lower case."""

_NAMES, _LETTERS = 20, 300
"""Limits of what is kept of a file: names, and letters of a name."""

_LEADING_TAGS = 4
"""ID3v2 tags in front of the sound: there should be one."""

_ID3V1_BYTES = 128
"""Length of the tag at the end."""

_MEBIBYTE = 2**20


def read_artists(path: Path) -> str:
    """The artists and album artists in a file's tags, each once, separated by ``; ``.

    Encodings are repaired (:func:`train.dataset.mojibake.repaired`). A tag that cannot be read is no tag: it does not
    stop a song. ID3v1 is read where there is no other; a name that fills its 30 bytes ends in an ellipsis.

    Parameters
    ----------
    path : Path
        A file, identified by its content: MP3, AAC, FLAC, Ogg (Vorbis, Opus, FLAC, Speex), WAV, AIFF, MP4, WMA,
        WavPack, Monkey's Audio, Musepack, or, if ffprobe is installed, Matroska.

    Returns
    -------
    artists : str
        Without control characters; empty if there are none.

    Raises
    ------
    OSError
        The file cannot be read.
    TmgcError
        mutagen is not installed.
    """
    library("mutagen", extra="train")
    with path.open("rb") as file:
        found = _readable(_names(file, path)) or _readable(_attempt(_id3v1, _Excerpt(file, 0)))
    return "; ".join(list(dict.fromkeys(found))[:_NAMES])


def _readable(names: Iterable[str]) -> list[str]:
    """Names with repaired encodings and without control characters, except for empty ones."""
    printable = ("".join(map(_printable, repaired(name[:_LETTERS]))) for name in names)
    return [found for name in printable if (found := " ".join(name.split()).strip("; "))]


def _printable(letter: str) -> str:
    category = unicodedata.category(letter)
    return "" if category == "Cf" else " " if category[0] == "C" else letter


def _names(file: BinaryIO, path: Path) -> list[str]:
    names, start, head = list[str](), 0, b""
    for _ in range(_LEADING_TAGS):
        if (head := _Excerpt(file, start).read(12))[:3] != b"ID3":
            break
        names += _attempt(_id3v2, _Excerpt(file, start, limit=16 * _MEBIBYTE))
        start += 10 + _synchsafe(head[6:10])
    if head[:4] in (b"RIFF", b"RF64", b"FORM"):
        names += _attempt(_chunks, _Excerpt(file, start, limit=32 * _MEBIBYTE))
    elif head[:4] in (b"\x1a\x45\xdf\xa3", b"caff"):
        names += _attempt(_ffprobe, path)
    else:
        names += _attempt(_container, _Excerpt(file, start, limit=32 * _MEBIBYTE))
        names += _attempt(_apev2, _Excerpt(file, start, limit=4 * _MEBIBYTE))
    return names


def _attempt(reader: Callable[[Any], Iterable[str]], source: object) -> list[str]:
    """The names that a reader finds until a damaged tag raises an exception, which may be nearly any."""
    names: list[str] = []
    with suppress(Exception):
        names.extend(reader(source))
    return names


class _Excerpt:
    """A file from an offset on, which ends after so many bytes or calls: damaged tags ask for any number of them."""

    _CALLS = 20_000

    def __init__(self, file: BinaryIO, start: int, *, limit: int = _MEBIBYTE) -> None:
        self._file, self._start, self._left, self._calls = file, start, limit, self._CALLS
        self._size = file.seek(0, io.SEEK_END)
        self.seek(0)

    def read(self, size: int = -1) -> bytes:
        available = max(0, self._size - self._file.tell())
        size = available if size < 0 else min(size, available)
        self._calls -= 1
        if size > self._left or self._calls < 0:
            raise OSError("the tag is too large")
        self._left -= size
        return self._file.read(size)

    def narrow(self, limit: int) -> None:
        """Let it end earlier."""
        self._left = min(self._left, limit)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            offset += self._start
        return self._file.seek(offset, whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


_ID3_FRAMES = {b"TPE1": "TPE1", b"TPE2": "TPE2", b"TXXX": "TXXX", b"TP1": "TPE1", b"TP2": "TPE2", b"TXX": "TXXX"}
"""Artist, album artist, and fields with a name, in ID3v2.3 and 2.4, and in 2.2."""

_FRAME_BYTES = 16 * 1024
"""A longer frame is no name. Its data may be compressed, a thousand times at most."""

_FRAMES = 10_000
"""Frames of a tag that are looked at."""


def _id3v2(file: _Excerpt) -> list[str]:
    """Artists of ID3v2: only their frames are passed to mutagen, whose time grows with the square of a tag's size."""
    id3 = _mutagen("id3")
    head = file.read(10)
    version, flags = head[3], head[5]
    data = file.read(min(_synchsafe(head[6:]), 8 * _MEBIBYTE))
    if version < 4 and flags & 0x80:  # unsynchronisation of the whole tag; in 2.4 it is each frame's
        data, flags = data.replace(b"\xff\0", b"\xff"), flags & ~0x80
    frames = b"".join(_id3v2_frames(data, version, extended=bool(flags & 0x40) and version > 2))
    small = b"ID3" + bytes([max(version, 3), 0, flags & 0x80]) + _to_synchsafe(len(frames)) + frames
    known = {name: id3.Frames[name] for name in _ID3_FRAMES.values()}
    tag = id3.ID3(io.BytesIO(small), known_frames=known, load_v1=False)
    named = [frame for frame in tag.getall("TXXX") if frame.desc.lower() in _FIELDS]
    names: list[str] = []
    for frame in tag.getall("TPE1") + tag.getall("TPE2") + named:
        # Most letters are values where UTF-16 is declared as Latin-1.
        apart = frame.encoding == id3.Encoding.LATIN1 and 3 < len(frame.text) < 2 * list(map(len, frame.text)).count(1)
        names += ["\0".join(frame.text)] if apart else frame.text
    return names


def _id3v2_frames(data: bytes, version: int, *, extended: bool) -> Iterator[bytes]:
    """The frames of artists, as those of ID3v2.3 or 2.4."""
    name_bytes, head_bytes = (3, 6) if version == 2 else (4, 10)
    position = 0
    if extended and not data[:4].isalnum():
        position = _synchsafe(data[:4]) if version == 4 else 4 + int.from_bytes(data[:4], "big")
    for _ in range(_FRAMES):
        head = data[position : position + head_bytes]
        if len(head) < head_bytes or not head.strip(b"\0"):
            break
        name, field = head[:name_bytes].rstrip(b"\0"), head[name_bytes : 2 * name_bytes]
        size = int.from_bytes(field, "big")
        if version == 4 and _is_frame(data, position + head_bytes + _synchsafe(field)):
            size = _synchsafe(field)  # some programs write a plain number
        if name in _ID3_FRAMES and size <= _FRAME_BYTES:
            body = data[position + head_bytes : position + head_bytes + size]
            written = _to_synchsafe(len(body)) if version == 4 else len(body).to_bytes(4, "big")
            yield _ID3_FRAMES[name].encode("ascii") + written + (head[8:] or b"\0\0") + body
        position += head_bytes + size


def _is_frame(data: bytes, position: int) -> bool:
    return re.fullmatch(rb"[A-Z][A-Z0-9]{3}|\0*", data[position : position + 4]) is not None


def _synchsafe(raw: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(raw)))


def _to_synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


_CONTAINERS = ("FLAC", "MP4", "ASF", "OggVorbis", "OggOpus", "OggFLAC", "OggSpeex", "OggTheora")
"""Classes of mutagen for formats that have tags of their own."""


def _container(file: _Excerpt) -> list[str]:
    """Artists of the formats of :data:`_CONTAINERS`."""
    head = file.read(128)
    kinds = [getattr(_mutagen(name.lower()), name) for name in _CONTAINERS]
    kind = max(kinds, key=lambda kind: kind.score("", file, head))
    if kind.score("", file, head) <= 0:
        return []
    file.seek(0)
    if kind.__name__ not in ("MP4", "ASF"):
        file.narrow(4 * _MEBIBYTE)  # the artist is before the pictures, and a million empty comments take 3 s
    audio = kind.__new__(kind)  # not kind(file): what was read before an exception is in the tags
    with suppress(Exception):
        audio.load(file)
    return _fields(audio.tags.as_dict() if hasattr(audio.tags, "as_dict") else audio.tags or {})


def _apev2(file: _Excerpt) -> Iterator[str]:
    """Artists of APEv2, and of APEv1 in any encoding: mutagen gives up a tag with a value that is not UTF-8."""
    size = file.seek(0, io.SEEK_END)
    for end in (size, size - _ID3V1_BYTES):
        file.seek(max(0, end - 32))
        footer = file.read(32)
        if footer[:8] == b"APETAGEX":
            break
    else:
        return
    length, count = (int.from_bytes(footer[place : place + 4], "little") for place in (12, 16))
    file.seek(max(0, end - length))
    data, position = file.read(length), 0
    for _ in range(min(count, _FRAMES)):
        size = int.from_bytes(data[position : position + 4], "little")
        key = data[position + 8 : position + 8 + 256].partition(b"\0")[0]
        position += 8 + len(key) + 1
        if key.decode("latin-1").lower() in _FIELDS:
            yield from map(decoded, data[position : position + min(size, _FRAME_BYTES)].split(b"\0"))
        position += size


def _mutagen(module: str) -> Any:
    return library(f"mutagen.{module}", extra="train")


def _fields(tags: Mapping[str, Sequence[object]]) -> list[str]:
    by_key = {key.lower(): values for key, values in tags.items() if key.lower() in _FIELDS}
    return [str(name) for key in _FIELDS for name in by_key.get(key, ())]


def _chunks(file: _Excerpt) -> Iterator[str]:
    """Artists in the chunks of WAV and AIFF: ``IART`` in a list ``INFO``, ``AUTH``, and ID3v2."""
    order: Any = "big" if file.read(12)[:4] == b"FORM" else "little"
    data_bytes = 0
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], order)
        if name == b"data" and size == 0xFFFFFFFF and data_bytes:
            size = data_bytes
        after = file.tell() + size + size % 2
        if name == b"ds64":  # sizes of a file of more than 4 GiB
            data_bytes = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"LIST" and file.read(4) == b"INFO":
            yield from _info(file.read(min(size - 4, _MEBIBYTE)))
        elif name == b"AUTH":
            yield decoded(file.read(min(size, 1024)).partition(b"\0")[0])
        elif name.upper() == b"ID3 ":
            tag = io.BytesIO(file.read(min(size, 8 * _MEBIBYTE)))
            yield from _id3v2(_Excerpt(tag, 0, limit=8 * _MEBIBYTE))
        file.seek(after)


def _info(data: bytes) -> Iterator[str]:
    position = 0
    while len(head := data[position : position + 8]) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"IART":
            yield decoded(data[position + 8 : position + 8 + min(size, 1024)].partition(b"\0")[0])
        position += 8 + size + size % 2


def _id3v1(file: _Excerpt) -> list[str]:
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - _ID3V1_BYTES))
    tag = file.read(_ID3V1_BYTES)
    if tag[:3] != b"TAG":
        return []
    field = tag[33:63]
    return [decoded(field.partition(b"\0")[0]).rstrip() + (ELLIPSIS if field.rstrip(b"\0 ") == field else "")]


def _ffprobe(path: Path) -> list[str]:
    """Artists of Matroska and Core Audio, which mutagen does not read."""
    if shutil.which("ffprobe") is None:
        return []
    options = ("-v", "quiet", "-of", "json", "-show_entries", "format_tags:stream_tags")
    # "file:" since ffprobe would take a name with a colon for a protocol.
    done = subprocess.run(["ffprobe", *options, f"file:{path}"], capture_output=True, timeout=20, check=True)
    document = json.loads(done.stdout)
    tags = [part.get("tags", {}) for part in (document.get("format", {}), *document.get("streams", ()))]
    return [name for part in tags for name in _fields({key: [value] for key, value in part.items()})]

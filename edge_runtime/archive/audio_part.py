"""The audio of a song file without its tags: its hash must be the same before and after the tags are changed.

Whatever is not the container of the tags itself counts as audio, so that nothing else can get lost.
"""

from __future__ import annotations

import hashlib
import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

if TYPE_CHECKING:
    from mutagen.ogg import OggPage

_CHUNK = 1 << 20

_HEADER_PACKETS = {b"\x01vorbis": 3, b"OpusHead": 2}
"""Of an Ogg stream, by the beginning of its first packet; the second one holds the tags."""


_PADDING, _COMMENTS = 1, 4
"""Blocks of FLAC."""


def audio_hash(path: Path, kind: str) -> str:
    """Hash of what of a song is not tags.

    Parameters
    ----------
    path : Path
    kind : str
        ``id3`` (a stream behind an ID3v2 tag), ``flac``, ``ogg`` (Vorbis or Opus) or ``mp4``.

    Raises
    ------
    ValueError, struct.error
        The file is damaged.
    """
    found = hashlib.blake2b()
    with path.open("rb") as file:
        for part in _PARTS[kind](file):
            found.update(part)
    return found.hexdigest()


def id3_size(file: BinaryIO) -> int:
    """Length of the ID3v2 tag at the beginning of a file, bytes; 0 where there is none."""
    file.seek(0)
    header = file.read(10)
    if len(header) < 10 or not header.startswith(b"ID3"):
        return 0
    size = 0
    for byte in header[6:]:
        size = size << 7 | byte & 0x7F
    return size + 10


def comment_block(path: Path, kind: str) -> bytes:
    """The Vorbis comments of a ``flac`` or ``ogg`` song as they are stored; empty where there are none.

    Raises
    ------
    ValueError, struct.error
        The file is damaged.
    """
    with path.open("rb") as file:
        if kind == "flac":
            return b"".join(block for kind, block in _flac_blocks(file) if kind == _COMMENTS)
        return _ogg_headers(file)[1]


def mp4_tags(path: Path) -> list[bytes]:
    """The atoms of iTunes' tags of an MP4 file, each with its header.

    Raises
    ------
    ValueError, struct.error
        The file is damaged.
    """
    with path.open("rb") as file:
        begin, end = 0, os.fstat(file.fileno()).st_size
        for name in (b"moov", b"udta", b"meta", b"ilst"):
            found = [atom for atom in _atoms(file, begin, end, whole=name != b"moov") if atom.name == name]
            if not found:
                return []
            if len(found) > 1:
                raise ValueError(f"it has {len(found)} atoms {name.decode()}")
            begin, end = found[0].begin + (4 if name == b"meta" else 0), found[0].end
        return [
            struct.pack(">I4s", atom.end - atom.begin + 8, atom.name) + b"".join(_rest(file, atom.begin, atom.end))
            for atom in list(_atoms(file, begin, end))
        ]


def _rest(file: BinaryIO, begin: int, end: int | None = None) -> Iterator[bytes]:
    file.seek(begin)
    left = os.fstat(file.fileno()).st_size - begin if end is None else end - begin
    while left > 0 and (chunk := file.read(min(_CHUNK, left))):
        left -= len(chunk)
        yield chunk


def _id3(file: BinaryIO) -> Iterator[bytes]:
    return _rest(file, id3_size(file))


def _flac(file: BinaryIO) -> Iterator[bytes]:
    """All but the blocks of comments and padding."""
    yield from _rest(file, 0, id3_size(file))
    for kind, block in _flac_blocks(file):
        if kind not in (_PADDING, _COMMENTS):
            yield bytes([kind]) + block
    yield from _rest(file, file.tell())


def _flac_blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each block in front of the sound, where the file stands afterwards."""
    file.seek(id3_size(file))
    if file.read(4) != b"fLaC":
        raise ValueError("it does not begin as FLAC")
    is_last = False
    while not is_last:
        header = file.read(4)
        is_last, kind = bool(header[0] & 0x80), header[0] & 0x7F
        yield kind, file.read(int.from_bytes(header[1:], "big"))


def _ogg(file: BinaryIO) -> Iterator[bytes]:
    """All packets but the second one; of the pages behind it whatever does not count pages."""
    from mutagen.ogg import OggPage

    headers = list[OggPage]()
    serial, needed = None, 0
    while page := _ogg_page(file):
        if serial is None:
            serial, needed = page.serial, _header_packets(page)
        if page.serial == serial and needed > 0:
            headers.append(page)
            needed -= len(page.packets) - (not page.complete)
            if needed <= 0:
                packets = OggPage.to_packets(headers)
                yield from (*packets[:1], *packets[2:])
            continue
        flags = page.complete, page.continued, page.first, page.last
        yield struct.pack("<Iq4?", page.serial, page.position, *flags)
        for packet in page.packets:
            yield struct.pack("<I", len(packet)) + packet
    yield from _rest(file, file.tell())  # of a file that is cut, or has something behind its end


def _ogg_headers(file: BinaryIO) -> list[bytes]:
    """The first packets of the first stream; the second one holds the tags."""
    from mutagen.ogg import OggPage

    headers, needed = list[OggPage](), 2
    while needed > 0 and (page := _ogg_page(file)):
        if not headers or page.serial == headers[0].serial:
            headers.append(page)
            needed -= len(page.packets) - (not page.complete)
    if needed <= 0:
        return cast(list[bytes], OggPage.to_packets(headers))
    raise ValueError("its tags are cut")


def _ogg_page(file: BinaryIO) -> OggPage | None:
    """The next page; None, at its beginning, where there is no whole one.

    Raises
    ------
    ValueError
        Its checksum is wrong: a decoder skips it, and would no longer if it were written again.
    """
    from mutagen import MutagenError
    from mutagen.ogg import OggPage

    begin = file.tell()
    try:
        page = OggPage(file)
    except (MutagenError, EOFError):
        file.seek(begin)
        return None
    end = file.tell()
    file.seek(begin)
    if file.read(end - begin) != page.write():
        raise ValueError(f"the page at byte {begin} has a wrong checksum")
    return page


def _header_packets(page: OggPage) -> int:
    packets = page.packets
    for beginning, count in _HEADER_PACKETS.items():
        if packets and packets[0].startswith(beginning):
            return count
    raise ValueError("it is neither Vorbis nor Opus")


class _Atom(NamedTuple):
    """An atom of an MP4 file: its content lies between two positions."""

    name: bytes
    begin: int
    end: int


_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_TAGS = (b"udta", b"meta")


def _mp4(file: BinaryIO) -> Iterator[bytes]:
    """All atoms but tags and free space; the positions of samples relative to the data that they are in."""
    tops = list(_atoms(file, 0, os.fstat(file.fileno()).st_size, whole=False))
    data = [atom for atom in tops if atom.name == b"mdat"]
    for atom in tops:
        if atom.name == b"moov":
            yield from _moov(file, atom, data)
        elif atom.name not in (b"free", b"skip", b"wide"):
            yield atom.name
            yield from _rest(file, atom.begin, atom.end)


def _moov(file: BinaryIO, above: _Atom, data: list[_Atom]) -> Iterator[bytes]:
    for atom in list(_atoms(file, above.begin, above.end)):
        if above.name == b"moov" and atom.name in (*_TAGS, b"free"):
            continue
        yield atom.name
        if atom.name in _CONTAINERS:
            yield from _moov(file, atom, data)
        elif atom.name in (b"stco", b"co64"):
            yield _places(b"".join(_rest(file, atom.begin, atom.end)), atom.name == b"co64", data)
        else:
            yield from _rest(file, atom.begin, atom.end)


def _places(table: bytes, is_wide: bool, data: list[_Atom]) -> bytes:
    """A table of positions, each as the number of its data atom and the place in it."""
    (count,) = struct.unpack_from(">I", table, 4)
    begins = [atom.begin for atom in data]
    places = list[int]()
    for position in struct.unpack_from(f">{count}{'Q' if is_wide else 'I'}", table, 8):
        number = bisect_right(begins, position) - 1
        places += (number, position - begins[number] if number >= 0 else position)
    return struct.pack(f">{len(places)}q", *places)


def _atoms(file: BinaryIO, begin: int, end: int, *, whole: bool = True) -> Iterator[_Atom]:
    """The atoms between two positions; the last one may be longer only if they need not be whole."""
    while begin + 8 <= end:
        file.seek(begin)
        size, name = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            header = 16
        stop = end if size == 0 else begin + size
        if size and size < header:
            raise ValueError("an atom is shorter than its header")
        if whole and stop > end:
            raise ValueError("an atom is longer than what it is in")
        yield _Atom(name, begin + header, min(stop, end))
        begin = stop


_PARTS: dict[str, Callable[[BinaryIO], Iterator[bytes]]] = {"id3": _id3, "flac": _flac, "ogg": _ogg, "mp4": _mp4}

"""What no decoder tells of an MP3, AAC, Ogg, CAF or WMA file: whether its last frame, page or packet is there, and how
long an MP3 is whose header does not state it.

Frame headers are those of ISO/IEC 11172-3, 13818-3 and 13818-7 (ADTS, of AAC), pages those of RFC 3533.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

_TAIL_BYTES = 16_384
"""Holds ten frames of the largest size."""

_CHAIN = 4
"""Frames in a row that are no coincidence."""

_SCANNED_BYTES = 1 << 20
"""Read at once where frames are counted."""

_MOST_TAGS = 4
_MOST_CHUNKS = 1000

_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")

_MAX_PAGE_BYTES = 65_307
"""Of Ogg."""

_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf0-\xff]")

_MPEG_SYNC = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]")
"""Of frames that are no AAC, whose bit rate is stated."""

_HEADER_BYTES = 6
"""Of ADTS, as far as the size of the frame; four of MPEG audio."""

_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates by MPEG version and layer; layer 3 of version 2 has those of layer 2."""

_HZ = (44_100, 48_000, 32_000)


def frame_bytes(header: bytes) -> int:
    """Size of a frame.

    Parameters
    ----------
    header : bytes
        Its first six; four where it is no AAC.

    Returns
    -------
    size : int
        Bytes; 0 where it is no header of a frame, or leaves the bit rate open.
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version = (2.5, 0, 2, 1)[header[1] >> 3 & 3]
    layer = 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if layer == 4:
        return _adts_bytes(header)
    if not version or rate == 3 or not 0 < bitrate < 15:
        return 0
    low = version != 1
    kbits = _KBITS[2 if low else 1, min(layer, 2) if low else layer][bitrate - 1]
    hz = _HZ[rate] // (1 if not low else 2 if version == 2 else 4)
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12_000 * kbits // hz + padding) * 4
    return (72_000 if layer == 3 and low else 144_000) * kbits // hz + padding


def _frame_seconds(header: bytes) -> float:
    """How long a frame of MPEG audio sounds, by its header."""
    low = not header[1] & 0x08
    layer = 4 - (header[1] >> 1 & 3)
    hz = _HZ[header[2] >> 2 & 3] // (1 if not low else 2 if header[1] & 0x10 else 4)
    return (384 if layer == 1 else 576 if layer == 3 and low else 1152) / hz


@lru_cache(1024)
def _frame(header: bytes) -> tuple[int, float]:
    """Size and length of a frame, bytes and seconds, by the first three bytes of its header; 0 where there is none."""
    size = frame_bytes(header + b"\0")
    return size, _frame_seconds(header) if size else 0.0


def mp3_seconds(descriptor: int, size: int) -> float:
    """The length of an MP3 file by its frames, which are counted one by one.

    Parameters
    ----------
    descriptor : int
    size : int
        Of the file, bytes.

    Returns
    -------
    seconds : float
        0 where there are no frames, or their bit rate is free.
    """
    seconds, position, end = 0.0, _behind_id3(descriptor), sound_end(descriptor, size)
    while content := os.pread(descriptor, max(0, min(_SCANNED_BYTES, end - position)), position):
        at, is_last = 0, position + len(content) >= end
        while at < len(content):
            length, sounds = _frame(content[at : at + 3])
            if length and at + length <= len(content):
                at += length
                seconds += sounds
            elif not is_last and len(content) - at < _TAIL_BYTES:
                break
            else:
                at = _next_chain(content, at + 1, len(content) if is_last else len(content) - _TAIL_BYTES + 1)
        position += at or len(content)
    return seconds


def _next_chain(content: bytes, start: int, otherwise: int) -> int:
    """Where the next chain of frames begins."""
    for found in _MPEG_SYNC.finditer(content, start):
        frames = islice(_frame_ends(content, found.start(), header_bytes=4), _CHAIN)
        if len(list(frames)) == _CHAIN:
            return found.start()
    return otherwise


def _adts_bytes(header: bytes) -> int:
    is_adts = len(header) >= _HEADER_BYTES and header[1] & 0xF0 == 0xF0
    return int.from_bytes(header[3:6], "big") >> 5 & 0x1FFF if is_adts else 0


def sound_end(descriptor: int, size: int) -> int:
    """Where the frames of an MP3 file end and tags (ID3v1, APE, Lyrics3) or nothing follow.

    Parameters
    ----------
    descriptor : int
    size : int
        Of the file, bytes.
    """
    end = size
    for _ in range(_MOST_TAGS):
        end = _without_tag(descriptor, end)
    return end


def is_cut(descriptor: int, size: int) -> bool:
    """Whether an MP3, AAC, Ogg, CAF or WMA file has lost its end.

    Parameters
    ----------
    descriptor : int
    size : int
        Of the file, bytes.

    Returns
    -------
    cut : bool
        False for files of other kinds.
    """
    kinds = {b"OggS": _ogg_is_cut, b"caff": _caf_is_cut, b"\x30\x26\xb2\x75": _asf_is_cut}
    return kinds.get(os.pread(descriptor, 4, 0), _mpeg_is_cut)(descriptor, size)


def _mpeg_is_cut(descriptor: int, size: int) -> bool:
    end = sound_end(descriptor, size)
    start = max(0, end - _TAIL_BYTES)
    tail = os.pread(descriptor, end - start, start)
    behind = _behind_frames(tail)
    is_header_begun = 0 < len(tail) - behind < _HEADER_BYTES and tail[behind] == 0xFF
    return behind > len(tail) or is_header_begun


def holds_frames(descriptor: int, start: int, end: int) -> bool:
    """Whether MPEG frames may stand between two positions of a file; false for a few, which are the decoder's padding.

    Parameters
    ----------
    descriptor : int
    start, end : int
        Bytes.
    """
    between = os.pread(descriptor, min(max(0, end - start), _TAIL_BYTES), start)
    return end - start > _TAIL_BYTES or _behind_frames(between) > 0


def _behind_frames(content: bytes) -> int:
    """Where the first chain of frames ends, maybe behind the content; 0 if there is none."""
    for found in _SYNC.finditer(content):
        ends = list(_frame_ends(content, found.start(), header_bytes=_HEADER_BYTES))
        if len(ends) >= _CHAIN:
            return ends[-1]
    return 0


def _frame_ends(content: bytes, position: int, *, header_bytes: int) -> Iterator[int]:
    """Where each of the frames ends that follow each other from a position; the last may end behind the content."""
    while length := frame_bytes(content[position : position + header_bytes]):
        position += length
        yield position


def _ogg_is_cut(descriptor: int, size: int) -> bool:
    start = max(0, size - _MAX_PAGE_BYTES)
    tail = os.pread(descriptor, size - start, start)
    page = tail.rfind(b"OggS")
    if page < 0:
        return False
    header = tail[page : page + 27]
    segments = tail[page + 27 : page + 27 + header[26]] if len(header) == 27 else b""
    complete = (
        len(header) == 27 and len(segments) == header[26] and page + 27 + len(segments) + sum(segments) <= len(tail)
    )
    end_of_stream = 0x04
    return not (complete and header[5] & end_of_stream)


def _caf_is_cut(descriptor: int, size: int) -> bool:
    position = 8
    for _ in range(_MOST_CHUNKS):
        head = os.pread(descriptor, 12, position)
        length = int.from_bytes(head[4:], "big", signed=True)
        if len(head) < 12 or length < 0:  # -1: unknown
            return position > size or 0 < len(head) < 12
        position += 12 + length
    return False


def _asf_is_cut(descriptor: int, size: int) -> bool:
    head = os.pread(descriptor, 4096, 0)
    at = head.find(_ASF_FILE_PROPERTIES)
    fields = head[at + 40 : at + 92]
    is_broadcast = fields[48:49] != b"\2"  # of unknown size
    return at >= 0 and len(fields) == 52 and not is_broadcast and int.from_bytes(fields[:8], "little") > size


def xing_bytes(descriptor: int) -> int:
    """Where the frames of an MP3 file end according to its Xing or Info header, which also states how many there are.

    Returns
    -------
    end : int
        Bytes; 0 if there is none, or it lacks one of the two.
    """
    start = _behind_id3(descriptor)
    frame = os.pread(descriptor, 4096, start)
    at = min((at for at in map(frame.find, (b"Xing", b"Info")) if at >= 0), default=-1)
    has_both = 3
    if at < 0 or not any(frame[at + 8 : at + 12]) or frame[at + 7] & has_both != has_both:
        return 0
    return start + int.from_bytes(frame[at + 12 : at + 16], "big")


def _behind_id3(descriptor: int) -> int:
    """Where an ID3v2 tag at the beginning ends."""
    head = os.pread(descriptor, 10, 0)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    sizes = zip(head[6:], (21, 14, 7, 0), strict=True)  # four bytes of seven bits
    return 10 + sum((byte & 0x7F) << shift for byte, shift in sizes)


def _without_tag(descriptor: int, end: int) -> int:
    """Where the last tag before ``end`` begins; ``end`` if there is none."""
    tail = os.pread(descriptor, min(end, 128), max(0, end - 128))
    if tail[:3] == b"TAG" and len(tail) == 128:
        return end - 128
    if tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
        return max(0, end - 15 - int(tail[-15:-9]))
    if tail[-32:-24] == b"APETAGEX":
        has_header = tail[-9] & 0x80
        return max(0, end - int.from_bytes(tail[-20:-16], "little") - (32 if has_header else 0))
    return end

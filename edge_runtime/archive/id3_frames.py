"""Frames of an ID3v2 tag as they are stored, so that those that nobody understands stay byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from edge_runtime.errors import TmgcError

_NAME = re.compile(rb"[A-Z0-9]{4}")

_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10

_HEADER = 10
"""Bytes of the header of a tag, and of a frame."""


class Frame(NamedTuple):
    """A frame of ID3v2.3 or 2.4."""

    name: bytes
    """Four capitals or digits."""
    flags: bytes
    """Two."""
    data: bytes


class Id3Tag(NamedTuple):
    """An ID3v2 tag without its padding."""

    version: int
    """3 or 4."""
    flags: int
    frames: list[Frame]

    def render(self, size: int) -> bytes:
        """The tag as bytes.

        Parameters
        ----------
        size : int
            Length that padding shall give it, where the frames leave room for that.

        Raises
        ------
        TmgcError
            It would be longer than a tag can be.
        """
        frames = b"".join(
            frame.name + _number(len(frame.data), 7 if self.version == 4 else 8) + frame.flags + frame.data
            for frame in self.frames
        )
        left = size - _HEADER - len(frames)
        body = frames + bytes(left if left >= 0 else 1024)
        return b"ID3" + bytes([self.version, 0, self.flags]) + _number(len(body), 7) + body


def parse_id3(tag: bytes) -> Id3Tag:
    """The frames of an ID3v2.3 or 2.4 tag.

    Parameters
    ----------
    tag : bytes
        With its header.

    Raises
    ------
    TmgcError
        It is of another version, or holds anything that is neither a frame nor padding.
    """
    version, flags, body = tag[3], tag[5], tag[_HEADER:]
    if version not in (3, 4):
        raise TmgcError(f"tags are written as ID3v2.3 or 2.4: it has ID3v2.{version}. Convert them first")
    if flags & (_EXTENDED | _FOOTER):
        raise TmgcError("its ID3 tag has an extended header or a footer, which would be lost: it is left as it is")
    if version == 3 and flags & _UNSYNCHRONISED:
        body, flags = _synchronised(body), flags & ~_UNSYNCHRONISED
    for bits in (7, 8) if version == 4 else (8,):  # old versions of iTunes wrote sizes of 2.4 as those of 2.3
        if (frames := _frames(body, bits)) is not None:
            return Id3Tag(version, flags, frames)
    raise TmgcError("its ID3 tag holds what is no frame, which would be lost: it is left as it is")


def as_tag(frames: Iterable[Frame], like: Id3Tag) -> bytes:
    """A tag of some frames of another tag, for a library to read."""
    return like._replace(frames=list(frames)).render(0)


def _frames(body: bytes, bits: int) -> list[Frame] | None:
    """None where something else is there, other than padding."""
    frames, place = list[Frame](), 0
    while any(body[place : place + 4]):
        name, flags = body[place : place + 4], body[place + 8 : place + _HEADER]
        size = _from_number(body[place + 4 : place + 8], bits)
        end = place + _HEADER + size
        if not _NAME.fullmatch(name) or end > len(body) or size >= 1 << 4 * bits:
            return None
        frames.append(Frame(name, flags, body[place + _HEADER : end]))
        place = end
    return None if any(body[place:]) else frames


def _number(value: int, bits: int) -> bytes:
    if value >= 1 << 28:
        raise TmgcError("its ID3 tag would be too long: it is left as it is")
    return bytes(value >> bits * place & (1 << bits) - 1 for place in (3, 2, 1, 0))


def _from_number(data: bytes, bits: int) -> int:
    """Too large where a byte has more bits."""
    if any(byte >> bits for byte in data):
        return 1 << 32
    return sum(byte << bits * place for place, byte in zip((3, 2, 1, 0), data, strict=False))


def _synchronised(body: bytes) -> bytes:
    """Without the zero bytes that keep it from looking like sound."""
    if re.search(rb"\xff[\xe0-\xff]", body):
        raise TmgcError("its ID3 tag is not unsynchronised as it says: it is left as it is")
    return body.replace(b"\xff\x00", b"\xff")

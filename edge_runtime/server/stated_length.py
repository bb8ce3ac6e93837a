"""How long a body says that it is, seen while it is read: hours of sound are refused before they are decoded.

Ogg pages state a position each, FLAC and WAV their length in the header. What states nothing, or too little, is counted
while it is decoded.
"""

from __future__ import annotations

import io
import struct

from edge_runtime.decoding.pcm import begins_as_wav, read_wav_header
from edge_runtime.errors import TmgcError

_OGG_HEADER = struct.Struct("<4sBBqIIIB")
"""Capture pattern, version, flags, granule position, serial, sequence, checksum and number of segments (RFC 3533)."""

_FLAC_BYTES = 26
"""Of the beginning of a FLAC, up to its length (RFC 9639)."""

_HEADER_BYTES = 65_536
"""A WAV's header is searched for its length so far."""


class StatedLength:
    """Reads along.

    Attributes
    ----------
    seconds : float
        The longest length that was stated so far; 0 where none was.
    samples_per_second : int
        Of all channels together; 0 where they are not stated.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.samples_per_second = 0
        self._begin: bytes | None = b""
        self._ogg: _OggPages | None = None

    def feed(self, chunk: bytes) -> None:
        """Read the next part of the body."""
        if self._begin is not None:
            self._begin += chunk
            if len(self._begin) < _FLAC_BYTES:
                return
            chunk = self._begin
            self._read_begin(chunk)
        if self._ogg:
            self._ogg.feed(chunk)
            self.seconds = max(self.seconds, self._ogg.seconds)
            self.samples_per_second = self._ogg.rate * self._ogg.channels

    def _read_begin(self, begin: bytes) -> None:
        if begin.startswith(b"OggS"):
            self._ogg = _OggPages()
        elif begin.startswith(b"fLaC"):
            packed = int.from_bytes(begin[18:26], "big")  # rate, channels, bits and samples in 20, 3, 5 and 36 bits
            rate = packed >> 44
            self.seconds = (packed & (1 << 36) - 1) / max(1, rate)
            self.samples_per_second = rate * ((packed >> 41 & 7) + 1)
        elif begins_as_wav(begin[:12]):
            try:
                pcm = read_wav_header(io.BytesIO(begin).read)
                self.seconds = (pcm.length or 0) / pcm.frame_bytes / pcm.rate
                self.samples_per_second = pcm.rate * pcm.channels
            except TmgcError:
                if len(begin) < _HEADER_BYTES:
                    return  # maybe the rest of its header follows
        self._begin = None


class _OggPages:
    """The positions of an Ogg stream's pages."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.rate = self.channels = 0
        self._skip = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        content = self._rest + chunk
        position = self._skip
        while position + _OGG_HEADER.size <= len(content):
            pattern, _, _, granule, _, _, _, segments = _OGG_HEADER.unpack_from(content, position)
            table = position + _OGG_HEADER.size
            if pattern != b"OggS":
                position = len(content)  # damaged: the pages are not searched for
                break
            if table + segments + 16 > len(content):
                break
            size = sum(content[table : table + segments])
            if not self.rate:
                self.rate, self.channels = _format_of(content[table + segments : table + segments + 16])
            if self.rate and granule > 0:
                self.seconds = max(self.seconds, granule / self.rate)
            position = table + segments + size
        self._skip = max(0, position - len(content))
        self._rest = content[position:]


def _format_of(packet: bytes) -> tuple[int, int]:
    """Positions a second and channels, by the first packet of a stream; 0 for other codecs."""
    if packet.startswith(b"OpusHead"):
        return 48_000, packet[9]
    if packet.startswith(b"\x01vorbis"):
        return int.from_bytes(packet[12:16], "little"), packet[11]
    return 0, 0

"""PCM from a pipe: raw samples of a given format, and WAVs of known or unknown length, one after another.

libsndfile reads pipes, too, but finds no samples where the data length was left at 0, stops at the end of the first
WAV, and a read that waits for data cannot be ended: hence this parser.
"""

from __future__ import annotations

import math
import os
import re
import select
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import monotonic
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from edge_runtime.shutdown import POLL_SECONDS

MIN_RATE, MAX_RATE = 1_000, 384_000
"""Sample rates of files and pipes, Hz: below there is no music, and a resampler from 1 Hz would not end."""

MAX_CHANNELS = 256

RAW_FORMATS = ("s16", "s24", "s32", "f32")
"""Sample formats of ``--raw``."""

_WAV_IDS = (b"RIFF", b"RF64")

ReadExactly = Callable[[int], bytes]
"""Reads this many bytes, fewer only at the end of the stream."""

_UNKNOWN_LENGTH = 0x7F000000
"""A data length of 0, or from here upwards, was written by a program that did not know it (ffmpeg: 0xFFFFFFFF)."""

_SAMPLE_BYTES = {"s16": 2, "s24": 3, "s32": 4, "f32": 4, "u8": 1, "f64": 8}
"""Bytes per sample; little endian, as in WAV."""

_WAV_FORMATS = {(1, 8): "u8", (1, 16): "s16", (1, 24): "s24", (1, 32): "s32", (3, 32): "f32", (3, 64): "f64"}
"""By format tag (1 is integer PCM, 3 is floating point) and bits."""

_EXTENSIBLE = 0xFFFE
_MAX_CHUNK_BYTES = 1 << 20
"""Limit of a chunk before the data: more is not a header."""

_MAX_READ_BYTES = 262_144
"""More than a pipe holds, unless it was made wider."""

_NEXT_WAV = re.compile(rb"(?:RIFF|RF64).{4}WAVE", re.DOTALL)
"""The next WAV within data of unknown length."""


class Block(NamedTuple):
    """Decoded samples at the rate of their source."""

    rate: int
    """Hz"""
    samples: NDArray[np.float32]
    """``[shape=(frames, channels)], float32 in [-1, 1]``"""


class Stop(Protocol):
    """Ends a wait: :class:`edge_runtime.shutdown.Shutdown`, for example."""

    @property
    def requested(self) -> bool:
        """Whether the end was requested."""


def check_format(rate: int, channels: int) -> None:
    """Refuse a sample rate or a number of channels that is not one of music.

    Raises
    ------
    TmgcError
        The rate is not within 1 to 384 kHz, or there are more than 256 channels.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise TmgcError(f"a sample rate must lie between {MIN_RATE} and {MAX_RATE} Hz, got {rate}: try 44100")
    if not 1 <= channels <= MAX_CHANNELS:
        raise TmgcError(f"there must be 1 to {MAX_CHANNELS} channels, got {channels}: try 1")


@dataclass(frozen=True)
class PcmFormat:
    """Format of a PCM stream."""

    rate: int
    """Hz"""
    channels: int
    sample: str
    """Sample format: ``s16``, ``s24``, ``s32``, ``f32``, ``u8`` or ``f64``."""
    length: int | None = None
    """Bytes of data; None if unknown."""

    def __post_init__(self) -> None:
        check_format(self.rate, self.channels)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, a sample of every channel."""
        return _SAMPLE_BYTES[self.sample] * self.channels

    def decode(self, content: bytes) -> Block:
        """Decode whole frames; what is left over at the end is ignored.

        Parameters
        ----------
        content : bytes
        """
        whole = content[: len(content) - len(content) % self.frame_bytes]
        return Block(self.rate, _decode(whole, self.sample).astype(np.float32).reshape(-1, self.channels))


def raw_format(text: str) -> PcmFormat:
    """Parse ``RATE,CHANNELS,FORMAT``.

    Parameters
    ----------
    text : str
        For example ``44100,1,s16``.

    Raises
    ------
    TmgcError
        It is not such a format.
    """
    rate, channels, sample = [*text.split(","), "", "", ""][:3]
    if text.count(",") != 2 or not (rate.isdecimal() and channels.isdecimal()) or sample not in RAW_FORMATS:
        raise TmgcError(
            f"--raw is RATE,CHANNELS,FORMAT with a format of {', '.join(RAW_FORMATS)}, got {text!r}: try 44100,1,s16"
        )
    return PcmFormat(int(rate), int(channels), sample)


class PipeReader:
    """Reads a pipe, or a file as if it were one, and can be ended while it waits.

    Parameters
    ----------
    descriptor : int
        Is not closed here.
    stop : Stop, optional
        Ends a wait.
    patience_seconds : float
        How long a wait may last, seconds.

    Attributes
    ----------
    idle_seconds : float
        Time that the reader has waited for data, seconds.
    """

    def __init__(self, descriptor: int, stop: Stop | None = None, *, patience_seconds: float = math.inf) -> None:
        self.idle_seconds = 0.0
        self._descriptor = descriptor
        self._stop = stop
        self._patience_seconds = patience_seconds
        self._unread = b""
        self._ended = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    @property
    def stopped(self) -> bool:
        """Whether the end was requested."""
        return self._ended or (self._stop is not None and self._stop.requested)

    def end(self) -> None:
        """End a wait, also one in another thread; nothing is read any more."""
        self._ended = True

    def read(self, size: int) -> bytes:
        """Read this many bytes, fewer only at the end of the stream or if the end was requested."""
        content = b""
        while len(content) < size and (more := self.read_some(size - len(content))):
            content += more
        return content

    def read_some(self, most: int = _MAX_READ_BYTES) -> bytes:
        """Read what there is, at most so many bytes; nothing at the end of the stream or if the end was requested."""
        if self._unread:
            content, self._unread = self._unread[:most], self._unread[most:]
            return content
        return os.read(self._descriptor, min(most, _MAX_READ_BYTES)) if self._wait() else b""

    def unread(self, content: bytes) -> None:
        """Give back what was read; it is read again next."""
        self._unread = content + self._unread

    def _wait(self) -> bool:
        """Wait for data or the end of the pipe; False if the end was requested meanwhile."""
        begun = monotonic()
        while not self.stopped and not self._poll.poll(POLL_SECONDS * 1000):
            if monotonic() - begun > self._patience_seconds:
                raise TmgcError(
                    f"no sound has arrived for {self._patience_seconds:g} s: is the disk or the network up?"
                )
        self.idle_seconds += monotonic() - begun
        return not self.stopped


def decode_pcm(reader: PipeReader, raw: PcmFormat | None, *, warn: Callable[[str], None]) -> Iterator[Block]:
    """Decode raw samples, or WAVs one after another, each with its own rate and channels.

    Parameters
    ----------
    reader : PipeReader
    raw : PcmFormat or None
        Format of raw samples; a WAV is expected if None.
    warn : callable
        Called with what is wrong with a stream that is decoded nevertheless.

    Raises
    ------
    TmgcError
        It does not begin with a WAV of plain PCM.
    """
    if raw is not None:
        yield from _samples(reader, raw, follow=False, warn=warn)
        return
    pcm: PcmFormat | None = read_wav_header(reader.read)
    while pcm is not None:
        yield from _samples(reader, pcm, follow=True, warn=warn)
        try:
            pcm = _next_wav(reader, pcm)
        except TmgcError as error:
            warn(f"goes on with a WAV that cannot be decoded: {error}")
            return


def _samples(reader: PipeReader, pcm: PcmFormat, *, follow: bool, warn: Callable[[str], None]) -> Iterator[Block]:
    """The samples up to their end, or up to the next WAV where ``follow`` is true and the length is unknown."""
    left: float = math.inf if pcm.length is None else pcm.length
    searched = follow and pcm.length is None
    kept = 15 if searched else 0  # a header of the next WAV that is not complete yet
    rest = b""
    read = 0
    while left and (more := reader.read_some(int(min(left, _MAX_READ_BYTES)))):
        left -= len(more)
        content = rest + more
        if searched and (found := _NEXT_WAV.search(content)):
            reader.unread(content[found.start() :])
            rest = content[: found.start()]
            break
        whole = max(0, len(content) - kept)
        whole -= whole % pcm.frame_bytes
        rest = content[whole:]
        read += whole
        if whole:
            yield pcm.decode(content[:whole])
    if len(rest) >= pcm.frame_bytes:
        yield pcm.decode(rest)
    if 0 < left < math.inf and not reader.stopped:
        seconds = (read + len(rest)) // pcm.frame_bytes / pcm.rate
        warn(f"is truncated: {seconds:.2f} s could be decoded")


def _next_wav(reader: PipeReader, before: PcmFormat) -> PcmFormat | None:
    """The format of what follows the data of a WAV; None where nothing does but other chunks."""
    if before.length is not None and before.length % 2 and (pad := reader.read(1)) != b"\0":
        reader.unread(pad)
    chunks = 0
    while len(head := reader.read(8)) == 8:
        if head[:4] in _WAV_IDS:
            reader.unread(head)
            return read_wav_header(reader.read)
        if not all(32 <= byte < 127 for byte in head[:4]):  # no chunk
            if chunks:
                return None
            reader.unread(head)  # the length in the header is too small
            return replace(before, length=None)
        chunks += 1
        size = int.from_bytes(head[4:], "little")
        left = size + size % 2
        while left and (skipped := reader.read_some(min(left, _MAX_READ_BYTES))):
            left -= len(skipped)
    return None


def begins_as_wav(head: bytes) -> bool:
    """Whether the first 12 bytes are those of a WAV."""
    return head[:4] in _WAV_IDS and head[8:12] == b"WAVE"


def read_wav_header(read: ReadExactly) -> PcmFormat:
    """Read a WAV up to its first sample.

    Parameters
    ----------
    read : callable

    Raises
    ------
    TmgcError
        It is not a WAV of plain PCM.
    """
    if not begins_as_wav(read(12)):
        raise TmgcError("a WAV is expected, and it does not begin as one. Try ffmpeg -i ... -f wav -")
    layout = None
    while len(head := read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            if layout is None:
                break
            return PcmFormat(*layout, length=size if 0 < size < _UNKNOWN_LENGTH else None)
        if size > _MAX_CHUNK_BYTES:
            break
        content = read(size + size % 2)
        if head[:4] == b"fmt " and len(content) >= 16:
            layout = _wav_layout(content)
    raise TmgcError("a WAV must begin with its format: its header is damaged. Try ffmpeg -i ... -f wav -")


def _wav_layout(content: bytes) -> tuple[int, int, str]:
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if tag == _EXTENSIBLE and len(content) >= 26:
        tag = int.from_bytes(content[24:26], "little")
    if (tag, bits) not in _WAV_FORMATS:
        raise TmgcError(
            f"a WAV must hold plain samples: this one has format {tag} with {bits} bits. Try ffmpeg -i ... -f wav -"
        )
    return rate, channels, _WAV_FORMATS[tag, bits]


def _decode(content: bytes, sample: str) -> NDArray[np.floating]:
    if sample == "u8":
        return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / 128
    if sample == "s24":
        shifted = np.zeros((len(content) // 3, 4), np.uint8)
        shifted[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        content, sample = shifted.tobytes(), "s32"
    kind, bits = sample[0], int(sample[1:])
    numbers = np.frombuffer(content, f"<{'i' if kind == 's' else 'f'}{bits // 8}")
    return numbers / np.float32(2 ** (bits - 1)) if kind == "s" else numbers

"""Audio from standard input: a WAV of known or unknown length, or raw samples of a given format.

libsndfile reads pipes, too, but finds no samples where the data length was left at 0, and a read that waits for data
cannot be ended: hence this parser.
"""

from __future__ import annotations

import math
import os
import select
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import CANCELLED, DAMAGED, MonoResampler, Samples
from edge_runtime.errors import TmgcError
from edge_runtime.shutdown import POLL_SECONDS, Shutdown

ReadExactly = Callable[[int], bytes]
"""Reads this many bytes, fewer only at the end of the stream."""

_UNKNOWN_LENGTH = 0x7F000000
"""A data length of 0, or from here upwards, was written by a program that did not know it (ffmpeg: 0xFFFFFFFF)."""

_SAMPLE_BYTES = {"s16": 2, "s24": 3, "s32": 4, "f32": 4, "u8": 1, "f64": 8}
"""Bytes per sample; little endian, as in WAV."""

RAW_FORMATS = ("s16", "s24", "s32", "f32")
"""Sample formats of ``--raw``."""

_WAV_FORMATS = {(1, 8): "u8", (1, 16): "s16", (1, 24): "s24", (1, 32): "s32", (3, 32): "f32", (3, 64): "f64"}
"""By format tag (1 is integer PCM, 3 is floating point) and bits."""

_EXTENSIBLE = 0xFFFE
_MAX_CHUNK_BYTES = 1 << 20
"""Limit of a chunk before the data: more is not a header."""

_MAX_READ_BYTES = 65_536
"""Capacity of a pipe."""


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
        if not 1_000 <= self.rate <= 768_000:
            raise TmgcError(f"the sample rate must lie between 1000 and 768000 Hz, got {self.rate}: try 44100")
        if not 1 <= self.channels <= 256:
            raise TmgcError(f"there must be 1 to 256 channels, got {self.channels}: try 1")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame, a sample of every channel."""
        return _SAMPLE_BYTES[self.sample] * self.channels

    def decode(self, content: bytes) -> NDArray[np.float32]:
        """Decode whole frames.

        Parameters
        ----------
        content : bytes
            Length is a multiple of :attr:`frame_bytes`.

        Returns
        -------
        block : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]
        """
        return _decode(content, self.sample).astype(np.float32).reshape(-1, self.channels)


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
    start = read(12)
    if not start:
        raise TmgcError("standard input must contain audio: it is empty. Does the program before the | run?")
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        raise TmgcError(
            "standard input must be a WAV: it does not begin as one. Try ffmpeg -i ... -f wav -, or name the format of "
            "raw samples, e.g. --raw 44100,1,s16"
        )
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
    raise TmgcError("standard input must be a WAV: its header is damaged. Try ffmpeg -i ... -f wav -")


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


class StandardInput:
    """A pipe that is read as fast as it is classified, so that its writer waits.

    Parameters
    ----------
    descriptor : int
        File descriptor of the pipe; 0 is standard input.
    sample_rate : int > 0, Hz
        Rate of the samples that :meth:`blocks` yields.
    stop : Shutdown
        Ends it, also while it waits for data.
    raw : PcmFormat, optional
        Format of raw samples; a WAV is expected if None.

    Attributes
    ----------
    idle_seconds : float
        Time that the reader has waited for data, seconds.
    warnings : list of str
    """

    name = "standard input"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, descriptor: int, *, sample_rate: int, stop: Shutdown, raw: PcmFormat | None = None) -> None:
        self.idle_seconds = 0.0
        self.warnings: list[str] = []
        self._descriptor = descriptor
        self._sample_rate = sample_rate
        self._stop = stop
        self._raw = raw

    def blocks(self) -> Iterator[Samples]:
        """Mono samples, to the last whole frame.

        Raises
        ------
        TmgcError
            It is not a WAV of plain PCM.
        """
        if self._raw is None and not self._wait():
            return
        pcm = self._raw or read_wav_header(self._read)
        stream = MonoResampler(pcm.rate, self._sample_rate)
        left = math.inf if pcm.length is None else pcm.length
        rest = b""
        while left and (content := self._read_some(int(min(left, _MAX_READ_BYTES)))):
            left -= len(content)
            content = rest + content
            whole = len(content) - len(content) % pcm.frame_bytes
            rest = content[whole:]
            yield stream.process(pcm.decode(content[:whole]))
            for found, what in ((stream.damaged, DAMAGED), (stream.cancelled, CANCELLED)):
                line = f"{self.name} {what}"
                if found and line not in self.warnings:
                    self.warnings.append(line)
        yield stream.flush()

    def _read(self, size: int) -> bytes:
        """Read this many bytes, fewer only at the end of the stream."""
        content = b""
        while len(content) < size and (more := self._read_some(size - len(content))):
            content += more
        return content

    def _read_some(self, most: int) -> bytes:
        return os.read(self._descriptor, most) if self._wait() else b""

    def _wait(self) -> bool:
        """Wait for data or the end of the pipe; False if the end was requested meanwhile."""
        begun = monotonic()
        while not self._stop.requested:
            if select.select([self._descriptor], [], [], POLL_SECONDS)[0]:
                break
        self.idle_seconds += monotonic() - begun
        return not self._stop.requested

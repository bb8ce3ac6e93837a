"""Sound that another program pipes in: a WAV, or raw samples whose format was named."""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import DAMAGED, MonoResampler, Samples
from edge_runtime.errors import TmgcError
from edge_runtime.shutdown import Shutdown

ReadExactly = Callable[[int], bytes]
"""Gives so many bytes, fewer only where the stream ends."""

_STREAMED = 0x7F000000
"""A length this close to the highest number, or 0, was written by a program that could not know it."""

_FORMATS = {"s16": 2, "s24": 3, "s32": 4, "f32": 4, "u8": 1, "f64": 8}
"""Bytes of a sample; little endian, as in WAV."""

RAW_FORMATS = ("s16", "s24", "s32", "f32")
"""Formats that raw samples can be said to have."""

_WAV_FORMATS = {(1, 8): "u8", (1, 16): "s16", (1, 24): "s24", (1, 32): "s32", (3, 32): "f32", (3, 64): "f64"}
"""By format tag and bits: 1 is integers, 3 is floating point."""

_EXTENSIBLE = 0xFFFE
_LONGEST_CHUNK = 1 << 20
"""Bytes of a chunk before the sound: more is no header."""


@dataclass(frozen=True)
class PcmFormat:
    """How bytes are samples."""

    rate: int
    """Hz"""
    channels: int
    sample: str
    """``s16`` and so on."""
    length: int | None = None
    """Bytes of sound; None where nobody knows."""

    def __post_init__(self) -> None:
        if not 1_000 <= self.rate <= 768_000:
            raise TmgcError(f"the sample rate must lie between 1000 and 768000 Hz, got {self.rate}: try 44100")
        if not 1 <= self.channels <= 256:
            raise TmgcError(f"there must be 1 to 256 channels, got {self.channels}: try 1")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return _FORMATS[self.sample] * self.channels

    def decode(self, content: bytes) -> NDArray[np.float32]:
        """Whole frames as numbers.

        Parameters
        ----------
        content : bytes
            A multiple of :attr:`frame_bytes` of them.

        Returns
        -------
        block : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]
        """
        return _decode(content, self.sample).astype(np.float32).reshape(-1, self.channels)


def raw_format(text: str) -> PcmFormat:
    """The format that a user has written as ``RATE,CHANNELS,FORMAT``.

    Raises
    ------
    TmgcError
        It is none.
    """
    rate, channels, sample = [*text.split(","), "", "", ""][:3]
    if text.count(",") != 2 or not (rate.isdecimal() and channels.isdecimal()) or sample not in RAW_FORMATS:
        raise TmgcError(
            f"--raw is RATE,CHANNELS,FORMAT with a format of {', '.join(RAW_FORMATS)}, got {text!r}: try 44100,1,s16"
        )
    return PcmFormat(int(rate), int(channels), sample)


def read_wav_header(read: ReadExactly) -> PcmFormat:
    """The format of a WAV, read up to its first sample.

    Raises
    ------
    TmgcError
        It is none that can be read so.
    """
    start = read(12)
    if not start:
        raise TmgcError("standard input must hold sound: it is empty. Does the program before the | run?")
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        raise TmgcError(
            "standard input must be a WAV: it does not begin as one. Try ffmpeg -i ... -f wav -, or name the format of "
            "raw samples, e.g. --raw 44100,1,s16"
        )
    form = None
    while len(head := read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            if form is None:
                break
            return PcmFormat(*form, length=size if 0 < size < _STREAMED else None)
        if size > _LONGEST_CHUNK:
            break
        content = read(size + size % 2)
        if head[:4] == b"fmt " and len(content) >= 16:
            form = _wav_form(content)
    raise TmgcError("standard input must be a WAV: its header is damaged. Try ffmpeg -i ... -f wav -")


def _wav_form(content: bytes) -> tuple[int, int, str]:
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


_STEP_SECONDS = 0.1
"""Whoever waits for sound looks this often whether it should end."""

_MOST_BYTES = 65_536
"""As much as a pipe holds."""


class StandardInput:
    """A pipe, read no faster than it is answered, so that whoever fills it waits.

    Parameters
    ----------
    descriptor : int
        Of the pipe; 0 is standard input.
    sample_rate : int > 0, Hz
        Of the samples that :meth:`blocks` gives.
    stop : Stop
        Ends it, also while nothing comes.
    raw : PcmFormat, optional
        What raw samples are; a WAV is expected if None.

    Attributes
    ----------
    idle_seconds : float
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
        """Its sound, to the last whole sample.

        Raises
        ------
        TmgcError
            It is no WAV.
        """
        if self._raw is None and not self._comes():
            return
        form = self._raw or read_wav_header(self._read)
        stream = MonoResampler(form.rate, self._sample_rate)
        left = form.length
        rest = b""
        while left != 0 and (content := self._read_some(_MOST_BYTES if left is None else min(left, _MOST_BYTES))):
            left = None if left is None else left - len(content)
            content = rest + content
            whole = len(content) - len(content) % form.frame_bytes
            rest = content[whole:]
            yield stream.take(form.decode(content[:whole]))
            if stream.damaged and not self.warnings:
                self.warnings.append(f"{self.name} {DAMAGED}")
        yield stream.end()

    def _read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        content = b""
        while len(content) < size and (more := self._read_some(size - len(content))):
            content += more
        return content

    def _read_some(self, most: int) -> bytes:
        return os.read(self._descriptor, most) if self._comes() else b""

    def _comes(self) -> bool:
        """Wait for something to read, or the end of the pipe; False where the end was asked for meanwhile."""
        begun = monotonic()
        while not self._stop.requested:
            if select.select([self._descriptor], [], [], _STEP_SECONDS)[0]:
                break
        self.idle_seconds += monotonic() - begun
        return not self._stop.requested

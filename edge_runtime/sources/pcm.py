"""Sound as bytes: samples of each format, and the header of a WAV that comes through a pipe and cannot be sought in."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError

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

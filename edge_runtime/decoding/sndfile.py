"""libsndfile as a decoder, and what its answers are worth: where it stopped, and whether the file goes on there.

Headers guess: an MP3 without a Xing header has a length by its first bit rate, a joined file has that of its first
part. libsndfile reads no further. It reads a descriptor, whose position then tells how much of the file it has seen.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np

from edge_runtime.decoding.file_end import holds_frames, is_cut, mp3_seconds, sound_end, xing_bytes
from edge_runtime.decoding.pcm import Block, check_format
from edge_runtime.errors import TmgcError
from edge_runtime.native_stderr import silence_native_stderr

_GUESSED = ("MP3", "OGG")
"""Containers whose length in frames is not reliable."""

_WAV = ("WAV", "WAVEX")

_UNKNOWN_FRAMES = 1 << 60
"""libsndfile states more than this where a header has no length."""

_MAX_BLOCK_SAMPLES = 1 << 21
"""Limit of a block of all channels, samples."""

_SHORTENED = re.compile(r"^\s*(?:riff|Riff size|data|Data Size|SSND)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""Length of the data (of W64 and RF64, of all) in libsndfile's log of a header: as stated, and as the file allows."""

_UNKNOWN_BYTES = 0x7F000000
"""A length from here upwards, up to 32 bits, was written by a program that did not know it."""

BLANK_BYTES = 4_000_000
"""More zeros than a damaged file has before its sound goes on."""

_TAIL_BYTES = 1 << 16
"""libsndfile's decoders read so far ahead."""

_FURTHER_BYTES = 4096
"""Of an MP3 behind the end that its header states: more frames than some encoders leave out."""

_LOST_SECONDS = 1.0
"""Where an MP3 or Ogg file has less sound than its header states by this, it may have lost some."""


class Sndfile:
    """A file that libsndfile decodes; call :meth:`close` afterwards.

    Parameters
    ----------
    path : Path
        A regular file.

    Attributes
    ----------
    rate : int, Hz
    frames : int or None
        Length if the header states it reliably.

    Raises
    ------
    TmgcError
        The rate or the number of channels is not one of music.
    ValueError
        libsndfile does not know the format.
    """

    def __init__(self, path: Path) -> None:
        import soundfile

        self._descriptor = os.open(path, os.O_RDONLY)
        try:
            self._size = os.fstat(self._descriptor).st_size
            with silence_native_stderr():  # by content: a descriptor has no suffix
                self._file = soundfile.SoundFile(self._descriptor, closefd=False)
            check_format(self._file.samplerate, self._file.channels)
            if not self._file.seekable():  # GSM, of which only ffmpeg reads a stretch
                raise TypeError("libsndfile cannot seek in it")
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError for raw samples, whose rate is unknown
            os.close(self._descriptor)
            raise ValueError(str(error)) from error
        except TmgcError:
            os.close(self._descriptor)
            raise
        # soundfile would seek after each block, where an MP3 decoder loses what earlier frames hold of the next ones
        self._file.seekable = lambda: False
        self.rate: int = self._file.samplerate
        is_mpeg = self._file.subtype.startswith("MPEG")  # also within a WAV
        guessed = is_mpeg or self._file.format in _GUESSED or self._file.frames > _UNKNOWN_FRAMES
        self.frames: int | None = None if guessed else self._file.frames

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        os.close(self._descriptor)

    def blocks(self, start: int, frames: float, *, length: int) -> Iterator[Block]:
        """Decode from a frame on, to where libsndfile stops.

        Parameters
        ----------
        start : int >= 0
            Frames; at most the length that libsndfile states.
        frames : float > 0
            How many to decode; infinite for all.
        length : int > 0
            Frames of a block.

        Raises
        ------
        ValueError
            The data is damaged; what stands before the damage was yielded.
        """
        import soundfile

        channels = self._file.channels
        length = max(1, min(length, _MAX_BLOCK_SAMPLES // channels))
        # mpg123 writes its notes to standard error
        silence = silence_native_stderr if self._file.format == "MP3" else nullcontext
        try:
            if start != self._file.tell():
                with silence():
                    if self._file.format == "OGG":
                        self._file.seek(0)  # forwards from elsewhere, libsndfile arrives up to 60 ms too late in Vorbis
                    self._file.seek(min(start, self._file.frames))
        except soundfile.LibsndfileError as error:
            raise ValueError(str(error)) from error
        frames = min(frames, self.stated_frames - start)  # asked for more, it would read behind the end of the sound
        while frames > 0:
            buffer = np.empty((math.ceil(min(length, frames)), channels), np.float32)
            buffer[:, -1] = np.nan  # as long as nothing is decoded
            try:
                with silence():
                    block = self._file.read(out=buffer)
            except soundfile.LibsndfileError as error:
                decoded = int(np.count_nonzero(~np.isnan(buffer[:, -1])))  # before it failed
                yield Block(self.rate, buffer[:decoded])
                raise ValueError(str(error)) from error
            if not len(block):
                return
            frames -= len(block)
            yield Block(self.rate, block)

    @property
    def preroll(self) -> int:
        """Frames to decode and discard after a seek: an MP3 frame needs up to 511 bytes of those before it, 0.3 s."""
        return self.rate // 2 if self._file.format == "MP3" else 0

    @property
    def is_wav(self) -> bool:
        """Whether it is a WAV, which may be one of several joined."""
        return self._file.format in _WAV

    @property
    def stated_frames(self) -> float:
        """Length that the header states or suggests; infinite if it does neither."""
        frames: int = self._file.frames
        return math.inf if frames > _UNKNOWN_FRAMES else frames

    @cached_property
    def seconds(self) -> float:
        """Length that the header states, seconds; infinite if it does not.

        Of an MP3 whose header states none, or that of a part, its frames are counted: libsndfile guesses by the first.
        """
        if self._file.format == "MP3":
            stated = xing_bytes(self._descriptor)
            is_part = sound_end(self._descriptor, self._size) - stated > _FURTHER_BYTES
            if (not stated or is_part) and (counted := mp3_seconds(self._descriptor, self._size)):
                return counted
        return self.stated_frames / self.rate

    def ends_here(self, frames: int, failure: ValueError) -> bool:
        """Whether an error of :meth:`blocks` means that all was decoded.

        libsndfile fails at the end of a FLAC that states no length, as one written to a pipe, and of one that another
        follows.

        Parameters
        ----------
        frames : int
            How many were decoded.
        failure : ValueError
        """
        unknown = self.stated_frames == math.inf and self.at_end and "sync" not in str(failure)
        return unknown or frames == self.frames

    @property
    def at_end(self) -> bool:
        """Whether the decoder has read the file to its end, or to where it is blank."""
        return self._position >= self._size or self._before_zeros

    def goes_on(self) -> bool:
        """Whether sound stands behind the point at which the decoder stopped, as far as this can be seen."""
        rest = self._size - self._position
        if self.is_wav:
            return rest > 8 and not _is_chunk(os.pread(self._descriptor, 9, self._position), self._position)
        if self._before_zeros:
            return False
        if self._file.format == "MP3":
            return holds_frames(self._descriptor, self._position, sound_end(self._descriptor, self._size))
        if self._file.format == "OGG":  # after a seek, the position says nothing
            return _contains(self._descriptor, b"OggS\0\2", start=_second_page(self._descriptor))
        if self._file.format == "FLAC":
            is_joined = _contains(self._descriptor, b"fLaC\0\0\0\x22", start=max(4, self._position - _TAIL_BYTES))
            return is_joined or _holds_flac_frames(self._descriptor, self._position)
        return False

    def is_truncated(self, frames: int) -> bool:
        """Whether the file has lost its end.

        Parameters
        ----------
        frames : int
            How many were decoded.
        """
        if self._before_zeros if self.frames is None else frames < self.frames:
            return True
        if self._file.format == "MP3":
            missing = self._file.frames - frames > _LOST_SECONDS * self.rate
            lost = missing and xing_bytes(self._descriptor) > sound_end(self._descriptor, self._size)
            return lost or is_cut(self._descriptor, self._size)
        if self._file.format == "OGG":
            return is_cut(self._descriptor, self._size)
        return any(
            int(stated) > int(there) and not _UNKNOWN_BYTES <= int(stated) < 1 << 32
            for stated, there in _SHORTENED.findall(self._file.extra_info)
        )

    def lost_seconds(self, frames: int) -> float:
        """How much sound of an Ogg file is missing where its pages are damaged, seconds; 0 for less than a second.

        Parameters
        ----------
        frames : int
            How many were decoded.
        """
        lost = (self._file.frames - frames) / self.rate if self._file.format == "OGG" else 0.0
        return lost if lost > _LOST_SECONDS else 0.0

    @property
    def _before_zeros(self) -> bool:
        """Whether only zeros follow, as in a download that reserves its space first."""
        return os.pread(self._descriptor, BLANK_BYTES, self._position).count(0) == BLANK_BYTES

    @property
    def _position(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)


def _is_chunk(head: bytes, position: int) -> bool:
    """Whether a WAV goes on with a chunk that is no sound, or with padding at its end."""
    named = head[position % 2 :]
    return all(32 <= byte < 127 for byte in named[:4]) and named[:4] not in (b"RIFF", b"RF64")


def _second_page(descriptor: int) -> int:
    """Where the first pages of the streams of an Ogg file end."""
    found = re.search(rb"OggS\x00[\x00\x01\x04\x05]", os.pread(descriptor, _TAIL_BYTES, 0))
    return found.start() if found else _TAIL_BYTES


def _holds_flac_frames(descriptor: int, position: int) -> bool:
    """Whether FLAC frames follow, of which at least three begin alike; a header may state too few samples."""
    headers = Counter(re.findall(rb"\xff[\xf8\xf9]..", os.pread(descriptor, 1 << 20, position), re.DOTALL))
    return max(headers.values(), default=0) >= 3


def _contains(descriptor: int, marker: bytes, *, start: int) -> bool:
    overlap = b""
    while content := os.pread(descriptor, 1 << 20, start):
        if marker in overlap + content:
            return True
        start += len(content)
        overlap = content[1 - len(marker) :]
    return False

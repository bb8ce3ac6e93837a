"""Audio files of any rate and channel count, as mono float32 at the rate that the model wants."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError

Samples = NDArray[np.float32]
"""Mono sound, ``[shape=(n,)], float32 in [-1, 1]``."""

DAMAGED = "holds samples that are not sound (not numbers, or far above full scale); they count as silence"
"""What to tell a person whose sound is :attr:`MonoResampler.damaged`."""

_LOUDEST = 1e4
"""Samples beyond it, 80 dB above full scale, are damage and no sound."""


class MonoResampler:
    """The mean of all channels, resampled as one stream without a seam between blocks.

    Parameters
    ----------
    rate : int > 0, Hz
        Of the blocks that come.
    sample_rate : int > 0, Hz
        Of the samples that are given.

    Attributes
    ----------
    damaged : bool
        Whether there were samples that are no sound.
    """

    def __init__(self, rate: int, sample_rate: int) -> None:
        import soxr

        self.damaged = False
        self._resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, "float32")

    def take(self, block: NDArray[np.float32]) -> Samples:
        """What a block adds to the stream; the resampler gives it a little later than it came.

        Parameters
        ----------
        block : np.ndarray [shape=(frames, channels)], float32 in [-1, 1]
        """
        mono = self._mono(block)
        resampled: Samples = mono if self._resampler is None else self._resampler.resample_chunk(mono)
        return resampled

    def end(self) -> Samples:
        """What the resampler still held back."""
        nothing = np.zeros(0, np.float32)
        if self._resampler is None:
            return nothing
        last: Samples = self._resampler.resample_chunk(nothing, last=True)
        return last

    def _mono(self, block: NDArray[np.float32]) -> Samples:
        # The two ends and not abs, which would need as much memory again; NaN fails both.
        if not (block.max(initial=0) <= _LOUDEST and block.min(initial=0) >= -_LOUDEST):
            self.damaged = True
            block = np.where(np.abs(block) <= _LOUDEST, block, np.float32(0))
        if block.shape[1] == 1:
            return np.ascontiguousarray(block[:, 0])
        # einsum and not mean, which takes longer over such short rows than a decoder does.
        mono: Samples = np.einsum("fc->f", block) * np.float32(1 / block.shape[1])
        return mono


AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".aif", ".aiff")
"""File names that count as songs when a folder is searched. A file that is named outright may have any name."""

_BLOCK_SECONDS = 0.25
"""A decoder that fails loses the block that it fails in, so a block is short."""

_LONG_BLOCK_SECONDS = 10.0
"""Of what is read in one array, which is quicker so."""


class AudioFile:
    """A decoded audio file, read in blocks so that memory stays flat however long the recording is.

    Parameters
    ----------
    path : str or Path
    sample_rate : int > 0, Hz
        The rate of the samples that :meth:`blocks` gives.

    Attributes
    ----------
    warnings : list of str
        What was wrong with the file and did not stop it from being read, one line each; complete after the last block.
    read_seconds : float
        Sound decoded so far, seconds.

    Raises
    ------
    TmgcError
        The file is missing, empty or not audio.
    """

    def __init__(self, path: str | Path, *, sample_rate: int) -> None:
        self.path = Path(path)
        self.sample_rate = sample_rate
        self.warnings: list[str] = []
        self.read_seconds = 0.0
        self._file = _open(self.path)

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def name(self) -> str:
        """The source's name in every answer."""
        return str(self.path)

    @property
    def waiting_seconds(self) -> float:
        """Nothing waits: a file gives what is asked for."""
        return 0.0

    @property
    def idle_seconds(self) -> float:
        """Its reader waits for nothing."""
        return 0.0

    @property
    def overflows(self) -> int:
        """Nothing is lost either."""
        return 0

    @property
    def seconds(self) -> float:
        """Length that the file's header promises, seconds."""
        return float(self._file.frames / self._file.samplerate)

    def blocks(
        self, *, start_seconds: float = 0.0, seconds: float = math.inf, block_seconds: float = _BLOCK_SECONDS
    ) -> Iterator[Samples]:
        """Mono samples at ``sample_rate``, in blocks of at most ``block_seconds`` or so.

        Parameters
        ----------
        start_seconds : float >= 0
        seconds : float > 0
            How much to read from there; less is given where the file ends.
        block_seconds : float > 0
            Long blocks are read quicker.
        """
        rate = self._file.samplerate
        stream = MonoResampler(rate, self.sample_rate)
        for block in self._decoded(round(start_seconds * rate), seconds * rate, max(1, round(block_seconds * rate))):
            samples = stream.take(block)
            if stream.damaged:
                self._warn(DAMAGED)
            yield samples
        yield stream.end()

    def _decoded(self, start: int, frames: float, length: int) -> Iterator[NDArray[np.float32]]:
        import soundfile

        read = 0
        try:
            if start != self._file.tell():
                self._file.seek(min(start, self._file.frames))
            while read < frames:
                block = self._file.read(math.ceil(min(length, frames - read)), dtype="float32", always_2d=True)
                if not len(block):
                    break
                read += len(block)
                self.read_seconds = read / self._file.samplerate
                yield block
        except soundfile.LibsndfileError as error:
            self._warn(f"cannot be decoded beyond {(start + read) / self._file.samplerate:.2f} s ({_reason(error)})")
            return
        came_to_the_end = read < frames  # what lies before the end is as good in a file that lacks it
        if start + read < min(self._file.frames, start + frames) or (
            came_to_the_end and _lacks_its_end(self.path, self._file.format)
        ):
            self._warn(f"is truncated: {(start + read) / self._file.samplerate:.2f} s could be decoded")

    def _warn(self, what: str) -> None:
        line = f"{self.path} {what}"
        if line not in self.warnings:
            self.warnings.append(line)


def read_audio(path: str | Path, *, sample_rate: int, start_seconds: float = 0.0, seconds: float = math.inf) -> Samples:
    """A stretch of an audio file in one array.

    Parameters
    ----------
    path : str or Path
    sample_rate : int > 0, Hz
    start_seconds : float >= 0
    seconds : float > 0
        Less is given where the file ends.

    Returns
    -------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono

    Raises
    ------
    TmgcError
        The file is missing, empty or not audio.
    """
    with AudioFile(path, sample_rate=sample_rate) as file:
        given = file.blocks(start_seconds=start_seconds, seconds=seconds, block_seconds=_LONG_BLOCK_SECONDS)
        blocks = [block for block in given if len(block)]
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def level_dbfs(samples: Samples) -> float:
    """Root mean square of the samples in decibels against full scale: a full-scale square wave is 0, silence -120.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1]
    """
    return 20.0 * math.log10(max(math.sqrt(float(np.mean(np.square(samples, dtype=np.float64)))), 1e-6))


def _open(path: Path):  # type: ignore[no-untyped-def]  # soundfile is not typed
    import soundfile

    if not path.exists():
        raise TmgcError(f"an audio file must exist: there is no {path}. Check the spelling")
    if path.is_dir():
        raise TmgcError(f"an audio file is needed: {path} is a folder. Name the files in it, e.g. {path}/*.mp3")
    if not os.access(path, os.R_OK):
        raise TmgcError(f"an audio file must be readable: {path} is not. Check its permissions")
    if path.stat().st_size == 0:
        raise TmgcError(f"an audio file must hold sound: {path} is empty (0 bytes). Copy it again")
    try:
        return soundfile.SoundFile(os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # the latter for raw samples, whose rate nobody knows
        raise TmgcError(
            f"an audio file must be WAV, FLAC, OGG, MP3 or AIFF: {path} is not one that can be decoded "
            f"({_reason(error)}). Convert it, e.g. ffmpeg -i {path.name} {path.stem}.flac"
        ) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".") or "damaged data"


def _lacks_its_end(path: Path, container: str) -> bool:
    """Whether a WAV or OGG file is shorter than it says; libsndfile quietly takes what is there."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if container == "WAV":
            header = file.read(8)
            promised = int.from_bytes(header[4:], "little")
            streamed = promised in (0, 0xFFFFFFFF)  # a program that wrote to a pipe could not know
            return header[:4] == b"RIFF" and not streamed and 8 + promised > size + 1
        if container == "OGG":
            file.seek(max(0, size - 65_536))
            tail = file.read()
            last_page = tail.rfind(b"OggS")
            end_of_stream = 0x04
            flags = tail[last_page + 5 : last_page + 6]
            return last_page >= 0 and not (flags and flags[0] & end_of_stream)
    return False

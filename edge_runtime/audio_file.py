"""Audio files, decoded in blocks to mono float32 at the model's rate."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_runtime.audio import CANCELLED, DAMAGED, MonoResampler, Samples
from edge_runtime.errors import TmgcError

AUDIO_SUFFIXES = (".mp3", ".wav", ".flac", ".ogg", ".opus", ".aif", ".aiff")
"""File name endings of songs when a folder is searched. A file that is named explicitly may have any."""

_BLOCK_SECONDS = 0.25
"""Short, since a decoder that fails loses the block in which it fails."""

_LONG_BLOCK_SECONDS = 10.0
"""Block length where all is read into one array, which is faster."""


class AudioFile:
    """An audio file, decoded in blocks so that memory does not grow with its length; a context manager.

    Parameters
    ----------
    path : str or Path
    sample_rate : int > 0, Hz
        Rate of the samples that :meth:`blocks` yields.

    Attributes
    ----------
    path : Path
    warnings : list of str
        Damage that did not stop the decoding, and channels that cancel each other, one line each; complete after the
        last block.
    read_seconds : float
        Length decoded so far, seconds.

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
        """Name of the source in predictions: the path."""
        return str(self.path)

    @property
    def waiting_seconds(self) -> float:
        """0: a file is read on demand."""
        return 0.0

    @property
    def idle_seconds(self) -> float:
        """0: a file is read without waiting."""
        return 0.0

    @property
    def overflows(self) -> int:
        """0: no sample is lost."""
        return 0

    @property
    def seconds(self) -> float:
        """Length according to the file's header, seconds."""
        return float(self._file.frames / self._file.samplerate)

    def blocks(
        self, *, start_seconds: float = 0.0, seconds: float = math.inf, block_seconds: float = _BLOCK_SECONDS
    ) -> Iterator[Samples]:
        """Mono samples at ``sample_rate``, in blocks of about ``block_seconds``.

        Parameters
        ----------
        start_seconds : float >= 0
        seconds : float > 0
            Length to read from there; shorter where the file ends.
        block_seconds : float > 0
            Longer blocks are faster.

        Yields
        ------
        samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono
        """
        rate = self._file.samplerate
        stream = MonoResampler(rate, self.sample_rate)
        for block in self._decoded(round(start_seconds * rate), seconds * rate, max(1, round(block_seconds * rate))):
            samples = stream.process(block)
            if stream.damaged:
                self._warn(DAMAGED)
            if stream.cancelled:
                self._warn(CANCELLED)
            yield samples
        yield stream.flush()

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
        at_end = read < frames
        if start + read < min(self._file.frames, start + frames) or (
            at_end and _is_truncated(self.path, self._file.format)
        ):
            self._warn(f"is truncated: {(start + read) / self._file.samplerate:.2f} s could be decoded")

    def _warn(self, what: str) -> None:
        line = f"{self.path} {what}"
        if line not in self.warnings:
            self.warnings.append(line)


def read_audio(path: str | Path, *, sample_rate: int, start_seconds: float = 0.0, seconds: float = math.inf) -> Samples:
    """Read an audio file, or a part of it, into one array.

    Parameters
    ----------
    path : str or Path
    sample_rate : int > 0, Hz
        Rate of the result; the file is resampled.
    start_seconds : float >= 0
    seconds : float > 0
        Length to read from there; shorter where the file ends.

    Returns
    -------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono

    Raises
    ------
    TmgcError
        The file is missing, empty or not audio.
    """
    with AudioFile(path, sample_rate=sample_rate) as file:
        read = file.blocks(start_seconds=start_seconds, seconds=seconds, block_seconds=_LONG_BLOCK_SECONDS)
        blocks = [block for block in read if len(block)]
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _open(path: Path):  # type: ignore[no-untyped-def]  # soundfile is not typed
    import soundfile

    if not path.exists():
        raise TmgcError(f"an audio file must exist: there is no {path}. Check the spelling")
    if path.is_dir():
        raise TmgcError(f"an audio file is needed: {path} is a folder. Name the files in it, e.g. {path}/*.mp3")
    if not os.access(path, os.R_OK):
        raise TmgcError(f"an audio file must be readable: {path} is not. Check its permissions")
    if path.stat().st_size == 0:
        raise TmgcError(f"an audio file must contain samples: {path} is empty (0 bytes). Copy it again")
    try:
        return soundfile.SoundFile(os.fsencode(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError for raw samples, whose rate is unknown
        raise TmgcError(
            f"an audio file must be WAV, FLAC, OGG, MP3 or AIFF: {path} is not one that can be decoded "
            f"({_reason(error)}). Convert it, e.g. ffmpeg -i {path.name} {path.stem}.flac"
        ) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".") or "damaged data"


def _is_truncated(path: Path, container: str) -> bool:
    """Whether a WAV or OGG file is shorter than its header says, which libsndfile does not report."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if container == "WAV":
            header = file.read(8)
            riff_bytes = int.from_bytes(header[4:], "little")
            unknown = riff_bytes in (0, 0xFFFFFFFF)  # written to a pipe
            return header[:4] == b"RIFF" and not unknown and 8 + riff_bytes > size + 1
        if container == "OGG":
            file.seek(max(0, size - 65_536))
            tail = file.read()
            last_page = tail.rfind(b"OggS")
            end_of_stream = 0x04
            flags = tail[last_page + 5 : last_page + 6]
            return last_page >= 0 and not (flags and flags[0] & end_of_stream)
    return False

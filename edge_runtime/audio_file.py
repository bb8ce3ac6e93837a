"""Audio files, pipes and addresses, decoded in blocks to mono float32 at the model's rate.

libsndfile decodes what it can. ffmpeg, where it is installed, decodes other formats, and what stands behind the point
at which libsndfile stops: a joined file, or one whose header states too short a length.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

import numpy as np

from edge_runtime.audio import Samples
from edge_runtime.decoding.ffmpeg import INSTALL, Ffmpeg, has_ffmpeg
from edge_runtime.decoding.file_end import is_cut
from edge_runtime.decoding.pcm import Block, Stop, begins_as_wav
from edge_runtime.decoding.sndfile import BLANK_BYTES, Sndfile
from edge_runtime.decoding.stream import Decoder, ForwardReader, StreamDecoder, to_mono
from edge_runtime.errors import TmgcError

_FFMPEG_SUFFIXES = (
    *(".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka", ".wv", ".ape", ".ac3", ".amr", ".mpc", ".tta", ".spx"),
    *(".dsf", ".tak", ".3gp", ".m4r", ".weba"),
)

AUDIO_SUFFIXES = (
    *(".mp3", ".wav", ".flac", ".ogg", ".opus", ".aif", ".aiff", ".aifc", ".oga", ".mp2", ".mpga", ".au", ".caf"),
    *(".w64", ".rf64"),
    *_FFMPEG_SUFFIXES,
)
"""File name endings of songs when a folder is searched; only the content counts for how they are decoded."""

_BLOCK_SECONDS = 0.25

_SETTLING_SECONDS = 0.5
"""Decoded before a stretch, so that the filter that removes an offset has settled when the stretch begins: it is then
what decoding from the beginning gives."""

_LONG_BLOCK_SECONDS = 10.0
"""Block length where all is read into one array, which is faster."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class AudioFile:
    """An audio file, decoded in blocks so that memory does not grow with its length; a context manager.

    Parameters
    ----------
    path : str or Path
        A file; or a pipe, or an address such as ``https://...``, both of which are read once.
    sample_rate : int > 0, Hz
        Rate of the samples that :meth:`blocks` yields.
    stop : Shutdown, optional
        Ends a wait for a pipe or an address.

    Attributes
    ----------
    name : str
        The path, or the address without a password: name of the source in predictions.
    warnings : list of str
        Damage that did not stop the decoding, one line each; complete after the last block.
    read_seconds : float
        Length decoded so far by the last call of :meth:`blocks`, seconds.
    end_seconds : float or None
        Where the sound has ended, seconds; None as long as it was not decoded to its end.

    Raises
    ------
    TmgcError
        The file is missing, empty or not audio, or ffmpeg is needed and missing.
    """

    def __init__(self, path: str | Path, *, sample_rate: int, stop: Stop | None = None) -> None:
        self.sample_rate = sample_rate
        self.warnings: list[str] = []
        self.read_seconds = 0.0
        self.end_seconds: float | None = None
        self._source = _named(path)
        self.name = source_name(self._source)
        self._stop = stop
        self._sndfile: Sndfile | None = None
        self._stream: ForwardReader | None = None
        if isinstance(self._source, Path):
            self._open_path(self._source)
        else:
            self._stream = self._opened(self._ffmpeg)

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for decoder in (self._sndfile, self._stream):
            if decoder:
                decoder.close()

    @property
    def waiting_seconds(self) -> float:
        """0: a file is read on demand."""
        return 0.0

    @property
    def idle_seconds(self) -> float:
        """Time that was spent waiting for a pipe or an address, seconds; 0 for a file."""
        return self._stream.decoder.idle_seconds if self._stream and not self._is_repeatable else 0.0

    @property
    def overflows(self) -> int:
        """0: no sample is lost."""
        return 0

    @property
    def seconds(self) -> float:
        """Length, seconds: as the header states it where that is reliable, or else by decoding to the end.

        Infinite for a pipe and an address.
        """
        if self._sndfile and self._sndfile.frames is not None:
            return self._sndfile.frames / self._sndfile.rate
        if self.end_seconds is None and self._is_repeatable:
            with AudioFile(self._source, sample_rate=self.sample_rate) as file:
                for _ in file._decoded(0.0, math.inf, _LONG_BLOCK_SECONDS):
                    pass
            self.end_seconds = file.end_seconds
        return math.inf if self.end_seconds is None else self.end_seconds

    @property
    def stated_seconds(self) -> float:
        """Length, seconds, without decoding: where the sound has ended, or else as the header states it.

        Infinite where it does not. The frames of an MP3 are counted where its header states no length. What a header
        states may be wrong.
        """
        if self.end_seconds is not None:
            return self.end_seconds
        return self._sndfile.seconds if self._sndfile else math.inf

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
            Empty while a decoder that cannot seek is on its way to the stretch.
        """
        before = min(start_seconds, _SETTLING_SECONDS)
        decoded = self._counted(self._decoded(start_seconds - before, before + seconds, block_seconds), -before)
        yield from to_mono(decoded, sample_rate=self.sample_rate, warn=self._warn, skip_seconds=before)

    def _counted(self, blocks: Iterator[Block], read_seconds: float) -> Iterator[Block]:
        self.read_seconds = 0.0
        for block in blocks:
            read_seconds += len(block.samples) / block.rate
            self.read_seconds = max(0.0, read_seconds)
            yield block

    def _open_path(self, path: Path) -> None:
        if stat.S_ISFIFO(_check_readable(path)):
            self._stream = self._opened(self._pipe)
            return
        try:
            self._sndfile = Sndfile(path)
        except ValueError:
            if _is_wav(path):  # of a compressed one, only ffmpeg reads the header
                with suppress(TmgcError):
                    self._stream = ForwardReader(self._wav)
            if self._stream is None:
                _check_not_blank(path)
                self._stream = self._opened(self._ffmpeg)
        except TmgcError as error:
            raise TmgcError(f"an audio file must hold music: {self.name} does not ({error})") from error

    @property
    def _is_repeatable(self) -> bool:
        return isinstance(self._source, Path) and self._source.is_file()

    def _opened(self, opener: Callable[[], Decoder]) -> ForwardReader:
        try:
            return ForwardReader(opener)
        except TmgcError as error:
            raise TmgcError(f"an audio file must be one that can be decoded: {self.name} is not ({error})") from error

    def _ffmpeg(self) -> Decoder:
        if has_ffmpeg():
            return Ffmpeg(self._source, stop=self._stop)
        if not isinstance(self._source, Path):
            raise TmgcError(f"ffmpeg, which opens addresses, is missing: {INSTALL}")
        raise TmgcError(
            f"libsndfile does not know its format, and ffmpeg, which knows more, is missing: {INSTALL}, or convert "
            f"it elsewhere: ffmpeg -i {self._source.name} song.flac"
        )

    def _pipe(self) -> Decoder:
        # without O_NONBLOCK, opening would wait for a writer, and could not be ended
        descriptor = os.open(self._source, os.O_RDONLY | os.O_NONBLOCK)
        return StreamDecoder(descriptor, stop=self._stop, owned=True)

    def _wav(self) -> Decoder:
        """The whole file as a pipe would deliver it: with further WAVs, and whatever length its header states."""
        return StreamDecoder(os.open(self._source, os.O_RDONLY), owned=True)

    def _decoded(self, start: float, seconds: float, block_seconds: float) -> Iterator[Block]:
        """The samples of a stretch, at the rates of the file."""
        end = start + seconds
        if self._stream:  # also of a file where libsndfile has stopped early, and may seek to a wrong place
            yield from self._from_stream(self._stream, start, end)
            return
        assert self._sndfile
        reached = yield from self._from_sndfile(self._sndfile, start, seconds, block_seconds)
        if reached is not None and self._continued(self._sndfile, reached):
            assert self._stream
            yield from self._from_stream(self._stream, max(start, reached), end)

    def _from_sndfile(
        self, file: Sndfile, start: float, seconds: float, block_seconds: float, *, seek: bool = True
    ) -> Generator[Block, None, float | None]:
        """What libsndfile decodes of a stretch; returns where the sound goes on without it, or else None."""
        first, frames = round(start * file.rate), seconds * file.rate
        near_end = file.stated_frames - file.rate  # a decoder does not tell where the end is if it begins behind it
        begin = position = max(0, int(min(first, near_end)) - file.preroll) if seek else 0
        failure = None
        try:
            for block in file.blocks(begin, first + frames - begin, length=round(block_seconds * file.rate)):
                samples = block.samples[max(0, first - position) :]
                position += len(block.samples)
                if len(samples):
                    yield Block(block.rate, samples)
        except ValueError as error:
            failure = error
        if position >= first + frames:
            return None
        if position == begin > 0:
            file.close()
            self._sndfile = Sndfile(Path(self._source))  # a decoder may be lost after a seek that failed
            return (yield from self._from_sndfile(self._sndfile, start, seconds, block_seconds, seek=False))
        return self._end(file, position, failure)

    def _end(self, file: Sndfile, position: int, failure: ValueError | None) -> float | None:
        """Judge the point at which libsndfile stopped: the end of the sound, or where it goes on."""
        reached = position / file.rate
        if failure and not file.ends_here(position, failure):
            if not file.at_end:
                self._warn(f"is damaged at {reached:.2f} s")
                return reached
            self._warn(f"is truncated: {reached:.2f} s could be decoded")
        elif file.goes_on():
            return reached
        elif file.is_truncated(position):
            self._warn(f"is truncated: {reached:.2f} s could be decoded")
        elif lost := file.lost_seconds(position):
            self._warn(f"is damaged: {lost:.2f} s are missing")
        self.end_seconds = reached
        return None

    def _continued(self, file: Sndfile, reached: float) -> bool:
        """Open the decoder for what libsndfile does not decode; False, with a warning, if there is none."""
        if self._stream is None:
            try:
                self._stream = self._opened(self._wav if file.is_wav else self._ffmpeg)
            except TmgcError:
                which = "cannot be decoded" if has_ffmpeg() else f"needs ffmpeg: {INSTALL}"
                self._warn(f"goes on after {reached:.2f} s, which {which}")
                self.end_seconds = reached
        return self._stream is not None

    def _from_stream(self, stream: ForwardReader, start: float, end: float) -> Iterator[Block]:
        if start < stream.position_seconds and not self._is_repeatable:
            raise TmgcError(f"a pipe or an address is read once, from its beginning: {self.name} has been read")
        try:
            yield from stream.read(start, end)
        except TmgcError as error:
            raise TmgcError(f"an audio file must be decoded to its end: {self.name} is not ({error})") from error
        for warning in stream.decoder.warnings:
            self._warn(warning)
        if stream.ended and not (self._stop and self._stop.requested):
            self.end_seconds = stream.position_seconds
            if self._is_repeatable and _is_cut(Path(self._source)):
                self._warn(f"is truncated: {stream.position_seconds:.2f} s could be decoded")

    def _warn(self, what: str) -> None:
        line = f"{self.name} {what}"
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
        The file is missing, empty or not audio, or ffmpeg is needed and missing.
    """
    with AudioFile(path, sample_rate=sample_rate) as file:
        read = file.blocks(start_seconds=start_seconds, seconds=seconds, block_seconds=_LONG_BLOCK_SECONDS)
        blocks = [block for block in read if len(block)]
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def source_name(path: str | Path) -> str:
    """A path, or an address without its password, as it is shown and stored."""
    return re.sub("(?<=://)[^/@]*@", "", path) if isinstance(path, str) else str(path)


def _named(path: str | Path) -> str | Path:
    """The address, or the path of a local file, also of one named by a ``file:`` URL."""
    text = str(path)
    if re.match("file:/", text, re.IGNORECASE) and not Path(text).exists():
        return Path(unquote(urlsplit(text).path))
    if isinstance(path, str) and (scheme := _ADDRESS.match(text)):
        return scheme[0].lower() + text[scheme.end() :]  # ffmpeg knows it in lower case only
    return Path(path)


def _check_readable(path: Path) -> int:
    """The mode of a file, which is a regular file or a named pipe with content."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TmgcError(f"an audio file must exist: there is no {path}. Check the spelling") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise TmgcError(f"an audio file must be readable: {path} is not. Check the path") from error
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise TmgcError(f"an audio file is needed: {path} is a folder. Name the files in it, e.g. {path}/*.mp3")
    if not os.access(path, os.R_OK):
        raise TmgcError(f"an audio file must be readable: {path} is not. Check its permissions")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise TmgcError(
            f"an audio file is needed: {path} is a device or a socket. For a microphone, see tmgc-listen --list-devices"
        )
    if stat.S_ISREG(mode) and status.st_size == 0:
        raise TmgcError(f"an audio file must contain samples: {path} is empty (0 bytes). Copy it again")
    return mode


def _is_wav(path: Path) -> bool:
    with path.open("rb") as file:
        return begins_as_wav(file.read(12))


def _check_not_blank(path: Path) -> None:
    """Refuse a file that begins with zeros only, such as a download that was never begun: ffmpeg would read it all."""
    with path.open("rb") as file:
        if not any(file.read(BLANK_BYTES)):
            raise TmgcError(
                f"an audio file must be one that can be decoded: {path} is not (it holds zeros only: load it again)"
            )


def _is_cut(path: Path) -> bool:
    with path.open("rb") as file:
        return is_cut(file.fileno(), os.fstat(file.fileno()).st_size)

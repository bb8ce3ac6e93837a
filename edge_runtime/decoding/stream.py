"""Decoders that only go forward: what a pipe delivers, and stretches of what ffmpeg decodes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from edge_runtime.audio import CANCELLED, DAMAGED, MonoResampler, Samples
from edge_runtime.decoding.ffmpeg import INSTALL, Ffmpeg, has_ffmpeg
from edge_runtime.decoding.pcm import Block, PcmFormat, PipeReader, Stop, begins_as_wav, decode_pcm
from edge_runtime.decoding.sndfile import Sndfile
from edge_runtime.errors import TmgcError


class Decoder(Protocol):
    """Decodes a source once, from its beginning."""

    @property
    def idle_seconds(self) -> float:
        """Time that was spent waiting for data, seconds."""

    @property
    def warnings(self) -> list[str]:
        """What is wrong with what was decoded, without the name of the source."""

    def blocks(self) -> Iterator[Block]:
        """The samples, to the end; raises a :class:`TmgcError` where there are none."""

    def close(self) -> None:
        """Release what it holds."""


class StreamDecoder:
    """Decodes what a descriptor delivers: raw samples, WAVs one after another, or what ffmpeg knows.

    Parameters
    ----------
    descriptor : int
    raw : PcmFormat, optional
        Format of raw samples.
    stop : Stop, optional
        Ends a wait.
    owned : bool
        Whether :meth:`close` closes the descriptor.
    kept_bytes : int
        What cannot be decoded while it arrives is kept in memory first, up to so many bytes: an MP4, whose index may
        stand at its end, and without ffmpeg everything but WAVs. 0 keeps nothing.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        raw: PcmFormat | None = None,
        stop: Stop | None = None,
        owned: bool = False,
        kept_bytes: int = 0,
    ) -> None:
        self.warnings: list[str] = []
        self._descriptor = descriptor
        self._raw = raw
        self._stop = stop
        self._owned = owned
        self._kept_bytes = kept_bytes if hasattr(os, "memfd_create") else 0
        self._memory: int | None = None
        self._sndfile: Sndfile | None = None
        self._reader = PipeReader(descriptor, stop)
        self._ffmpeg: Ffmpeg | None = None

    @property
    def idle_seconds(self) -> float:
        """Time that was spent waiting for data, seconds."""
        return self._reader.idle_seconds if self._ffmpeg is None else self._ffmpeg.idle_seconds

    def blocks(self) -> Iterator[Block]:
        """Decode to the end of the descriptor, or to the requested end.

        Raises
        ------
        TmgcError
            There is nothing, or nothing that can be decoded.
        """
        head = b"" if self._raw else self._reader.read(12)
        self._reader.unread(head)
        if self._reader.stopped:
            return
        if self._raw or begins_as_wav(head):
            yield from decode_pcm(self._reader, self._raw, warn=self.warnings.append)
            return
        if not head:
            raise TmgcError("it is empty. Does the program that writes it run?")
        if not has_ffmpeg():
            if not self._kept_bytes:
                raise TmgcError(f"it is no WAV, and other formats need ffmpeg: {INSTALL}")
            yield from self._from_sndfile(self._keep())
            return
        is_kept = self._kept_bytes and head[4:8] == b"ftyp"
        self._ffmpeg = Ffmpeg(self._keep() if is_kept else self._reader, stop=self._stop)
        self.warnings = self._ffmpeg.warnings
        yield from self._ffmpeg.blocks()

    def close(self) -> None:
        """End ffmpeg, and close the descriptor if it is owned."""
        if self._ffmpeg:
            self._ffmpeg.close()
        if self._sndfile:
            self._sndfile.close()
        if self._memory is not None:
            os.close(self._memory)
        if self._owned:
            os.close(self._descriptor)

    def _from_sndfile(self, path: Path) -> Iterator[Block]:
        try:
            self._sndfile = file = Sndfile(path)
            yield from file.blocks(0, math.inf, length=file.rate // 4)
        except ValueError as error:
            if self._sndfile is None:
                raise TmgcError(f"libsndfile does not know its format, and ffmpeg is missing: {INSTALL}") from error
            self.warnings.append("is damaged")

    def _keep(self) -> Path:
        """Read all into a file without a name, in memory that is not the process's own."""
        self._memory = os.memfd_create("tmgc")
        size = 0
        with open(self._memory, "wb", closefd=False) as file:  # it has no path
            while content := self._reader.read_some():
                size += len(content)
                if size > self._kept_bytes:
                    raise TmgcError(
                        f"an MP4 from a pipe has at most {self._kept_bytes} bytes: convert it to another format"
                    )
                file.write(content)
        return Path(f"/proc/{os.getpid()}/fd/{self._memory}")


class ForwardReader:
    """Stretches of a source that is decoded from its beginning, again where a stretch lies before the last one.

    Parameters
    ----------
    opener : callable
        Opens the decoder. It is opened here, and decodes its first block.

    Attributes
    ----------
    position_seconds : float
        Where the next block begins.
    ended : bool
        Whether the source was decoded to its end.

    Raises
    ------
    TmgcError
        Nothing can be decoded.
    """

    def __init__(self, opener: Callable[[], Decoder]) -> None:
        self._opener = opener
        self._begin()

    def _begin(self) -> None:
        self.position_seconds = 0.0
        self.ended = False
        self.decoder = self._opener()
        try:
            self._blocks = self.decoder.blocks()
            self._pending = next(self._blocks, None)
        except BaseException:
            self.decoder.close()
            raise

    def close(self) -> None:
        """Release what the decoder holds."""
        self.decoder.close()

    def read(self, start: float, end: float) -> Iterator[Block]:
        """The samples of a stretch.

        Parameters
        ----------
        start, end : float, seconds

        Yields
        ------
        block : Block
            Without samples for each that is decoded in front of the stretch, so that the caller knows of the work.
        """
        if start < self.position_seconds:
            self.close()
            self._begin()
        while block := self._pending or next(self._blocks, None):
            first = _clip((start - self.position_seconds) * block.rate, block)
            last = _clip((end - self.position_seconds) * block.rate, block)
            rest = block.samples[last:]
            self._pending = Block(block.rate, rest) if len(rest) else None
            self.position_seconds += last / block.rate
            yield Block(block.rate, block.samples[first:last])
            if len(rest):
                return
        self.ended = True


def to_mono(
    blocks: Iterable[Block], *, sample_rate: int, warn: Callable[[str], None], skip_seconds: float = 0.0
) -> Iterator[Samples]:
    """Downmix and resample blocks, whose rate and channels may change.

    Parameters
    ----------
    blocks : iterable of Block
    sample_rate : int > 0, Hz
        Rate of the output.
    warn : callable
        Called with :data:`DAMAGED` for each block with invalid samples, and with :data:`CANCELLED` after channels
        that cancel each other.
    skip_seconds : float >= 0
        Left out at the beginning of the output: filters settle on it.

    Yields
    ------
    samples : np.ndarray [shape=(n,)], float32 in [-1, 1], mono
        Empty for a block without samples.
    """
    skip = round(skip_seconds * sample_rate)
    for samples in _each_to_mono(blocks, sample_rate, warn):
        skipped = min(skip, len(samples))
        skip -= skipped
        yield samples[skipped:]


def _each_to_mono(blocks: Iterable[Block], sample_rate: int, warn: Callable[[str], None]) -> Iterator[Samples]:
    layout, stream = None, None
    for block in blocks:
        if not len(block.samples):
            yield block.samples[:, 0]
            continue
        if stream is None or layout != (block.rate, block.samples.shape[1]):
            if stream:
                yield stream.flush()
            layout, stream = (block.rate, block.samples.shape[1]), MonoResampler(block.rate, sample_rate)
        samples = stream.process(block.samples)
        if stream.damaged:
            warn(DAMAGED)
        if stream.cancelled:
            warn(CANCELLED)
        yield samples
    if stream:
        yield stream.flush()


def _clip(frames: float, block: Block) -> int:
    return len(block.samples) if math.isinf(frames) else min(max(0, round(frames)), len(block.samples))

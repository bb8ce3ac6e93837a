"""Audio from standard input: a WAV or several, raw samples of a given format, or what ffmpeg decodes."""

from __future__ import annotations

from collections.abc import Iterator

from edge_runtime.audio import Samples
from edge_runtime.decoding.pcm import PcmFormat
from edge_runtime.decoding.stream import StreamDecoder, to_mono
from edge_runtime.errors import TmgcError
from edge_runtime.shutdown import Shutdown


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
        Format of raw samples; what the content says if None.

    Attributes
    ----------
    warnings : list of str
    """

    name = "standard input"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, descriptor: int, *, sample_rate: int, stop: Shutdown, raw: PcmFormat | None = None) -> None:
        self.warnings: list[str] = []
        self._sample_rate = sample_rate
        self._hint = "" if raw else " (raw samples need their format, e.g. --raw 44100,1,s16)"
        self._decoder = StreamDecoder(descriptor, stop=stop, raw=raw)

    @property
    def idle_seconds(self) -> float:
        """Time that the reader has waited for data, seconds."""
        return self._decoder.idle_seconds

    def blocks(self) -> Iterator[Samples]:
        """Mono samples, to the last whole frame.

        Raises
        ------
        TmgcError
            It is empty or cannot be decoded.
        """
        try:
            yield from to_mono(self._decoder.blocks(), sample_rate=self._sample_rate, warn=self._warn)
        except TmgcError as error:
            raise TmgcError(f"standard input must contain audio: {error}{self._hint}") from error
        finally:
            self._decoder.close()
        for warning in self._decoder.warnings:
            self._warn(warning)

    def _warn(self, what: str) -> None:
        line = f"{self.name} {what}"
        if line not in self.warnings:
            self.warnings.append(line)

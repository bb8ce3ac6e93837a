"""Sound that another program pipes in: a WAV, or raw samples whose format was named."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from time import monotonic

from edge_runtime.audio import Samples
from edge_runtime.mono import DAMAGED, MonoStream
from edge_runtime.sources.pcm import PcmFormat, read_wav_header
from edge_runtime.stopping import Stop

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

    def __init__(self, descriptor: int, *, sample_rate: int, stop: Stop, raw: PcmFormat | None = None) -> None:
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
        stream = MonoStream(form.rate, self._sample_rate)
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
        while not self._stop.asked:
            if select.select([self._descriptor], [], [], _STEP_SECONDS)[0]:
                break
        self.idle_seconds += monotonic() - begun
        return not self._stop.asked

"""Audio sources behind one protocol: files, standard input and microphones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge_runtime.audio import Samples


class AudioSource(Protocol):
    """Anything that yields blocks of samples."""

    @property
    def name(self) -> str:
        """Name of the source in predictions."""

    @property
    def waiting_seconds(self) -> float:
        """Samples that wait to be read, seconds; 0 for a source that is read on demand."""

    @property
    def overflows(self) -> int:
        """How often samples were lost before they were read; 0 for a source that is read on demand."""

    def blocks(self) -> Iterator[Samples | None]:
        """Mono samples at the model's rate, in blocks of any length; None where samples are missing between two.

        They are free of a constant offset; :class:`edge_runtime.audio.MonoResampler` removes it.
        """


class WatchedSource(AudioSource, Protocol):
    """What a session needs of a source in addition."""

    @property
    def idle_seconds(self) -> float:
        """Time that the reader has waited for samples, seconds."""

    @property
    def warnings(self) -> list[str]:
        """Problems so far that did not stop it, one line each."""

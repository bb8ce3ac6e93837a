"""Where sound comes from: files, standard input and microphones behind one protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edge_runtime.audio import Samples


class AudioSource(Protocol):
    """Anything that gives blocks of samples."""

    @property
    def name(self) -> str:
        """What its answers call it."""

    @property
    def waiting_seconds(self) -> float:
        """Sound that has come and was not yet given, seconds; 0 for a source that waits for its reader."""

    @property
    def overflows(self) -> int:
        """Times that sound was lost since nobody took it; 0 for a source that waits for its reader."""

    def blocks(self) -> Iterator[Samples | None]:
        """Mono samples at the model's rate, in blocks of any length; None where sound is missing between two."""


class WatchedSource(AudioSource, Protocol):
    """What a session asks of a source besides."""

    @property
    def idle_seconds(self) -> float:
        """Time that its reader has waited for sound to come, seconds."""

    @property
    def warnings(self) -> list[str]:
        """What was wrong so far and did not stop it, one line each."""

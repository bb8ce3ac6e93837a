"""One file of the corpus: how it is made, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What is right for a file."""

    at_least: int
    """Seconds from its beginning that must be heard."""
    at_most: int
    """Seconds that it holds."""
    seconds: float | None = None
    """True length where it is known, seconds."""
    warned: bool | None = False
    """Whether there is a warning; None where both is right."""
    refused: bool | None = False
    """Whether it is refused; None where both is right."""
    words: str = ""
    """Regular expression that the refusal, or a warning, matches."""


def whole(seconds: float = 6.0) -> Outcome:
    """Heard to its end, without a warning."""
    return Outcome(round(seconds), round(seconds), seconds)


def told(at_least: int, at_most: int, words: str = "") -> Outcome:
    """Heard for so many seconds, with a warning."""
    return Outcome(at_least, at_most, warned=True, words=words)


def whole_or_told(seconds: int = 6, *, at_least: int) -> Outcome:
    """Heard to its end; less only with a warning."""
    return Outcome(at_least, seconds, warned=None)


def heard_all(seconds: int = 6) -> Outcome:
    """Heard to its end; a warning does no harm, since there is something odd."""
    return Outcome(seconds, seconds, warned=None)


def refused(words: str = "") -> Outcome:
    """Not audio, or not safe to decode."""
    return Outcome(0, 0, refused=True, words=words)


def accounted(seconds: int = 6) -> Outcome:
    """Too damaged to demand anything but to be refused, or heard with a word where it is less than all."""
    return Outcome(0, seconds, warned=None, refused=None)


NEEDS_FFMPEG = refused("ffmpeg")
"""Where ffmpeg is missing, and libsndfile knows no such format."""


def less(seconds: int = 6) -> Outcome:
    """Heard in part or not at all, and a line says that ffmpeg is needed for more."""
    return Outcome(0, seconds, warned=None, refused=None, words="ffmpeg")


@dataclass(frozen=True)
class OddFile:
    """A file of the corpus."""

    name: str
    """Of the file; the corpus is one folder."""
    make: Callable[[Path], object]
    """Writes it; :class:`~tests.odd_files.encoders.MissingTool` where that is not possible here."""
    outcome: Outcome
    without_ffmpeg: Outcome
    """The same where ffmpeg is not installed."""


def odd(name: str, content: Callable[[], bytes], outcome: Outcome, *, without_ffmpeg: Outcome | None = None) -> OddFile:
    """A file with this content."""
    return OddFile(name, lambda path: path.write_bytes(content()), outcome, without_ffmpeg or outcome)


def cut(content: Callable[[], bytes], percent: float) -> Callable[[], bytes]:
    """The first part of a file, as a full disk or a broken download leaves it."""
    return lambda: content()[: int(len(content()) * percent / 100)]


def joined(*contents: Callable[[], bytes]) -> Callable[[], bytes]:
    """Files one after the other, as ``cat`` joins them."""
    return lambda: b"".join(content() for content in contents)


def between(content: Callable[[], bytes], inserted: bytes, percent: float = 50) -> Callable[[], bytes]:
    """A file with something else in its middle."""
    return lambda: (whole := content())[: (at := int(len(whole) * percent / 100))] + inserted + whole[at:]


def patched(content: Callable[[], bytes], offset: int, replacement: bytes) -> Callable[[], bytes]:
    """A file with other bytes at an offset."""
    return lambda: (whole := content())[:offset] + replacement + whole[offset + len(replacement) :]

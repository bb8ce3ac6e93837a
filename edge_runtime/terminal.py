"""What a person reads: control characters are escaped, and letters that a terminal cannot show become similar ones."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from collections.abc import Iterable
from typing import TextIO

from edge_runtime.files import decoded, to_utf8

_SIMILAR = str.maketrans("ıßæœøđłþÆŒØĐŁΔ…‘’“”–—−·•×→←─│", "isaoodltAOODLd~''\"\"---.*x><-|")
"""What has no decomposition. One character for one, since tables and bars are laid out before they are encoded."""

_BLOCKS = range(0x2580, 0x25A0)
"""Block elements of Unicode, of which bars consist."""


def printable(text: str) -> str:
    r"""The text as one line that neither moves the cursor nor reorders or hides anything.

    Parameters
    ----------
    text : str
        From anywhere: a file name, a model card, a foreign database, a device.

    Returns
    -------
    line : str
        Control, format and unassigned characters are escapes such as ``\x1b``, ``\n`` or ``\u202e``; bytes of a file
        name that are no text in the locale are decoded as UTF-8, or else are escapes such as ``\xff``.
    """
    text = decoded(text, "backslashreplace")
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def printable_json(text: str) -> str:
    """A JSON document whose strings contain no control or format character: they become ``\\uXXXX``.

    JSON itself escapes those below U+0020 only, and a terminal obeys some above it.
    """
    text = to_utf8(text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else _json_escape(character) for character in text
    )


def print_line(text: str) -> None:
    """Write one line to standard output, as :func:`printable` shows it."""
    print(printable(text), flush=True)


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output, each as :func:`printable` shows it."""
    for line in lines:
        print_line(line)


def print_json(text: str) -> None:
    """Write a JSON document to standard output, which is UTF-8 from now on: JSON is, in every locale."""
    standard_output("utf-8")
    print(printable_json(text), flush=True)


def standard_output(encoding: str | None = None) -> TextIO | None:
    """Standard output, which can be given every character from now on; None for a process without one.

    Parameters
    ----------
    encoding : str, optional
        Replaces that of the locale.
    """
    _make_lenient(sys.stdout, encoding)
    return sys.stdout


def prepare_streams() -> None:
    """Let standard output and standard error replace what their encodings lack, for the rest of the process."""
    for stream in (sys.stdout, sys.stderr):
        _make_lenient(stream, None)


def _make_lenient(stream: TextIO | None, encoding: str | None) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors=_ERRORS)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _similar(character: str) -> str:
    """ASCII as wide as the character: its base letter without accents, a similar sign, or ``?``."""
    if unicodedata.combining(character):
        return ""
    if ord(character) in _BLOCKS:
        return "#"
    base = unicodedata.normalize("NFD", character)[0].translate(_SIMILAR)
    if base.isascii():
        return base
    return "??" if unicodedata.east_asian_width(character) in "WF" else "?"


def _replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_similar, error.object[error.start : error.end])), error.end


_ERRORS = "tmgc.similar"
codecs.register_error(_ERRORS, _replace_unencodable)

"""File names in whatever encoding: a zip file from a Turkish Windows brings along names that are not UTF-8."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection
from functools import lru_cache

_LEGACY_ENCODINGS = ("cp1254", "cp857")
"""Of Turkish Windows and of its console. ISO 8859-9 has the same letters as the first. No byte is a Turkish letter in
both."""

_TURKISH = frozenset("çğıöşüÇĞİÖŞÜâîûÂÎÛ")


@lru_cache(maxsize=4096)
def decoded_name(name: str) -> str:
    """The name as people wrote it: UTF-8, or Windows-1254 or code page 857, whichever gives more Turkish letters.

    Parameters
    ----------
    name : str
        Of one file or folder, as the file system spells it; undecodable bytes as surrogates.

    Returns
    -------
    decoded : str
        Empty if no encoding fits.
    """
    raw = os.fsencode(name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        readings = (_decoded(raw, encoding) for encoding in _LEGACY_ENCODINGS)
        return max(readings, key=lambda text: (bool(text), sum(letter in _TURKISH for letter in text)))


def readable(path: str) -> str:
    """A relative path with each of its names decoded; with escapes in names that no encoding fits."""
    return "/".join(decoded_name(name) or escaped(name) for name in path.split("/"))


def readable_paths(paths: Collection[str]) -> dict[str, str]:
    """A readable form of each path: escaped where two would have the same.

    Parameters
    ----------
    paths : collection of str
        Relative, with forward slashes.
    """
    count = Counter(map(readable, paths))
    return {path: name if count[name := readable(path)] == 1 else escaped(path) for path in paths}


def escaped(name: str) -> str:
    """The name with escapes such as ``\\xfe`` for what is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def nfc(text: str) -> str:
    """Text in Unicode's composed form: the same letters have one spelling."""
    return unicodedata.normalize("NFC", text)


def quoted(name: str) -> str:
    """The name in quotes, with escapes for what cannot be seen or is not UTF-8."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in escaped(name))
    return f"'{shown}'"


def _decoded(raw: bytes, encoding: str) -> str:
    """The name in an encoding; empty if that does not fit."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return ""

"""Files: written atomically, hashed, and text that every file, database and broker can hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UNDECODABLE = re.compile("[\udc80-\udcff]+")
"""How Python keeps the bytes of a file name that its encoding cannot decode."""

PARTIAL = ".part-"
"""Beginning of the name of a file that is not complete yet, and that an interruption may leave behind."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, which replaces ``path`` when the block succeeds.

    An interruption leaves no partial file, and keeps the file that was there before.

    Parameters
    ----------
    path : Path
        Its folder is created if it is missing.

    Yields
    ------
    partial : Path
        In the same folder, with the same file name ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(PARTIAL + path.name)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def decoded(text: str, errors: str) -> str:
    """The text with what the locale could not decode, the bytes of a file name, decoded as UTF-8.

    Parameters
    ----------
    text : str
    errors : str
        How other bytes are decoded: an error handler of :mod:`codecs`.
    """
    return _UNDECODABLE.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", errors), text)


def to_utf8(text: str) -> str:
    """The text with ``?`` for what UTF-8 cannot encode: a file name may contain undecodable bytes."""
    return decoded(text, "replace").replace("\ufffd", "?").encode("utf-8", "replace").decode("utf-8")

"""Files: written atomically, hashed, and text that every file, database and broker can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def to_utf8(text: str) -> str:
    """The text with ``?`` for what UTF-8 cannot encode: a file name may contain undecodable bytes."""
    return text.encode("utf-8", "replace").decode("utf-8")

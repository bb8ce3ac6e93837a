"""Files: written atomically, hashed, and text that every file, database and broker can store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A name to write a file under, which takes the place of ``path`` once the writing has gone well.

    Whatever interrupts it, nobody finds half a file there, and what stood there before is not lost.

    Parameters
    ----------
    path : Path
        Its folder is made where there is none.

    Yields
    ------
    partial : Path
        In the same folder and with the same ending.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".part-{path.name}")
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

"""Files: written atomically, hashed, and text that every file, database and broker can hold."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from edge_runtime.errors import TmgcError

_UNDECODABLE = re.compile("[\udc80-\udcff]+")
"""How Python keeps the bytes of a file name that its encoding cannot decode."""

PARTIAL = ".part-"
"""Beginning of the name of a file that is not complete yet, and that an interruption may leave behind."""

_LONGEST = 200
"""Bytes of a temporary file's name before its random part: file systems allow 255 in all."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, which replaces ``path`` when the block succeeds.

    An interruption leaves no partial file, and keeps the file that was there before. The temporary file is new and its
    name cannot be guessed, so that no link that somebody has put there is written through. If ``path`` is a link, the
    link is replaced, and not what it points to.

    Parameters
    ----------
    path : Path
        Its folder is created if it is missing.

    Yields
    ------
    partial : Path
        An empty file in the same folder, with the same file name ending.

    Raises
    ------
    OSError
        The file cannot be written: the error names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beginning = os.fsdecode(os.fsencode(PARTIAL + path.stem)[:_LONGEST])
    partial = path.with_name(f"{beginning}.{os.urandom(8).hex()}{path.suffix}")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(partial)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the system write a folder's names to the disk, where it can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial(folder: Path) -> None:
    """Remove what interruptions of :func:`atomic_write` left behind in a folder, where that is allowed.

    Parameters
    ----------
    folder : Path
        Nobody else writes into it. It may be missing.
    """
    for path in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError):
            remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if there is one; of a link only the link.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        Something in it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_writable(*folders: Path) -> None:
    """Check that files can be written to folders, before the work whose result they are to hold.

    Parameters
    ----------
    *folders : Path
        Where one is missing, the nearest folder above it counts.

    Raises
    ------
    TmgcError
        A folder cannot be written to.
    """
    for folder in folders:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        try:
            TemporaryFile(dir=existing, prefix=PARTIAL).close()
        except OSError as error:
            raise TmgcError(
                f"results go to {folder}: {existing} cannot be written to ({error.strerror}). Change its permissions, "
                "or use a copy"
            ) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    import hashlib  # its library takes 3 MB, and listening needs no hash

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


def csv_cell(value: object) -> object:
    """The value of a cell for people: a spreadsheet would take text that begins like a formula for one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

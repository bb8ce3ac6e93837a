"""Songs at an address that fsspec opens: object stores (``s3://bucket/folder``) and other machines (``sftp://...``)."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from edge_runtime.archive.results import require_archive_extra, stored_ns
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.walk import no_music

MOST_BYTES = 4 * 10**9
"""Of a song that is fetched: room that each process may take for temporary files."""

_CHECK_SECONDS = 60.0

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class NotFetchedError(TmgcError):
    """A song cannot be fetched now."""


class RemoteFile(NamedTuple):
    """A file below an address."""

    path: str
    """Relative to the address."""
    size: int
    mtime_ns: int
    """0 where it is not known."""


def is_address(root: str) -> bool:
    """Whether songs are fetched from there; otherwise it is a folder."""
    return bool(_ADDRESS.match(root))


def check_address(address: str) -> str:
    """The address without a slash at its end.

    Raises
    ------
    TmgcError
        It holds a password, which the results would keep.
    """
    if urlsplit(address).password:
        raise TmgcError(
            "an address is part of the results, so it holds no password: use a key, or the settings of the service "
            "(for example AWS_SECRET_ACCESS_KEY)"
        )
    return address.rstrip("/")


def remote_files(address: str) -> Iterator[RemoteFile]:
    """All files below an address, without those that are hidden or of a system.

    Raises
    ------
    TmgcError
        It cannot be read.
    """
    files, folder = _opened(address)
    try:
        found = files.find(folder, detail=True)
    except Exception as error:  # each service has its own
        raise TmgcError(f"an address must be readable: {address} is not ({first_line(error)})") from error
    for name, info in found.items():
        path = name.removeprefix(folder).lstrip("/")
        if not any(map(no_music, PurePosixPath(path).parts)):
            yield RemoteFile(path, int(info.get("size") or 0), _mtime_ns(info))


def is_there(address: str) -> bool:
    """Whether the address answers and holds something, or did within :data:`_CHECK_SECONDS`: it is listed for that."""
    return _is_there(address, int(monotonic() // _CHECK_SECONDS))


@lru_cache
def _is_there(address: str, _period: int) -> bool:
    try:
        files, folder = _opened(address)
        return bool(files.ls(folder, detail=False, refresh=True))
    except Exception:
        return False


@contextmanager
def fetched(address: str, path: str, size: int, beat: Callable[[], None]) -> Iterator[Path]:
    """A temporary copy of a file of so many bytes.

    Parameters
    ----------
    address, path : str
        The path is relative to the address.
    size : int, bytes
    beat : callable
        Called for each part that arrives.

    Raises
    ------
    NotFetchedError
        It cannot be fetched.
    TmgcError
        It is larger than :data:`MOST_BYTES`.
    OSError
        There is no room for it.
    """
    if size > MOST_BYTES:
        raise TmgcError(f"a song that is fetched has at most {MOST_BYTES:,} bytes: this one has {size:,}")
    files, folder = _opened(address)
    from fsspec import Callback

    progress = Callback(hooks={"beat": lambda *_, **__: beat()})
    # without a name, where the system can: a process that is killed leaves nothing behind
    unnamed = Path("/proc/self/fd").is_dir()
    with tempfile.TemporaryFile() if unnamed else tempfile.NamedTemporaryFile() as place:
        copy = Path(f"/proc/{os.getpid()}/fd/{place.fileno()}") if unnamed else Path(place.name)
        try:
            files.get_file(f"{folder}/{path}", str(copy), callback=progress)
        except Exception as error:  # each service has its own
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise NotFetchedError(f"a song must be fetched: this one is not ({first_line(error)})") from error
        yield copy


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the folder in it."""
    require_archive_extra("fsspec")
    import fsspec

    try:
        files, folder = fsspec.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise TmgcError(f"an address must be one that fsspec opens: {address} is not ({first_line(error)})") from error
    return files, folder.rstrip("/")


def _mtime_ns(info: dict[str, Any]) -> int:
    """Time of change, by whatever name the service gives it."""
    for name in ("mtime", "LastModified", "last_modified", "updated"):
        value = info.get(name)
        if isinstance(value, datetime):
            return stored_ns(round(value.timestamp() * 1e6) * 1000)
        if isinstance(value, int | float):
            return stored_ns(round(value * 1e6) * 1000)
    return 0

"""Songs at an address that fsspec opens: object stores (``s3://bucket/folder``) and other machines (``sftp://...``)."""

from __future__ import annotations

import errno
import logging
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
from edge_runtime.walk import BROKEN_LINK, FOLDER_CANNOT_BE_READ, no_music

log = logging.getLogger("tmgc.archive")

MOST_BYTES = 4 * 10**9
"""Of a song that is fetched: room that each process may take for temporary files."""

_CHECK_SECONDS = 60.0

_PROGRAM_ERRORS = (TypeError, AttributeError, NameError, NotImplementedError)
"""What a service raises that is not used as it wants to be: it says nothing about the address."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class NotFetchedError(TmgcError):
    """A song cannot be fetched now."""


class RemoteFile(NamedTuple):
    """A file below an address, or a folder that cannot be listed."""

    path: str
    """Relative to the address."""
    size: int
    mtime_ns: int
    """0 where it is not known."""
    unread: str = ""
    """Why it cannot be read; empty where it can."""
    folder: bool = False


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
    """All files below an address, without those that are hidden or of a system, and folders that cannot be listed.

    Raises
    ------
    TmgcError
        The address itself cannot be read, or not any more.
    """
    try:
        files, folder = _opened(address, anew=True)
        yield from _found_at_once(files, folder) if _lists_at_once(files) else _walked(address, files, folder)
    except TmgcError:
        raise
    except Exception as error:  # each service has its own
        raise TmgcError(f"an address must be readable: {address} is not ({first_line(error)})") from error


def _lists_at_once(files: Any) -> bool:
    """Whether a service lists all below a folder in one, as object stores do: none of their folders can be closed."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    if isinstance(files, AsyncFileSystem):
        return type(files)._find is not AsyncFileSystem._find
    return type(files).find is not AbstractFileSystem.find


def _found_at_once(files: Any, folder: str) -> Iterator[RemoteFile]:
    for name, info in files.find(folder, detail=True).items():
        path = _below(folder, name)
        if not any(map(no_music, PurePosixPath(path).parts)):
            yield _file(path, info)


def _walked(address: str, files: Any, folder: str) -> Iterator[RemoteFile]:
    """The same folder by folder: fsspec's own ``find`` leaves out those that cannot be listed without a word."""
    waiting = [folder]
    while waiting:
        inside = waiting.pop()
        try:
            entries = files.ls(inside or "/", detail=True)
        except (OSError, UnicodeError) as error:
            if inside == folder:
                raise
            files.info(folder or "/")  # which raises where not this folder, but the address has gone
            yield RemoteFile(_below(folder, inside), 0, 0, f"{FOLDER_CANNOT_BE_READ}: {_reason(error)}", folder=True)
            continue
        for info in entries:
            name = info["name"].rstrip("/")
            if name == inside or no_music(PurePosixPath(name).name):
                continue
            if info["type"] == "link" or info.get("islink"):
                yield from _linked(address, files, _below(folder, name), name)
            elif info["type"] == "directory":
                waiting.append(name)
            else:
                yield _file(_below(folder, name), info)


def _linked(address: str, files: Any, path: str, name: str) -> Iterator[RemoteFile]:
    """What is behind a link, if that is a file: a link to a folder might lead round in circles, which nobody tells."""
    try:
        info = files.info(name)
    except OSError:
        yield RemoteFile(path, 0, 0, BROKEN_LINK)
        return
    if info["type"] == "directory":
        log.warning("%s/%s: a link to a folder, which is not followed: name that folder as a MUSIC", address, path)
    else:
        yield _file(path, info)


def _below(folder: str, name: str) -> str:
    return name.removeprefix(folder).lstrip("/")


def _file(path: str, info: dict[str, Any]) -> RemoteFile:
    return RemoteFile(path, int(info.get("size") or 0), _mtime_ns(info))


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


def is_there(address: str) -> bool:
    """Whether the address answers and holds something, or did within :data:`_CHECK_SECONDS`: it is listed for that."""
    return _is_there(address, int(monotonic() // _CHECK_SECONDS))


@lru_cache
def _is_there(address: str, _period: int) -> bool:
    try:
        files, folder = _opened(address, anew=True)
        return bool(files.ls(folder or "/", detail=False))
    except _PROGRAM_ERRORS:
        raise
    except Exception:  # each service has its own
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
    require_archive_extra("fsspec")
    from fsspec import Callback

    progress = Callback(hooks={"beat": lambda *_, **__: beat()})
    # without a name, where the system can: a process that is killed leaves nothing behind
    unnamed = Path("/proc/self/fd").is_dir()
    with tempfile.TemporaryFile() if unnamed else tempfile.NamedTemporaryFile() as place:
        copy = Path(f"/proc/{os.getpid()}/fd/{place.fileno()}") if unnamed else Path(place.name)
        try:
            files, folder = _opened(address)
            files.get_file(f"{folder}/{path}", str(copy), callback=progress)
        except Exception as error:  # each service has its own
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise NotFetchedError(f"a song must be fetched: this one is not ({first_line(error)})") from error
        yield copy


def _opened(address: str, *, anew: bool = False) -> tuple[Any, str]:
    """The file system of an address, and the folder in it.

    Parameters
    ----------
    address : str
    anew : bool
        With a connection of its own, and without what was listed before.
    """
    require_archive_extra("fsspec")
    import fsspec

    try:
        files, folder = fsspec.url_to_fs(address, skip_instance_cache=anew)
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

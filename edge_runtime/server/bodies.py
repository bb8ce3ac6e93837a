"""Bodies of requests, read as they arrive and under limits: as they are, or as the files of a form.

Nothing is written to a disk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive

from edge_runtime.server.refusals import RefusedError

Read = Callable[[], Awaitable[bytes]]
"""Waits for the next part of a body; empty at its end."""

SMALL_BYTES = 512_000
"""Some seconds of sound, such as a window as a WAV."""

LINGER_SECONDS = 2.0
"""For what a client goes on to send after it was refused."""


@dataclass(frozen=True)
class Limits:
    """What is answered at most, counted while a body is read and decoded."""

    body_bytes: int = 50_000_000
    seconds: float = 3600.0
    """Of decoded sound."""
    samples: int = (256 << 20) // 4
    """Decoded, of all channels: 256 MiB of float32."""
    rates: tuple[int, int] = (8_000, 192_000)
    """Lowest and highest sample rate, Hz."""
    channels: int = 8
    waiting: int = 4
    """Bodies that wait while another is decoded."""
    idle_seconds: float = 10.0
    """Without progress of the client."""
    patience_seconds: float = 20.0
    """For a small body as a whole; as long is waited for a larger one before it is found to be slow."""
    bytes_per_second: float = 1000.0
    """Of a body, at least, while nothing but the client is waited for."""
    total_seconds: float = 600.0
    """From the first byte of the body to the answer."""
    answer_bytes: int = 16 << 20
    """Lines of the answer that wait for the client."""


class Body:
    """The body of a request.

    Parameters
    ----------
    receive : callable
        Of ASGI.
    limits : Limits
    declared : int or None
        Bytes, as its header tells.
    """

    def __init__(self, receive: Receive, limits: Limits, *, declared: int | None = None) -> None:
        self._receive = receive
        self._declared = declared
        self._limits = limits
        self._complete = False
        self._gone = False
        self._total = 0
        self._waited_seconds = 0.0  # since the speed was checked
        self._came_bytes = 0

    def check_declared(self) -> None:
        """Refuse a body by its header, before a client that waits for ``100 Continue`` sends it."""
        if self._declared is not None and self._declared > self._limits.body_bytes:
            raise too_large(self._limits, f"{self._declared} bytes")

    async def small_or_reader(self) -> bytes | Read:
        """A small body, which needs no turn until it is there, or else :meth:`read`.

        Raises
        ------
        RefusedError, ConnectionResetError
            As for :meth:`read`.
        """
        if self._declared is None or self._declared > SMALL_BYTES:
            return self.read
        return await self.read_whole(SMALL_BYTES)

    async def read(self) -> bytes:
        """Wait for the next part of the body; empty at its end.

        Raises
        ------
        RefusedError
            It is too large, or the client idles or is slow.
        ConnectionResetError
            The client has gone.
        """
        chunk = b""
        while not (chunk or self._complete):
            begun = monotonic()
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    chunk = await self._take()
            except TimeoutError:
                raise RefusedError(
                    408,
                    f"a body must go on within {self._limits.idle_seconds:g} s",
                    "nothing has arrived for longer",
                    "send it again",
                ) from None
            self._check_speed(monotonic() - begun, len(chunk))
            if self._gone:
                raise ConnectionResetError
            if self._total > self._limits.body_bytes:
                raise too_large(self._limits, f"more than {self._limits.body_bytes} bytes")
        return chunk

    async def read_whole(self, most: int) -> bytes:
        """Read the whole body, of so many bytes at most.

        Raises
        ------
        RefusedError
            As for :meth:`read`, or it is not there in time.
        """
        try:
            async with asyncio.timeout(self._limits.patience_seconds):
                return await self._whole(most)
        except TimeoutError:
            rule = f"a small body is there within {self._limits.patience_seconds:g} s"
            raise RefusedError(408, rule, "it takes longer", "send it again, and faster") from None

    async def _whole(self, most: int) -> bytes:
        content = bytearray()
        while chunk := await self.read():
            content += chunk
            if len(content) > most:
                raise RefusedError(413, f"this body has at most {most} bytes", "more", "send fewer windows at once")
        return bytes(content)

    def _check_speed(self, waited_seconds: float, came_bytes: int) -> None:
        """Refuse a body that keeps others waiting; time in which nothing reads it does not count."""
        limits = self._limits
        self._waited_seconds += waited_seconds
        self._came_bytes += came_bytes
        if self._waited_seconds < limits.patience_seconds or self._complete:
            return
        speed = self._came_bytes / self._waited_seconds
        if speed < limits.bytes_per_second:
            rule = f"a body arrives at {limits.bytes_per_second / 1000:g} kB/s or more"
            raise RefusedError(408, rule, f"{speed:.0f} bytes/s", "save the sound as a file, and send that")
        self._waited_seconds, self._came_bytes = 0.0, 0  # so that a fast beginning does not pay for all the rest

    async def disconnected(self) -> None:
        """Wait until the client closes the connection, or sends much more than it may."""
        while not self._gone and self._total <= 2 * self._limits.body_bytes:
            await self._take()

    async def skip(self) -> None:
        """Read the rest of the body for a moment, so that the client reads the answer before its sending fails."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while not (self._complete or self._gone) and self._total <= 2 * self._limits.body_bytes:
                    await self._take()

    async def _take(self) -> bytes:
        message = await self._receive()
        chunk: bytes = message.get("body", b"")
        self._total += len(chunk)
        self._gone = message["type"] == "http.disconnect"
        self._complete = self._complete or not (self._gone or message.get("more_body", False))
        return chunk


def too_large(limits: Limits, found: str) -> RefusedError:
    """The refusal of a body with too many bytes."""
    rule = f"a body has at most {limits.body_bytes // 1_000_000} MB"
    return RefusedError(413, rule, found, "send a compressed sound, or a part of it")


MAX_PARTS = 100
"""Files and fields of a form."""

_END = object()


class FormFile:
    """A file of a form.

    Attributes
    ----------
    name : str
        Its name, without a folder.
    """

    def __init__(self, name: str, read: Read) -> None:
        self.name = name
        self.read = read


class FormFiles:
    """Reads the files of a form; fields are skipped.

    Parameters
    ----------
    read : callable
        Reads the body.
    content_type : str
        Of the request.

    Raises
    ------
    RefusedError
        The form has no valid boundary.
    """

    def __init__(self, read: Read, content_type: str) -> None:
        self._read = read
        self._events: deque[object] = deque()
        self._parts = 0
        self._header: tuple[bytes, bytes] = b"", b""
        self._disposition = b""
        _, options = parse_options_header(content_type)
        try:
            self._parser = MultipartParser(
                options.get(b"boundary", b""),
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": lambda: self._events.append(self._file_name()),
                    "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                    "on_part_end": lambda: self._events.append(_END),
                },
            )
        except (FormParserError, ValueError) as error:
            raise _invalid(str(error)) from error
        if not options.get(b"boundary"):
            raise _invalid("it names no boundary")

    async def next(self) -> FormFile | None:
        """The next file, once the rest of the present one is skipped; None after the last.

        Raises
        ------
        RefusedError
            The form is damaged, or has too many parts.
        """
        while (event := await self._event()) is not None:
            if isinstance(event, str):
                return FormFile(event, self._read_part)
        return None

    async def _read_part(self) -> bytes:
        if self._events and self._events[0] is _END:
            return b""
        event = await self._event()
        if event is _END:
            self._events.appendleft(_END)
        return event if isinstance(event, bytes) else b""

    async def _event(self) -> object | None:
        """A name, or False for a field; content; or the end of a part."""
        while not self._events:
            chunk = await self._read()
            if not chunk:
                return None
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise _invalid(str(error)) from error
        return self._events.popleft()

    def _begin_part(self) -> None:
        self._parts += 1
        self._disposition = b""
        if self._parts > MAX_PARTS:
            raise _invalid(f"it has more than {MAX_PARTS} parts")

    def _add_header(self, which: int, data: bytes) -> None:
        name, value = self._header
        self._header = (name + data, value) if which == 0 else (name, value + data)

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = b"", b""

    def _file_name(self) -> str | bool:
        """False for a field, which has no file name."""
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            return False
        return options[b"filename"].decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2][:255] or "upload"


def _invalid(found: str) -> RefusedError:
    return RefusedError(
        422, "a form is multipart/form-data with files", found, "send one: curl --form file=@song.mp3 ADDRESS"
    )

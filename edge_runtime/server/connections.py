"""Connections under limits that uvicorn lacks: their number, and how long one may wait without a request.

A client that sends its header byte by byte, or none, or that leaves the end of an answer unread, holds a connection and
a file descriptor, which the listener needs as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_runtime.server.refusals import RefusedError

MAX_CONNECTIONS = 256

MAX_OF_ONE_CLIENT = 96
"""Connections of one address; those of a reverse proxy are all of one."""

PATIENCE_SECONDS = 10.0
"""How long the header of a request, or the end of a connection, may take."""


class GuardedProtocol(H11Protocol):
    """A connection that is aborted where it exceeds a limit."""

    _timer: asyncio.TimerHandle | None = None
    _seen: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else None
        others: Iterable[Any] = self.connections
        of_this = sum(connection.client is not None and connection.client[0] == host for connection in others)
        if len(self.connections) > MAX_CONNECTIONS or of_this > MAX_OF_ONE_CLIENT:
            transport.abort()
            return
        self._check()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body:  # a client that sends more than anybody reads
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        rule = "a request is valid HTTP/1.1, with a header of at most 16 kB"
        refusal = RefusedError(400, rule, "this one is not", "correct it")
        body = refusal.line().encode() + b"\n"
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"x-content-type-options: nosniff\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        self.transport.close()

    def _check(self) -> None:
        """Abort a connection that has waited for the same thing since the last check."""
        waits = self.cycle is None or self.cycle.response_complete or self.transport.is_closing()
        state = (self.cycle, self.transport.is_closing()) if waits else None
        if state is not None and state == self._seen:
            self.transport.abort()
            return
        self._seen = state
        self._timer = self.loop.call_later(PATIENCE_SECONDS / 2, self._check)

"""Responses: JSON, refusals, and the lines of an answer that begin while the body still arrives."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_runtime.server.bodies import Body, FormFiles, Read
from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.uploads import After, Decoder, UploadSettings
from edge_runtime.terminal import printable_json

NDJSON = "application/x-ndjson"

_FORM = "multipart/form-data"
_NOT_OF_ONE_FILE = (408, 413, 429)
"""Statuses of refusals that concern the whole request, and not one of its files."""


def json_response(fields: Mapping[str, Any]) -> Response:
    """A JSON document."""
    text = printable_json(json.dumps(fields, ensure_ascii=False, allow_nan=False))
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


def refusal_response(refusal: RefusedError) -> Response:
    """The response to a request that is refused."""
    return Response(
        refusal.line() + "\n",
        status_code=refusal.status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **refusal.headers},
    )


def refuse_unread(refusal: RefusedError, body: Body) -> ASGIApp:
    """The response to a request whose body is refused before it is read: the connection ends with it."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = refusal_response(refusal)
        headers = [*response.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        await body.skip()
        await send({"type": "http.response.body", "body": b""})

    return answer


class UploadAnswer:
    """Answers sound, in the body or in the files of a form, with lines.

    A refusal before the first line is the response; after it, it is a line.

    Parameters
    ----------
    decoder : Decoder
    model : ServedModel
    settings : UploadSettings
    several : bool
        Whether to answer each file of a form with its summary, and not the first one.
    count : callable
        Called with the status of the response.
    """

    def __init__(
        self,
        decoder: Decoder,
        model: ServedModel,
        settings: UploadSettings,
        *,
        several: bool,
        count: Callable[[int], None],
    ) -> None:
        self._decoder = decoder
        self._model = model
        self._settings = settings
        self._several = several
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        body = Body(receive, self._decoder.limits, declared=_whole_number(headers.get(b"content-length")))
        lines = self._lines(body, headers.get(b"content-type", b"").decode("latin-1"))
        async with aclosing(lines):
            try:
                body.check_declared()
                first = await anext(lines, None)
            except RefusedError as refusal:
                self._count(refusal.status)
                await refuse_unread(refusal, body)(scope, receive, send)
                return
            except ConnectionResetError:
                return
            if first is None:  # the client has gone
                return
            self._count(200)
            await self._send(first, lines, body, send)

    async def _send(self, first: str, lines: AsyncIterator[str], body: Body, send: Send) -> None:
        media_type = NDJSON if self._settings.windows or self._several else "application/json"
        headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await _send_lines(first, send)
            async for more in lines:
                await _send_lines(more, send)
        except RefusedError as refusal:
            await _send_lines(refusal.line() + "\n", send)
        except ConnectionResetError:
            return
        await body.skip()
        await send({"type": "http.response.body", "body": b""})

    async def _lines(self, body: Body, content_type: str) -> AsyncGenerator[str, None]:
        if not content_type.lower().startswith(_FORM):
            async with aclosing(self._answer(await body.small_or_reader(), "upload", body.disconnected)) as lines:
                async for line in lines:
                    yield line
            return
        files = FormFiles(body.read, content_type)
        file = await files.next()
        if file is None:
            raise RefusedError(
                422, "a form holds a file", "it holds none", "send one: curl --form file=@song.mp3 ADDRESS"
            )
        while file is not None:
            then = None if self._several else body.disconnected
            try:
                async with aclosing(self._answer(file.read, file.name, then)) as lines:
                    async for line in lines:
                        yield line
            except RefusedError as refusal:
                if not self._several or refusal.status in _NOT_OF_ONE_FILE:
                    raise
                yield refusal.line(source=file.name) + "\n"
            file = await files.next() if self._several else None

    def _answer(self, sound: bytes | Read, name: str, then: After | None) -> AsyncGenerator[str, None]:
        return self._decoder.lines(sound, self._model, self._settings, name=name, then=then)


def _whole_number(digits: bytes | None) -> int | None:
    return None if digits is None else int(digits)


async def _send_lines(lines: str, send: Send) -> None:
    await send({"type": "http.response.body", "body": lines.encode(), "more_body": True})

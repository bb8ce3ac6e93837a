"""Responses in the protocol of ASGI: refusals, and the lines of an upload's answer while its body still arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.uploads import Body, Decoder, UploadSettings

NDJSON = "application/x-ndjson"


def refusal_response(refusal: RefusedError) -> Response:
    """The response to a request that is refused."""
    return Response(
        refusal.line + "\n",
        status_code=refusal.status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **refusal.headers},
    )


class UploadAnswer:
    """Answers a body with its windows and its summary, line by line.

    A refusal after the first line is the last line.
    """

    def __init__(self, decoder: Decoder, model: ServedModel, settings: UploadSettings) -> None:
        self._decoder = decoder
        self._model = model
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self._decoder.limits
        body = Body(receive, limits)
        async with aclosing(self._decoder.lines(body, self._model, self._settings, name="upload")) as lines:
            try:
                body.check_declared(dict(scope["headers"]).get(b"content-length"))
                first = await anext(lines, None)
            except RefusedError as refusal:
                await _refuse(refusal, body, send)
                return
            if first is None:  # the client has gone
                return
            await _send_lines(first, lines, send, NDJSON if self._settings.windows else "application/json")
            await _end(body, send)


async def _send_lines(first: str, lines: AsyncIterator[str], send: Send, media_type: str) -> None:
    headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    try:
        await _send_line(first, send)
        async for line in lines:
            await _send_line(line, send)
    except RefusedError as refusal:
        await _send_line(refusal.line, send)


async def _send_line(line: str, send: Send) -> None:
    await send({"type": "http.response.body", "body": line.encode() + b"\n", "more_body": True})


async def _refuse(refusal: RefusedError, body: Body, send: Send) -> None:
    response = refusal_response(refusal)
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    await _end(body, send)


async def _end(body: Body, send: Send) -> None:
    await body.skip()
    await send({"type": "http.response.body", "body": b""})

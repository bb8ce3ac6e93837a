"""Who may ask: host, token and origin of a request; and what every response says to a browser.

The page's files, ``/health`` and ``/openapi.json`` hold no secret, and are read by everyone. Everything else needs the
token, as ``Authorization: Bearer`` or as the cookie that ``POST /v1/session`` gives to the page in exchange for it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import socket
from ipaddress import ip_address

from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_runtime.server.app import page_files
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.responses import refusal_response
from edge_runtime.server.settings import ServerSettings

log = logging.getLogger("tmgc.server")

COOKIE = "tmgc_token"
SESSION = "/v1/session"

OPEN = ("/", "/health/live", "/health/ready", "/openapi.json")
"""Paths without a secret; the page's files are further ones."""

OF_THE_PAGE = ("/v1/now", "/v1/stream", "/v1/history", "/v1/events", "/v1/models", "/v1/model")
"""What ``--public-page`` opens for reading."""

FAILURE_SECONDS = 1.0
"""How long a wrong token waits for its refusal."""

MAX_FAILURES = 16
"""Wrong tokens that wait at once; further ones are refused at once, whatever they bear."""

SEND_SECONDS = 20.0
"""How long a client may leave what is sent to it unread."""

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

_INGRESS_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,200}")


class Access:
    """The outermost layer of the application.

    Parameters
    ----------
    app : ASGI application
    settings : ServerSettings
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._token = None if settings.token is None else settings.token.encode()
        self._open = {*OPEN, *(f"/{name}" for name in page_files())}
        if settings.public_page:
            self._open.update(OF_THE_PAGE)
        self._origins = {origin.encode() for origin in settings.origins}
        here = socket.gethostname().lower()
        self._names = {"localhost", here, f"{here}.local", settings.host.lower(), *map(str.lower, settings.names)}
        self._failures = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _Response(send, cross_origin=bool(self._origins))
        try:
            await self._answer(scope, receive, response.send)
        except (_UnreadError, ClientDisconnect, ConnectionResetError):
            return  # nobody is there to be answered
        except Exception as error:
            log.error("%s %s failed: %s: %s", scope["method"], scope["path"], type(error).__name__, error)
            if not response.begun:
                refusal = RefusedError(500, "a request is answered", "this one failed", "see the log of the server")
                await refusal_response(refusal)(scope, receive, response.send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            self._check_host(headers)
            if scope["path"] == SESSION and scope["method"] == "POST":
                await self._begin_session(headers)(scope, receive, send)
                return
            await self._check_token(scope, headers)
        except RefusedError as refusal:
            await refusal_response(refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        """Refuse names that are not this machine's: a page elsewhere may have had its own name point here."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = re.sub(r":\d*$", "", host).strip("[]")
        if name in self._names or _is_number(name):
            return
        raise RefusedError(
            421,
            "a request names this machine in its Host header",
            repr(host[:80]),
            "use the machine's IP address, or start the server with --allow-host NAME",
        )

    async def _check_token(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        reads = scope["method"] in ("GET", "HEAD")
        if self._token is None:
            if not reads:
                self._check_origin(headers)
            return
        if reads and scope["path"] in self._open:
            return
        given = _bearer(headers)
        if given is None and (given := _cookie(headers)) is not None and not reads:
            self._check_origin(headers)
        await self._compare(given)

    async def _compare(self, given: bytes | None) -> None:
        """Compare a token in a time that does not depend on where it differs; a wrong one waits."""
        assert self._token is not None
        if given is not None and hmac.compare_digest(given, self._token):
            return
        rule, wanted = "a request bears the token", {"WWW-Authenticate": "Bearer"}
        if given is None:
            raise RefusedError(401, rule, "it bears none", "send Authorization: Bearer TOKEN", wanted)
        if self._failures >= MAX_FAILURES:
            raise RefusedError(429, rule, "too many wrong ones", "try again later", {"Retry-After": "5"})
        self._failures += 1
        try:
            await asyncio.sleep(FAILURE_SECONDS)
        finally:
            self._failures -= 1
        raise RefusedError(401, rule, "it bears another one", "open the page's address again", wanted)

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
        """Refuse a post of another server's page, which a browser would send with the cookie, or to this machine."""
        origin = headers.get(b"origin")
        if origin is None or origin in self._origins or origin.partition(b"://")[2] == headers.get(b"host"):
            return
        raise RefusedError(
            403,
            "a page of this server, or one named by --allow-origin, may post",
            repr(origin[:80].decode("latin-1")),
            "start the server with --allow-origin ORIGIN",
        )

    def _begin_session(self, headers: dict[bytes, bytes]) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                self._check_origin(headers)
                if self._token is not None:
                    await self._compare(_bearer(headers))
            except RefusedError as refusal:
                await refusal_response(refusal)(scope, receive, send)
                return
            response = Response(status_code=204, headers={"Cache-Control": "no-store"})
            if self._token is not None:
                response.set_cookie(
                    COOKIE,
                    self._token.decode(),
                    max_age=365 * 86_400,
                    path=_prefix(headers),
                    httponly=True,
                    samesite="strict",
                )
            await response(scope, receive, send)

        return answer


class _UnreadError(Exception):
    """A client leaves unread what is sent to it."""


class _Response:
    """Adds headers to a response, and gives up on a client that does not read it."""

    def __init__(self, send: Send, *, cross_origin: bool) -> None:
        self.begun = False
        self._send = send
        self._headers = HEADERS[:-1] if cross_origin else HEADERS

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            message = {**message, "headers": [*message["headers"], *self._headers]}
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._send(message)
        except TimeoutError:
            raise _UnreadError from None


def _bearer(headers: dict[bytes, bytes]) -> bytes | None:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


def _cookie(headers: dict[bytes, bytes]) -> bytes | None:
    value = cookie_parser(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    return None if value is None else value.encode("latin-1", "replace")


def _prefix(headers: dict[bytes, bytes]) -> str:
    """The path under which a reverse proxy shows the page, as Home Assistant tells it."""
    path = headers.get(b"x-ingress-path", b"").decode("latin-1")
    return path if _INGRESS_PATH.fullmatch(path) else "/"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

"""The routes of the server: the page, the state of the listener, its history and stream, and answers to uploads."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_runtime.files import csv_cell
from edge_runtime.outputs.json_lines import iso8601
from edge_runtime.server.corrections import Corrections, correction_routes
from edge_runtime.server.hub import Hub, Message, Subscription, heartbeat
from edge_runtime.server.inference_protocol import InferenceProtocol
from edge_runtime.server.metrics import CONTENT_TYPE, Metrics
from edge_runtime.server.models import ServedModel
from edge_runtime.server.past import BUCKETS, Past
from edge_runtime.server.queries import time_before, time_limit, upload_settings
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.responses import UploadAnswer, json_response, refusal_response
from edge_runtime.server.uploads import Decoder
from edge_runtime.system_info import clock_synchronised, thermal_state
from edge_runtime.terminal import printable_json

SCHEMA = 1
"""Version of the JSON documents."""

PAGE = Path(__file__).with_name("page")
"""Folder of the page's files."""

OPENAPI = Path(__file__).with_name("openapi.json")
"""The description of the API."""

HEARTBEAT_SECONDS = 15.0

DEFAULT_SPANS = {"window": timedelta(hours=1), "hour": timedelta(days=7), "day": timedelta(days=92)}
"""What ``/v1/history`` goes back without ``since``: a Raspberry Pi needs many seconds for a whole history."""

THERMAL_SECONDS = 10.0
"""How old the temperature may be that is told."""

RECENT = 60
"""Windows that ``/v1/now`` lists."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True)
class Service:
    """What the routes answer with."""

    models: Mapping[str, ServedModel]
    """By name; the first is the default, and listens if something does."""
    decoder: Decoder
    past: Past
    metrics: Metrics
    hub: Hub | None = None
    """None without a listener."""
    corrections: Corrections | None = None
    """None where none are kept."""


def build_app(service: Service) -> Starlette:
    """The ASGI application.

    Parameters
    ----------
    service : Service
    """
    api = _Api(service)
    routes = [
        Route("/", api.index),
        Route("/health/live", api.live),
        Route("/health/ready", api.ready),
        Route("/v1/models", api.models),
        Route("/v1/model", api.model),
        Route("/v1/now", api.now),
        Route("/v1/history", api.history),
        Route("/v1/events", api.events),
        Route("/v1/stream", api.stream),
        Route("/v1/classify", api.classify, methods=["POST"]),
        *correction_routes(service.corrections),
        Route("/v1/classify/batch", api.batch, methods=["POST"]),
        *InferenceProtocol(service.models, service.decoder).routes,
        Route("/metrics", api.metrics),
        Route("/openapi.json", api.openapi),
        Route("/{file}", api.page_file),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if service.hub:
            service.hub.attach(asyncio.get_running_loop())
        yield
        service.past.close()
        service.decoder.close()

    handlers: Any = {RefusedError: _refused, 404: _unknown_path, 405: _wrong_method}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.router.redirect_slashes = False  # to an absolute address, by the Host header
    return app


class _Api:
    """The endpoints."""

    def __init__(self, service: Service) -> None:
        self._models = service.models
        self._decoder = service.decoder
        self._past = service.past
        self._hub = service.hub
        self._metrics = service.metrics
        self._thermal: tuple[float, dict[str, Any]] = (-math.inf, {})

    async def index(self, request: Request) -> Response:
        return _file("index.html")

    async def page_file(self, request: Request) -> Response:
        return _file(request.path_params["file"])

    async def live(self, request: Request) -> Response:
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        state, reason = self._hub.state() if self._hub else ("listening", "")
        if reason:
            raise RefusedError(503, "a model is loaded and sound arrives", f"{state}: {reason}", "see /v1/events")
        for model in self._models.values():
            model.check_ready()
        return _json({"ready": True})

    async def models(self, request: Request) -> Response:
        return _json({"models": [model.to_json(card=False) for model in self._models.values()]})

    async def model(self, request: Request) -> Response:
        return _json(self._selected(request).to_json(card=True))

    async def now(self, request: Request) -> Response:
        hub = self._listening()
        state, reason = hub.state()
        newest = [message for message in hub.kept if message.kind == "window"][-RECENT:]
        return _json(
            {
                "time": iso8601(datetime.now(UTC)),
                "state": state,
                "reason": reason,
                "source": hub.source,
                "model": next(iter(self._models)),
                "genres": list(next(iter(self._models.values())).classifier.card.genres),
                "window": json.loads(newest[-1].data) if newest else None,
                "since": iso8601(hub.since) if hub.since else None,
                "recent": [json.loads(message.data) for message in newest],
                "last_event_id": hub.kept[-1].number if hub.kept else None,
                "history": self._past.path is not None,
                "health": await self._health(hub),
            }
        )

    async def history(self, request: Request) -> Response:
        bucket = request.query_params.get("bucket", "hour")
        if bucket not in BUCKETS:
            raise RefusedError(422, f"bucket is one of {', '.join(BUCKETS)}", repr(bucket), "try ?bucket=hour")
        until = time_limit(request, "until")
        since = time_limit(request, "since") or time_before(until or datetime.now(UTC), DEFAULT_SPANS[bucket])
        rows = await self._past.rows(bucket, since, until)
        if request.query_params.get("format") == "csv" or "text/csv" in request.headers.get("accept", ""):
            return _csv(rows)
        return _json({"bucket": bucket, "rows": rows})

    async def events(self, request: Request) -> Response:
        hub, since, until = self._listening(), time_limit(request, "since"), time_limit(request, "until")
        stored = await self._past.events(since, until) if self._past.path else []
        last = stored[-1]["time"] if stored else ""
        kept = [json.loads(message.data) for message in hub.kept if message.kind == "event"]
        not_stored = [event for event in kept if event["time"] > last and _is_between(event["time"], since, until)]
        return _json({"events": [*stored, *not_stored]})

    async def stream(self, request: Request) -> Response:
        hub = self._listening()
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        given = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
        last = int(given) if given.isdecimal() and len(given) < 20 else None
        return _Stream(hub, self._past, hub.subscribe(request.client.host if request.client else None), last)

    async def classify(self, request: Request) -> ASGIApp:
        return self._upload_answer(request, several=False)

    async def batch(self, request: Request) -> ASGIApp:
        return self._upload_answer(request, several=True)

    async def metrics(self, request: Request) -> Response:
        if self._hub:
            self._metrics.source_up.set(self._hub.state()[0] == "listening")
        return Response(self._metrics.text(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    async def openapi(self, request: Request) -> Response:
        return Response(OPENAPI.read_bytes(), media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def _health(self, hub: Hub) -> dict[str, Any]:
        read_at, state = self._thermal
        if monotonic() - read_at >= THERMAL_SECONDS:
            state = await asyncio.to_thread(thermal_state)
            self._thermal = monotonic(), state
        return {
            "sound_age_s": None if hub.sound_age_seconds is None else round(hub.sound_age_seconds, 1),
            "dropped_windows": hub.dropped_windows,
            "delay_ms": hub.delay_ms(),
            "temperature_c": state["temperature_c"],
            "throttled": state["throttled"],
            "clock_synchronised": clock_synchronised(),
            "streams": hub.streams,
        }

    def _upload_answer(self, request: Request, *, several: bool) -> ASGIApp:
        model = self._selected(request)
        settings = upload_settings(request, model)
        if several:
            settings = replace(settings, windows=False)
        return UploadAnswer(self._decoder, model, settings, several=several, count=self._metrics.upload)

    def _listening(self) -> Hub:
        if self._hub is None:
            raise RefusedError(
                404,
                "this needs a listener",
                "tmgc-serve answers uploads only",
                "start tmgc-listen --serve, or POST to /v1/classify",
            )
        return self._hub

    def _selected(self, request: Request) -> ServedModel:
        name = request.query_params.get("model")
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            known = ", ".join(self._models)
            raise RefusedError(404, f"model is one of {known}", repr(name), "see /v1/models")
        return self._models[name]


class _Stream(StreamingResponse):
    """The messages of one client as Server-Sent Events, after what it has missed since its last one."""

    def __init__(self, hub: Hub, past: Past, subscription: Subscription, last: int | None) -> None:
        self._hub = hub
        self._past = past
        self._subscription = subscription
        self._last = last
        self._kept = hub.kept_after(math.inf if last is None else last)  # at once: later ones are subscribed to
        super().__init__(self._messages(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # also where the client has gone before the first message
            self._hub.unsubscribe(self._subscription)

    async def _messages(self) -> AsyncIterator[str]:
        yield _sse(heartbeat(self._hub))
        if self._last is not None:
            kept, oldest = self._kept
            if oldest is not None and (missed := await _missed(self._past, self._last, oldest)):
                yield _sse(missed)
            for message in kept:
                yield _sse(message)
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    newest = await self._subscription.get()
            except TimeoutError:
                newest = heartbeat(self._hub)
            if newest is None:
                return
            yield _sse(newest)


async def _missed(past: Past, last: int, oldest: int) -> Message | None:
    """What the history has between two messages; None where there is none, or it cannot be read."""
    since, until = (_of_milliseconds(number) for number in (last + 1, oldest))
    if since is None or until is None or past.path is None:
        return None
    try:
        found = await past.between(since, until)
    except RefusedError:
        return None
    return Message(oldest - 1, "past", printable_json(json.dumps(found, ensure_ascii=False)))


def _sse(message: Message) -> str:
    number = f"id: {message.number}\n" if message.number else ""
    return f"{number}event: {message.kind}\ndata: {message.data}\n\n"


def _is_between(time: str, since: datetime | None, until: datetime | None) -> bool:
    at = datetime.fromisoformat(time)
    return (since is None or at >= since) and (until is None or at < until)


def _of_milliseconds(number: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(number / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _json(fields: Mapping[str, Any]) -> Response:
    return json_response({"schema": SCHEMA, **fields})


def _csv(rows: Sequence[Mapping[str, Any]]) -> Response:
    """Rows for a spreadsheet; what is nested in them is flattened."""
    flat = [
        {f"{name}_{inner}" if inner else name: value for name, given in row.items() for inner, value in _items(given)}
        for row in rows
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if flat:
        writer.writerow(flat[0])
        writer.writerows(map(csv_cell, row.values()) for row in flat)
    return Response(text.getvalue(), media_type="text/csv", headers={"Cache-Control": "no-store"})


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else [("", value)]


def page_files() -> dict[str, Path]:
    """The files of the page by their names."""
    return {path.name: path for path in PAGE.iterdir() if path.suffix in _TYPES}


def _file(name: str) -> Response:
    """A file of the page: only those that the folder lists, so that no name leads out of it."""
    found = page_files()
    if name not in found:
        raise _no_such_path(name)
    return Response(
        found[name].read_bytes(), media_type=_TYPES[found[name].suffix], headers={"Cache-Control": "no-cache"}
    )


def _no_such_path(path: str) -> RefusedError:
    return RefusedError(404, "a path is one of /openapi.json", repr(path[:80]), "see /openapi.json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refusal_response(error)


async def _unknown_path(request: Request, error: Exception) -> Response:
    return refusal_response(_no_such_path(request.url.path))


async def _wrong_method(request: Request, error: Exception) -> Response:
    return refusal_response(RefusedError(405, "this path has other methods", request.method[:20], "see /openapi.json"))

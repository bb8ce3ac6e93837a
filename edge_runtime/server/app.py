"""The routes of the server: the page, the state of the listener, its history and stream, and answers to uploads."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from edge_runtime.errors import TmgcError
from edge_runtime.listener import ListenSettings
from edge_runtime.outputs.json_lines import iso8601
from edge_runtime.server.corrections import Corrections
from edge_runtime.server.hub import MAX_STREAMS, Hub, Message, heartbeat
from edge_runtime.server.models import ServedModel
from edge_runtime.server.past import BUCKETS, Past
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.responses import UploadAnswer, refusal_response
from edge_runtime.server.uploads import Decoder, UploadSettings
from edge_runtime.system_info import clock_synchronised, thermal_state
from edge_runtime.terminal import printable_json
from edge_runtime.windowing import hop_samples

SCHEMA = 1
"""Version of the JSON documents."""

PAGE = Path(__file__).with_name("page")
"""Folder of the page's files."""

HEARTBEAT_SECONDS = 15.0

RECENT = 60
"""Windows that ``/v1/now`` lists."""

MIN_HOP_SECONDS = 0.1
"""From one window of an upload to the next: an hour has at most 36,000."""

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
        *(service.corrections.routes() if service.corrections else ()),
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
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)


class _Api:
    """The endpoints."""

    def __init__(self, service: Service) -> None:
        self._models = service.models
        self._decoder = service.decoder
        self._past = service.past
        self._hub = service.hub

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
                "health": await _health(hub),
            }
        )

    async def history(self, request: Request) -> Response:
        bucket = request.query_params.get("bucket", "hour")
        if bucket not in BUCKETS:
            raise RefusedError(422, f"bucket is one of {', '.join(BUCKETS)}", repr(bucket), "try ?bucket=hour")
        rows = await self._past.rows(bucket, _time(request, "since"), _time(request, "until"))
        return _json({"bucket": bucket, "rows": rows})

    async def events(self, request: Request) -> Response:
        hub, since, until = self._listening(), _time(request, "since"), _time(request, "until")
        stored = await self._past.events(since, until) if self._past.path else []
        last = stored[-1]["time"] if stored else ""
        kept = [json.loads(message.data) for message in hub.kept if message.kind == "event"]
        not_stored = [event for event in kept if event["time"] > last and _is_between(event["time"], since, until)]
        return _json({"events": [*stored, *not_stored]})

    async def stream(self, request: Request) -> Response:
        hub = self._listening()
        if hub.streams >= MAX_STREAMS:
            raise RefusedError(
                503,
                f"at most {MAX_STREAMS} streams are open",
                f"{hub.streams}",
                "try again later",
                {"Retry-After": "15"},
            )
        last = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
        messages = _messages(hub, self._past, int(last) if last.isdecimal() and len(last) < 20 else None)
        return StreamingResponse(messages, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def classify(self, request: Request) -> UploadAnswer:
        model = self._selected(request)
        settings = _upload_settings(request, model)
        return UploadAnswer(self._decoder, model, settings)

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


async def _messages(hub: Hub, past: Past, last: int | None) -> AsyncIterator[str]:
    """The messages of one client as Server-Sent Events, after what it has missed since its last one."""
    subscription = hub.subscribe()
    kept, oldest = hub.kept_after(math.inf if last is None else last)  # at once: what comes after is subscribed to
    try:
        yield _sse(heartbeat(hub))
        if last is not None:
            if oldest is not None and past.path is not None and (missed := await _missed(past, last, oldest)):
                yield _sse(missed)
            for message in kept:
                yield _sse(message)
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    newest = await subscription.get()
            except TimeoutError:
                newest = heartbeat(hub)
            if newest is None:
                return
            yield _sse(newest)
    finally:
        hub.unsubscribe(subscription)


async def _missed(past: Past, last: int, oldest: int) -> Message | None:
    """What the history has between two messages; None where it cannot be read."""
    since, until = (_of_milliseconds(number) for number in (last + 1, oldest))
    if since is None or until is None:
        return None
    try:
        found = await past.between(since, until)
    except RefusedError:
        return None
    return Message(oldest - 1, "past", printable_json(json.dumps(found, ensure_ascii=False)))


def _sse(message: Message) -> str:
    number = f"id: {message.number}\n" if message.number else ""
    return f"{number}event: {message.kind}\ndata: {message.data}\n\n"


async def _health(hub: Hub) -> dict[str, Any]:
    state = await asyncio.to_thread(thermal_state)
    return {
        "sound_age_s": None if hub.sound_age_seconds is None else round(hub.sound_age_seconds, 1),
        "dropped_windows": hub.dropped_windows,
        "delay_ms": hub.delay_ms(),
        "temperature_c": state["temperature_c"],
        "throttled": state["throttled"],
        "clock_synchronised": clock_synchronised(),
        "streams": hub.streams,
    }


def _upload_settings(request: Request, model: ServedModel) -> UploadSettings:
    """What the query of an upload asks for."""
    try:
        hop = _number(request, "hop", 1.0)
        smooth, threshold = _number(request, "smooth", None), _number(request, "threshold", None)
        if smooth is not None and smooth != int(smooth):
            raise TmgcError(f"smooth must be a whole number, got {smooth}: try ?smooth=5")
        listening = ListenSettings(hop, None if smooth is None else int(smooth), threshold)
        if not hop >= MIN_HOP_SECONDS:
            raise TmgcError(f"hop must be at least {MIN_HOP_SECONDS} s, got {hop}: try ?hop=1")
        hop_samples(model.classifier.card.spectrogram, hop)
        start, duration = _number(request, "start", 0.0), _number(request, "duration", math.inf)
        if not 0 <= start < math.inf or not duration > 0:
            raise TmgcError(f"start must be 0 s or later and duration above 0 s, got {start} and {duration}")
    except TmgcError as error:
        raise RefusedError(422, "the query must be valid", str(error), "see /openapi.json") from error
    only_summary = "application/json" in request.headers.get("accept", "")
    return UploadSettings(listening, start, duration, windows=not only_summary)


def _number(request: Request, name: str, default: Any) -> Any:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise TmgcError(f"{name} must be a number, got {text[:40]!r}")
    return number


def _time(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise RefusedError(
            422, f"{name} is a date or a time in ISO 8601", repr(text[:40]), "try 2026-11-23T18:30:00Z"
        ) from None


def _is_between(time: str, since: datetime | None, until: datetime | None) -> bool:
    at = datetime.fromisoformat(time)
    return (since is None or at >= since) and (until is None or at < until)


def _of_milliseconds(number: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(number / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _json(fields: Mapping[str, Any]) -> Response:
    text = printable_json(json.dumps({"schema": SCHEMA, **fields}, ensure_ascii=False, allow_nan=False))
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


def _file(name: str) -> Response:
    """A file of the page: only those that the folder lists, so that no name leads out of it."""
    found = {path.name: path for path in PAGE.iterdir() if path.suffix in _TYPES}
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

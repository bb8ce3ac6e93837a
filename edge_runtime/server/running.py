"""The server in a thread of its own, so that neither it nor a client delays the listener."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import uvicorn
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from edge_runtime.classifier import GenreClassifier
from edge_runtime.errors import TmgcError
from edge_runtime.server.access import Access
from edge_runtime.server.app import Service, build_app
from edge_runtime.server.bodies import Limits
from edge_runtime.server.connections import GuardedProtocol
from edge_runtime.server.corrections import Corrections
from edge_runtime.server.hub import Hub
from edge_runtime.server.metrics import Metrics
from edge_runtime.server.models import served_models, share
from edge_runtime.server.past import Past
from edge_runtime.server.settings import ServerSettings, page_address
from edge_runtime.server.uploads import Decoder

log = logging.getLogger("tmgc.server")

SEND_BUFFER_BYTES = 65_536

_STARTING_SECONDS = 20.0
_ENDING_SECONDS = 5.0
_TICK_SECONDS = 0.1
"""uvicorn renews the date of responses in every tenth."""
_MAX_HEADER_BYTES = 16_384


class Server:
    """An HTTP server; :meth:`start` starts it and :meth:`stop` ends it.

    Parameters
    ----------
    service : Service
    settings : ServerSettings

    Attributes
    ----------
    routes : list of Route

    Raises
    ------
    TmgcError
        The address cannot be used, or the server does not start.
    """

    def __init__(self, service: Service, settings: ServerSettings) -> None:
        self._socket = _bound(settings)
        app = build_app(service)
        self.routes = [route for route in app.routes if isinstance(route, Route)]
        self._server = _Uvicorn(_guarded(app, settings), service.hub)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._stopping = False

    @property
    def address(self) -> str:
        """The page's address."""
        host, port = self._socket.getsockname()[:2]
        return page_address(host, port)

    @property
    def ended(self) -> bool:
        """Whether it serves no more; if nobody has stopped it, the reason was logged."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()
        until = monotonic() + _STARTING_SECONDS
        while not self._server.ready.wait(_TICK_SECONDS):
            if self.ended or monotonic() >= until:
                self.stop()
                raise TmgcError(
                    f"a server must start within {_STARTING_SECONDS:g} s: this one did not. Look at the lines before"
                )

    def stop(self) -> None:
        """End all connections."""
        self._stopping = True
        self._server.end()
        self._thread.join(_ENDING_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        reason = "nothing tells why"
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        except (Exception, SystemExit) as error:
            reason = f"{type(error).__name__}: {error}"
        if not self._stopping:
            log.error("the server has ended, and the page with it: %s. Start the command again", reason)


class _Uvicorn(uvicorn.Server):
    """uvicorn without handlers of signals, which are the command's."""

    def __init__(self, app: ASGIApp, hub: Hub | None) -> None:
        for name in ("uvicorn", "uvicorn.error"):  # what concerns a person is logged by Access
            logging.getLogger(name).setLevel(logging.CRITICAL)
        super().__init__(
            uvicorn.Config(
                app,
                http=GuardedProtocol,
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
                timeout_graceful_shutdown=1,
            )
        )
        self.ready = threading.Event()
        self._hub = hub
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    def end(self) -> None:
        """End it at once; called in another thread."""
        self.should_exit = True
        if self._loop:
            with suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        if self.started:
            self.ready.set()

    async def main_loop(self) -> None:
        for tick in count():
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._ending.wait()
            if await self.on_tick(tick):
                return

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._hub:
            self._hub.end_streams()
        await super().shutdown(sockets)


def _guarded(inner: ASGIApp, settings: ServerSettings) -> ASGIApp:
    app = Access(inner, settings)
    if not settings.origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
    )


def _bound(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only where the protocol is named
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by each connection: the system would hold megabytes, half an hour of a stream, for a client that sleeps.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise TmgcError(
            f"a server needs a free port of this machine: {settings.host}:{settings.port} is not "
            f"({error.strerror or error}). Name another one"
        ) from error
    return bound


@contextmanager
def serve_models(
    models: Sequence[tuple[Path, GenreClassifier]], settings: ServerSettings, *, limits: Limits | None = None
) -> Iterator[Server]:
    """Serve models without a listener.

    Parameters
    ----------
    models : sequence of (Path, GenreClassifier)
        The first is the default.
    settings : ServerSettings
    limits : Limits, optional

    Yields
    ------
    server : Server
    """
    served = served_models(models)
    metrics = Metrics(next(iter(served.values())))
    service = Service(served, Decoder(limits or Limits()), Past(None), metrics)
    with _running(Server(service, settings)) as server:
        yield server


class ServedListener(NamedTuple):
    """What a listener needs to be served."""

    classifier: GenreClassifier
    """Takes the place of the listener's own."""
    hub: Hub
    """A further output."""
    address: str
    """The page's address."""


@contextmanager
def serve_listener(
    model: Path,
    classifier: GenreClassifier,
    settings: ServerSettings,
    *,
    history: Path | None,
    corrections: Path | None = None,
) -> Iterator[ServedListener]:
    """Serve what a listener hears.

    Parameters
    ----------
    model : Path
        The file of the classifier.
    classifier : GenreClassifier
        Is not used any more: the one that is yielded takes its place.
    settings : ServerSettings
    history : Path or None
        What the listener records.
    corrections : Path, optional
        Folder for answers that the page's users correct; by default, none are kept.

    Yields
    ------
    served : ServedListener
    """
    listening, uploads = share(classifier)
    models = served_models([(model, uploads)])
    metrics = Metrics(models[model.stem])
    kept = Corrections(corrections, listening, model.name) if corrections else None
    hub = Hub(models[model.stem], metrics, on_window=kept.window if kept else None)
    service = Service(models, Decoder(Limits()), Past(history), metrics, hub, kept)
    with _running(Server(service, settings)) as server:
        yield ServedListener(listening, hub, server.address)


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()

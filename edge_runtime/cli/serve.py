"""``tmgc-serve MODEL...``: the REST service and its page without a microphone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import OneLineCommand, engine_option, threads_option, trust_option
from edge_runtime.errors import TmgcError, pip_install_extra

if TYPE_CHECKING:
    from edge_runtime.server.settings import ServerSettings

log = logging.getLogger("tmgc.server")

_NEEDED = ("starlette", "uvicorn", "python_multipart", "prometheus_client", "segno")
"""Packages of the ``serve`` extra."""


def require_serve_extra() -> None:
    """Check that the packages of the ``serve`` extra are installed.

    Raises
    ------
    TmgcError
        One is missing.
    """
    from importlib.util import find_spec

    missing = [name for name in _NEEDED if not find_spec(name)]
    if missing:
        raise TmgcError(f"serving needs {missing[0]}, which is not installed: {pip_install_extra('serve')}")


def access_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of who may ask a server."""
    for option in (
        click.option(
            "--allow-origin", multiple=True, metavar="ORIGIN", help="A web app that may ask; e.g. https://a.b."
        ),
        click.option("--allow-host", multiple=True, metavar="NAME", help="A further name of this machine."),
        click.option("--public-page", is_flag=True, help="Anyone may read the page; a post still needs the token."),
        click.option(
            "--token-file", type=click.Path(path_type=Path), metavar="FILE", help="The token; default: TMGC_TOKEN."
        ),
    ):
        command = option(command)
    return command


def server_settings(address: str, options: Mapping[str, Any]) -> ServerSettings:
    """The settings of a server.

    Parameters
    ----------
    address : str
        ``[HOST:]PORT``
    options : mapping
        Those of :func:`access_options` by name.

    Raises
    ------
    TmgcError
        An option has a wrong value, the token is missing, or the ``serve`` extra is not installed.
    """
    from edge_runtime.server.settings import ServerSettings, parse_address, read_token

    require_serve_extra()
    return ServerSettings(
        *parse_address(address),
        token=read_token(options["token_file"]),
        public_page=options["public_page"],
        names=options["allow_host"],
        origins=options["allow_origin"],
    )


def announce(address: str, token: str | None) -> None:
    """Log the address of the page; in a terminal with the token, and as a QR code for a phone.

    Parameters
    ----------
    address : str
    token : str or None
        It stands in the fragment, which a browser keeps to itself.
    """
    if token is None or sys.stderr is None or not sys.stderr.isatty():
        log.info("serving %s", address)
        return
    address = f"{address}#token={token}"
    log.info("serving %s", address)
    import segno

    segno.make(address, error="l").terminal(out=sys.stderr, compact=True)


@click.command("tmgc-serve", cls=OneLineCommand)
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@click.option("--address", default="8321", show_default=True, metavar="[HOST:]PORT", help="Where to serve.")
@threads_option
@engine_option
@trust_option
@access_options
@click.version_option(package_name="tmgc")
def main(models: tuple[Path, ...], address: str, **options: Any) -> None:
    """Answer sound that is sent over HTTP with its genres, by one or several MODELs; and a page to try it.

    The first MODEL is the default; ?model= names another one by its file name without the ending.

    Exit code 0: ended by Ctrl-C or SIGTERM; 1: the server has ended by itself; 2: a model or an option was refused;
    130: Ctrl-C, while a model was being opened.
    """
    settings = server_settings(address, options)
    from edge_runtime.classifier import GenreClassifier
    from edge_runtime.outputs.systemd import Watchdog, sd_notify
    from edge_runtime.server.running import serve_models
    from edge_runtime.shutdown import Shutdown

    with Shutdown(on_check=Watchdog()) as stop:
        how = {"threads": options["threads"], "engine": options["engine"], "trust": options["trust_anyway"]}
        with stop.interrupting(0):
            opened = [GenreClassifier.open(path, **how) for path in models]
        with serve_models([(each.interpreter.path, each) for each in opened], settings) as server:
            announce(server.address, settings.token)
            sd_notify("READY=1", "STATUS=serving")
            while not (stop.requested or server.ended):
                stop.rest(0.5)
    sys.exit(0 if stop.signal else 1)

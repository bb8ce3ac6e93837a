"""``tmgc-serve MODEL...``: the REST service and its page without a microphone."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from edge_runtime.cli.base import OneLineCommand
from edge_runtime.errors import TmgcError

log = logging.getLogger("tmgc.server")


def require_serve_extra() -> None:
    """Check that the packages of the ``serve`` extra are installed.

    Raises
    ------
    TmgcError
        One is missing.
    """
    from importlib.util import find_spec

    missing = [
        name for name in ("starlette", "uvicorn", "python_multipart", "prometheus_client") if not find_spec(name)
    ]
    if missing:
        raise TmgcError(f"serving needs {missing[0]}, which is not installed: pip install 'tmgc[serve]'")


@click.command("tmgc-serve", cls=OneLineCommand)
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@click.option("--address", default="8321", show_default=True, metavar="[HOST:]PORT", help="Where to serve.")
@click.option("--threads", type=int, help="Threads of each model. Default: all usable cores but one, at most 4.")
@click.version_option(package_name="tmgc")
def main(models: tuple[Path, ...], address: str, threads: int | None) -> None:
    """Answer sound that is sent over HTTP with its genres, by one or several MODELs; and a page to try it.

    The first MODEL is the default; ?model= names another one by its file name without the ending.

    Exit code 0: ended by Ctrl-C or SIGTERM; 2: a model or an option was refused.
    """
    require_serve_extra()
    from edge_runtime.classifier import GenreClassifier
    from edge_runtime.outputs.systemd import Watchdog, sd_notify
    from edge_runtime.server.running import ServerSettings, serve_models
    from edge_runtime.shutdown import Shutdown

    settings = ServerSettings.parse(address)
    with Shutdown(on_check=Watchdog()) as stop:
        opened = [(path, GenreClassifier.open(path, threads=threads)) for path in models]
        with serve_models(opened, settings):
            sd_notify("READY=1", "STATUS=serving")
            while not stop.requested:
                stop.rest(3600)

"""What is done with an archive's results: ``tmgc-tag report``, ``write``, ``undo`` and ``playlist``."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from edge_runtime.cli.base import OneLineCommand

log = logging.getLogger("tmgc.archive")

_OUT = click.argument("out", type=click.Path(path_type=Path), metavar="OUT")


@click.command("report", cls=OneLineCommand)
@_OUT
def report(out: Path) -> None:
    """Write OUT/report.html: genres, confidence, the songs to listen to and label next, and what failed and why."""
    from edge_runtime.archive.report import write_report
    from edge_runtime.archive.results import read_archive, require_archive_extra

    require_archive_extra("jinja2")
    log.info("%s", write_report(read_archive(out)))

"""``tmgc-tag MUSIC... OUT``: the genres of a library of songs, and what is done with them."""

from __future__ import annotations

import logging
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from edge_runtime.cli.base import CommandWithSubcommands
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from edge_runtime.archive.song import Tagger, TagSettings
    from edge_runtime.archive.tagging import Engine, Share

log = logging.getLogger("tmgc.archive")

SUBCOMMANDS = {
    "report": "edge_runtime.cli.tag_uses:report",
    "write": "edge_runtime.cli.tag_uses:write",
    "undo": "edge_runtime.cli.tag_uses:undo",
    "playlist": "edge_runtime.cli.tag_uses:playlist",
}

INCOMPLETE = 1
"""Exit code where a folder of songs could not be read."""


@click.command("tmgc-tag", cls=CommandWithSubcommands, subcommands=SUBCOMMANDS)
@click.argument("paths", nargs=-1, metavar="MUSIC... OUT")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="A .tflite or .onnx file of tmgc-export. Default: the newest under ./runs, else a small one.",
)
@click.option("--windows", default="8", show_default=True, metavar="N|all", help="Of a song, spread over its length.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: one for each usable core.")
@click.option("--engine", default="local", show_default=True, type=click.Choice(["local", "ray"]), help="Who works.")
@click.option("--hang-seconds", default=60.0, hidden=True, type=click.FloatRange(min=0, min_open=True))
@click.option("--shard", default="1/1", metavar="I/N", help="Do the I-th of N parts of the work.")
@click.option("--embeddings", is_flag=True, help="Keep a vector of each song, for songs like it; of .tflite files.")
@click.option("--force", is_flag=True, help="Do all songs again; after an interruption, go on with that.")
@click.option("--retry-failed", is_flag=True, help="Do songs that could not be read again.")
@click.version_option(package_name="tmgc")
def main(paths: tuple[str, ...], **options: Any) -> None:
    """Classify every song in the folders MUSIC, and keep the results in the folder OUT.

    The same command again does only what is missing or has changed.

    Exit code 0: every song has a row, those that cannot be read one with the reason; 1: a folder of songs could not be
    read; 2: a folder, the model or an option was refused, or the disk is full; 130: Ctrl-C; 143: SIGTERM. After each of
    them the same command goes on from there.
    """
    from edge_runtime.archive.remote import is_address
    from edge_runtime.archive.results import require_archive_extra
    from edge_runtime.archive.song import Tagger
    from edge_runtime.archive.tagging import Job, tag
    from edge_runtime.cli.tag_progress import ShownProgress
    from edge_runtime.models import default_model

    if len(paths) < 2:
        raise TmgcError("songs and results are two folders: tmgc-tag MUSIC OUT")
    *roots, out = paths
    if is_address(out):
        raise TmgcError(f"results go into a folder of this machine: got {out}. Name a folder, and copy it afterwards")
    require_archive_extra()
    share = _share(options["shard"])
    tagger = Tagger.of((options["model"] or default_model()).absolute(), _settings(options))
    job = Job(tuple(roots), Path(out), tagger, share, force=options["force"], retry_failed=options["retry_failed"])
    engine, cores = _engine(tagger, options)
    signal.signal(signal.SIGTERM, _end)  # a job scheduler's: what is done is kept, as with Ctrl-C
    with ShownProgress(cores) as progress:
        outcome = tag(job, engine, progress)
    progress.summarise(outcome, job.out)
    if outcome.unread:
        log.warning("%d folders and songs could not be read: see above", outcome.unread)
        sys.exit(INCOMPLETE)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _settings(options: dict[str, Any]) -> TagSettings:
    from edge_runtime.archive.song import TagSettings

    text = options["windows"]
    if text != "all" and not text.isdecimal():
        raise TmgcError(f"--windows is a number or all, got {text!r}")
    return TagSettings(None if text == "all" else int(text), options["embeddings"])


def _share(text: str) -> Share:
    from edge_runtime.archive.tagging import Share

    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise TmgcError(f"--shard is I/N, with I from 1 to N, got {text!r}: try 1/2")
    return Share(int(number), int(of))


def _engine(tagger: Tagger, options: dict[str, Any]) -> tuple[Engine, int]:
    """The engine, and the number of cores that it takes."""
    from edge_runtime.system_info import usable_cores

    common = {"tagger": tagger, "hang_seconds": options["hang_seconds"]}
    if options["engine"] == "ray":
        from edge_runtime.archive.ray_engine import connect, tag_with_ray

        return partial(tag_with_ray, **common, workers=options["workers"]), connect(options["workers"])
    from edge_runtime.archive.local import tag_locally

    workers = options["workers"] or usable_cores()
    return partial(tag_locally, **common, workers=workers), workers

"""What is done with an archive's results: ``tmgc-tag report``, ``write``, ``undo`` and ``playlist``."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.cli.base import OneLineCommand
from edge_runtime.terminal import print_line, standard_output

if TYPE_CHECKING:
    from edge_runtime.archive.journal import Journal
    from edge_runtime.archive.tags import Done

log = logging.getLogger("tmgc.archive")

INCOMPLETE = 1
"""Exit code where songs could not be changed."""

_OUT = click.argument("out", type=click.Path(path_type=Path), metavar="OUT")


@click.command("report", cls=OneLineCommand)
@_OUT
def report(out: Path) -> None:
    """Write OUT/report.html: genres, confidence, the songs to listen to and label next, and what failed and why."""
    from edge_runtime.archive.report import write_report
    from edge_runtime.archive.results import read_archive, require_archive_extra

    require_archive_extra("jinja2")
    log.info("%s", write_report(read_archive(out)))


@click.command("write", cls=OneLineCommand)
@_OUT
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    metavar="P",
    help="Songs below it stay as they are.",
)
@click.option("--also", type=click.FloatRange(0, 1), metavar="P", help="Write further genres of at least P, too.")
@click.option(
    "--field", default="GENRE", show_default=True, metavar="NAME", help="GENRE, or one apart such as TMGC_GENRE."
)
@click.option("--replace", is_flag=True, help="Replace a genre that a song has.")
@click.option("--id3v2-version", type=click.Choice(["3", "4"]), default="4", show_default=True, help="Of new tags.")
@click.option("--yes", is_flag=True, help="Write. Without it, only show what would be written.")
def write(out: Path, id3v2_version: str, yes: bool, **options: Any) -> None:
    """Write genres into the tags of MP3, FLAC, Ogg Vorbis, Opus and M4A files.

    A journal in OUT keeps what was there before: see tmgc-tag undo.

    Exit code 0: done; 1: some songs could not be written, for reasons that are named; 2: an option was refused, or the
    disk is full.
    """
    from edge_runtime.archive import tags
    from edge_runtime.archive.results import read_archive, require_archive_extra

    require_archive_extra("mutagen")
    settings = tags.WriteSettings(**options, id3v2_version=int(id3v2_version))
    archive = read_archive(out)
    with _journal(out, yes) as journal:
        counts = _show(tags.write_tags(archive, settings, journal=journal))
    for outcome, what in (
        (tags.SAME, "songs that have their genre already"),
        (tags.KEPT, "songs that keep another genre, which --replace replaces"),
        (tags.UNSURE, "songs below --min-confidence"),
        (tags.NO_GENRE, "songs without a genre: unknown, silent or not read"),
        (tags.REMOTE, "songs on another machine, where no tags are written"),
    ):
        if counts[outcome]:
            log.info("%s: %d", what, counts[outcome])
    _end(counts, yes, "written")


@click.command("undo", cls=OneLineCommand)
@_OUT
@click.option("--yes", is_flag=True, help="Restore. Without it, only show what would be restored.")
def undo(out: Path, yes: bool) -> None:
    """Restore what tmgc-tag write has replaced; songs that have changed since stay as they are.

    Exit codes as of tmgc-tag write.
    """
    from edge_runtime.archive.results import read_archive_json, require_archive_extra
    from edge_runtime.archive.tags import undo_tags

    require_archive_extra("mutagen")
    read_archive_json(out)
    with _journal(out, yes) as journal:
        counts = _show(undo_tags(out, journal=journal))
    _end(counts, yes, "restored")


@click.command("playlist", cls=OneLineCommand)
@_OUT
@click.option("--genre", required=True, help="Of the model, unknown or silence.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, metavar="P", help="Of each song.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The N songs of the highest confidence.")
@click.option(
    "--relative-to", type=click.Path(path_type=Path), metavar="FOLDER", help="Write paths as seen from FOLDER."
)
def playlist(out: Path, genre: str, min_confidence: float, limit: int | None, relative_to: Path | None) -> None:
    """Print the songs of a genre as an M3U8 playlist."""
    from edge_runtime.archive.playlist import playlist as lines_of
    from edge_runtime.archive.results import read_archive

    lines = lines_of(read_archive(out), genre, min_confidence=min_confidence, limit=limit, relative_to=relative_to)
    standard_output("utf-8")
    for line in lines:
        print(line)  # a path as it is: no control character is in it


@contextmanager
def _journal(out: Path, yes: bool) -> Iterator[Journal | None]:
    """The journal, while nobody else works on the results; None for a dry run."""
    from edge_runtime.archive.journal import Journal
    from edge_runtime.archive.lock import lock_results

    if not yes:
        yield None
        return
    with lock_results(out, shared=False), Journal(out) as journal:
        yield journal


def _show(songs: Iterable[Done]) -> Counter[str]:
    """Print the songs that change, and log those that cannot; the number of songs of each outcome."""
    from edge_runtime.archive.tags import REFUSED, WRITTEN

    counts = Counter[str]()
    for song in songs:
        counts[song.outcome] += 1
        if song.outcome == WRITTEN:
            before, after = (", ".join(values) or "nothing" for values in (song.before, song.after))
            print_line(f"{song.path}: {before} -> {after}")
        elif song.outcome == REFUSED:
            log.warning("%s: %s", song.path, song.reason)
    return counts


def _end(counts: Counter[str], yes: bool, done: str) -> None:
    """Log the result, and end the process."""
    from edge_runtime.archive.tags import REFUSED, WRITTEN

    if yes:
        log.info("tags %s: %d", done, counts[WRITTEN])
    else:
        log.info("tags that would be %s: %d. Nothing was changed: add --yes", done, counts[WRITTEN])
    if counts[REFUSED]:
        log.warning("songs that were refused, see above: %d", counts[REFUSED])
        sys.exit(INCOMPLETE)

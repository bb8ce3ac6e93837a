"""``report.html`` of an archive: one self-contained page, for a computer or a phone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from edge_runtime.archive.remote import is_address
from edge_runtime.archive.results import Archive
from edge_runtime.archive.statistics import BINS, Reason, Statistics, UncertainSong, in_order, statistics_of
from edge_runtime.files import atomic_write
from edge_runtime.predictions import SILENCE
from edge_runtime.terminal import printable

REPORT = "report.html"

_MOST_REASONS = 50


def write_report(archive: Archive) -> Path:
    """Write the page into the folder of the results.

    Parameters
    ----------
    archive : Archive

    Returns
    -------
    path : Path

    Raises
    ------
    TmgcError
        Jinja2 is missing, or a shard cannot be read.
    """
    path = archive.folder / REPORT
    page = html_report(archive, statistics_of(archive))
    with atomic_write(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def html_report(archive: Archive, found: Statistics) -> str:
    """Render the page.

    Parameters
    ----------
    archive : Archive
    found : Statistics
        Of its rows.
    """
    from edge_runtime.html import render

    return render(
        "edge_runtime",
        "archive.html",
        title=f"{_count(found.songs)} songs by genre",
        archive=archive,
        model=PurePath(archive.model).name,
        roots=[printable(root) for root in archive.roots],
        totals=_totals(found),
        genres=_genres(archive, found),
        histograms=[
            ("Confidence", "pooled probability of the most probable genre", _bars(found.confidence.tolist())),
            ("Agreement", "share of a song's windows whose genre is the song's", _bars(found.agreement.tolist())),
        ],
        uncertain=[_uncertain(song) for song in found.uncertain],
        failures=_reasons(found.errors),
        failed=found.failed,
        damages=_reasons(found.warnings),
        damaged=found.damaged,
    )


def _totals(found: Statistics) -> list[tuple[str, str, str]]:
    """Figures in large print: value, what it is, remark."""
    work_s = (found.decode_ms + found.model_ms) / 1e3
    totals = [(_count(found.songs), "songs", f"{_count(found.failed)} could not be read")]
    totals.append((f"{found.seconds / 3600:,.1f}", "hours of music", ""))
    if work_s:
        share = found.decode_ms / work_s / 10
        totals.append((f"{found.songs / work_s:.1f}", "songs a second and core", f"{work_s / 3600:,.2f} core hours"))
        totals.append((f"{share:.0f} %", "of the time decodes", f"{100 - share:.0f} % runs the model"))
    return totals


def _genres(archive: Archive, found: Statistics) -> list[dict[str, Any]]:
    """Rows of the table of genres, with the width of their bars in percent."""
    names = in_order(archive.genres, found.genres)
    most = max((found.genres[name].songs for name in names), default=0) or 1
    rows = []
    for name in names:
        total = found.genres[name]
        means = [
            _percent(value, total.songs if name != SILENCE else 0) for value in (total.confidence, total.agreement)
        ]
        rows.append(
            {
                "counts": [name, _count(total.songs), _percent(total.songs, found.songs)],
                "width": 100 * total.songs / most,
                "means": [f"{total.seconds / 3600:,.1f}", *means],
            }
        )
    return rows


def _bars(counts: list[int]) -> list[dict[str, Any]]:
    most = max(counts) or 1
    step = 100 // BINS
    return [
        {"range": f"{place * step}-{(place + 1) * step} %", "songs": _count(count), "height": 100 * count / most}
        for place, count in enumerate(counts)
    ]


def _uncertain(song: UncertainSong) -> dict[str, Any]:
    path = PurePath(song.path)
    return {
        "name": printable(path.name),
        "folder": printable(str(path.parent)) if path.parent.name else "",
        "address": None if is_address(song.root) else Path(song.root, path).absolute().as_uri(),
        "genres": [(genre, _percent(probability, 1)) for genre, probability in song.genres],
    }


def _reasons(reasons: Mapping[str, Reason]) -> list[tuple[str, str, str]]:
    most = sorted(reasons.items(), key=lambda item: -item[1].songs)[:_MOST_REASONS]
    return [
        (_count(reason.songs), printable(line), "\n".join(map(printable, reason.examples))) for line, reason in most
    ]


def _count(number: int) -> str:
    return f"{number:,}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"

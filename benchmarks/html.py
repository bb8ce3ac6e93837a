"""``report.html``: a benchmark on one page that needs no other file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from benchmarks.machine import one_line
from benchmarks.notes import closing_lines
from benchmarks.table import sections
from benchmarks.wording import NOTHING, number
from train.page import figure, heading, page, paragraph, table, warning

_SUMMARY = ("p50", "p90", "p99", "min", "mean", "max", "std")


def html_report(report: dict[str, Any]) -> str:
    """The page.

    Parameters
    ----------
    report : dict
        See :mod:`benchmarks.report`.

    Returns
    -------
    document : str
        HTML without a reference to anything outside it; without plots where matplotlib is not installed.
    """
    return page(f"{report['run']}: how fast it names a genre", [*_verdict(report), *_tables(report), *_details(report)])


def _verdict(report: dict[str, Any]) -> Iterator[str]:
    yield paragraph(f"Measured {report['created']} on {one_line(report['machine'])}.")
    for row in report["rows"]:
        if not row["ok"]:
            yield warning(f"{row['name']} failed: {row['error']}")
    if report["verdict"]:
        best = report["verdict"]
        yield paragraph(f"{best['row']}, the quickest export: {'; '.join(best['lines'])}.")


def _tables(report: dict[str, Any]) -> Iterator[str]:
    for section in sections(report):
        yield heading(section.title)
        yield table(section.headings, section.lines)
    if find_spec("matplotlib"):
        from benchmarks.plots import plots_of

        yield heading("What it looks like")
        for caption, png in plots_of(report):
            yield figure(png, caption)


def _details(report: dict[str, Any]) -> Iterator[str]:
    rows = [row for row in report["rows"] if row["ok"]]
    for title, latency in (("From a file", "latency_ms"), ("From samples in memory", "in_memory_latency_ms")):
        yield heading(f"{title}, ms: all figures")
        yield table(
            ("row", "threads", "windows", *_SUMMARY),
            [
                (row["name"], row["threads"], len(row["samples_ms"]), *(number(row[latency][key]) for key in _SUMMARY))
                for row in rows
            ],
        )
    yield heading("Does it keep up?")
    yield table(
        ("row", "threads", "share of the window", "verdict"),
        [
            (row["name"], row["threads"], f"{row['realtime_factor']:.1%}", "; ".join(row["verdict"]["lines"]))
            for row in rows
        ],
    )
    yield heading("What was run")
    yield table(
        ("row", "runtime", "file", "SHA-256"),
        [(row["name"], row["runtime"] or NOTHING, row["file"], row["sha256"] or NOTHING) for row in report["rows"]],
    )
    yield heading("How, and on what")
    yield from map(paragraph, closing_lines(report))

"""A report for people: a table for the terminal, and the same in Markdown."""

from __future__ import annotations

from typing import Any, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.notes import closing_lines
from benchmarks.rows import ORIGINAL
from benchmarks.wording import NOTHING, n_threads, number

WIDTH = 100
"""Columns that the table needs at most."""

_LATENCY = (
    "row",
    "file\np50 ms",
    "file\np90 ms",
    "file\np99 ms",
    "memory\np50 ms",
    "of the\nwindow %",
    "times as fast\nas the original",
    "as\nKeras",
)
_NEEDS = ("row", "start\ns", "load\ns", "first\nms", "loaded\nMB", "peak\nMB", "file\nMB", "installed\nMB")
_STAGES = ("row", "read", "spectrogram", "figure", "resize", "model", "decision")
_GIVES = ("row", "accuracy\n% (95 %)", "as Keras\n% (95 %)", "GMAC/s", "of the machine's\npeak")


class Section(NamedTuple):
    """A table of the report."""

    title: str
    headings: tuple[str, ...]
    lines: list[tuple[str, ...]]


def terminal_table(report: dict[str, Any]) -> RenderableType:
    """The report's tables and verdict, at most :data:`WIDTH` columns wide."""
    tables = [_rich(section) for section in sections(report)]
    return Group(*tables, *(Text(line) for line in closing_lines(report)))


def markdown(report: dict[str, Any]) -> str:
    """The whole report to paste."""
    return "\n\n".join([*map(section_markdown, sections(report)), *closing_lines(report)])


def section_markdown(section: Section) -> str:
    """A table of it to paste, below its title."""
    names = [heading.replace("\n", " ") for heading in section.headings]
    rule = ["---", *["---:"] * (len(names) - 1)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *section.lines))
    return f"{section.title}:\n\n{table}"


def sections(report: dict[str, Any]) -> list[Section]:
    """The tables: latency for each number of threads, then the others with the most of them."""
    every = report["method"]["threads"]
    found = [
        Section(
            f"From two seconds of sound to an answer, {n_threads(threads)}", _LATENCY, latency_rows(report, threads)
        )
        for threads in every
    ]
    measured = [row for row in _rows(report, max(every)) if row["ok"]]
    if measured:
        words = n_threads(max(every))
        found += [
            Section(f"What each needs, {words}", _NEEDS, [_needs(row) for row in measured]),
            Section(f"Median of each stage, ms, from a file, {words}", _STAGES, [_stages(row) for row in measured]),
            Section(f"How right, and how near the peak, {words}", _GIVES, [_gives(row) for row in measured]),
        ]
    return found


def latency_rows(report: dict[str, Any], threads: int) -> list[tuple[str, ...]]:
    """The cells below the headings, a row of the report a line; a failed row has none."""
    ratios = {
        ratio["to"]: ratio
        for ratio in report["ratios"]
        if (ratio["of"], ratio["from"], ratio["threads"]) == (ORIGINAL, "file", threads)
    }
    lines = []
    for row in _rows(report, threads):
        if not row["ok"]:
            lines.append((row["name"], "failed", *[NOTHING] * (len(_LATENCY) - 2)))
            continue
        latency, same = row["latency_ms"], row["same_answer_as_keras"]
        lines.append(
            (
                row["name"],
                *(number(latency[rank]) for rank in ("p50", "p90", "p99")),
                number(row["in_memory_latency_ms"]["p50"]),
                number(100 * row["realtime_factor"]),
                _ratio(ratios.get(row["name"])),
                f"{same['same']}/{same['of']}" if same else NOTHING,
            )
        )
    return lines


def _needs(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        number(row["start_ms"] / 1e3),
        number(row["load_ms"] / 1e3),
        number(row["first_answer_ms"]),
        *(number(row[key]) for key in ("memory_mb", "peak_memory_mb", "file_mb", "installed_mb")),
    )


def _stages(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["name"], *(number(row["stages_ms"].get(stage)) for stage in _STAGES[1:]))


def _gives(row: dict[str, Any]) -> tuple[str, ...]:
    quality, roofline = row["quality"] or {}, row["roofline"] or {}
    share = roofline.get("share_of_peak")
    return (
        row["name"],
        _share(quality.get("accuracy")),
        _share(quality.get("agreement")),
        number(roofline.get("gmacs_per_s")),
        NOTHING if share is None else f"{number(100 * share)} % ({roofline['number']})",
    )


def _rows(report: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    return [row for row in report["rows"] if row["threads"] == threads]


def _share(share: dict[str, float] | None) -> str:
    if share is None:
        return NOTHING
    value, low, high = (100 * share[name] for name in ("share", "low", "high"))
    return f"{value:.1f} ({low:.0f}-{high:.0f})"


def _rich(section: Section) -> Table:
    table = Table(title=section.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for place, heading in enumerate(section.headings):
        table.add_column(Text(heading), justify="left" if place == 0 else "right", overflow="fold")
    for line in section.lines:
        table.add_row(*line)
    return table


def _ratio(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return NOTHING
    return f"{number(ratio['median'])} ({_short(ratio['low'])}-{_short(ratio['high'])})"


def _short(value: float) -> str:
    return f"{value:.{1 if value < 10 else 0}f}"

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

_HEADINGS = (
    "row",
    "file\np50 ms",
    "file\np99 ms",
    "memory\np50 ms",
    "start\ns",
    "first\nms",
    "peak\nMB",
    "size\nMB",
    "times as fast\nas the original",
    "as\nKeras",
)
_STAGE_HEADINGS = ("row", "read", "spectrogram", "figure", "resize", "model", "decision")
_COST_HEADINGS = (
    "row",
    "loaded\nMB",
    "installed\nMB",
    "accuracy\n% (95 %)",
    "as Keras\n% (95 %)",
    "GMAC/s",
    "of the machine's\npeak",
)


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
    """The report to paste into a README."""
    parts = [f"{section.title}:\n\n{_markdown(section)}" for section in sections(report)]
    return "\n\n".join([*parts, *closing_lines(report)])


def sections(report: dict[str, Any]) -> list[Section]:
    """The tables: latency for each number of threads, then stages and costs with the most of them."""
    every = report["method"]["threads"]
    found = [
        Section(
            f"From two seconds of sound to an answer, {n_threads(threads)}",
            _HEADINGS,
            latency_rows(report, threads),
        )
        for threads in every
    ]
    if stages := stage_rows(report, max(every)):
        title = f"Where they go: median of each stage, ms, from a file, {n_threads(max(every))}"
        found.append(Section(title, _STAGE_HEADINGS, stages))
        found.append(Section(f"What each needs and gives, {n_threads(max(every))}", _COST_HEADINGS, cost_rows(report)))
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
            lines.append((row["name"], "failed", *[NOTHING] * (len(_HEADINGS) - 2)))
            continue
        latency, same = row["latency_ms"], row["same_answer_as_keras"]
        lines.append(
            (
                row["name"],
                number(latency["p50"]),
                number(latency["p99"]),
                number(row["in_memory_latency_ms"]["p50"]),
                number(row["start_ms"] / 1e3),
                number(row["first_answer_ms"]),
                f"{row['peak_memory_mb']:.0f}",
                number(row["file_mb"]),
                _ratio(ratios.get(row["name"])),
                f"{same['same']}/{same['of']}" if same else NOTHING,
            )
        )
    return lines


def stage_rows(report: dict[str, Any], threads: int) -> list[tuple[str, ...]]:
    """The cells of the stages' table."""
    return [
        (row["name"], *[number(row["stages_ms"].get(stage)) for stage in _STAGE_HEADINGS[1:]])
        for row in _rows(report, threads)
        if row["ok"]
    ]


def cost_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cells of what each row needs, how right it is, and how near it comes to the machine's peak."""
    lines: list[tuple[str, ...]] = []
    for row in _rows(report, max(report["method"]["threads"])):
        if row["ok"]:
            quality, roofline = row["quality"] or {}, row["roofline"] or {}
            share = roofline.get("share_of_peak")
            lines.append(
                (
                    row["name"],
                    f"{row['memory_mb']:.0f}",
                    number(row["installed_mb"]),
                    _share(quality.get("accuracy")),
                    _share(quality.get("agreement")),
                    number(roofline.get("gmacs_per_s")),
                    NOTHING if share is None else f"{number(100 * share)} % ({roofline['number']})",
                )
            )
    return lines


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


def _markdown(section: Section) -> str:
    names = [heading.replace("\n", " ") for heading in section.headings]
    rule = ["---", *["---:"] * (len(names) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *section.lines))


def _ratio(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return NOTHING
    return f"{number(ratio['median'])} ({_short(ratio['low'])}-{_short(ratio['high'])})"


def _short(value: float) -> str:
    return f"{value:.{1 if value < 10 else 0}f}"

"""A report for people: a table for the terminal, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.machine import one_line
from benchmarks.rows import ORIGINAL

WIDTH = 100
"""Columns that the table needs at most."""

NOTHING = "-"

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
_STAGE_HEADINGS = ("row", "read", "spectrogram", "figure", "resize", "model")


def terminal_table(report: dict[str, Any]) -> RenderableType:
    """The report's tables and verdict, at most :data:`WIDTH` columns wide."""
    parts: list[RenderableType] = [_rich("From two seconds of sound to an answer", _HEADINGS, latency_rows(report))]
    if stages := stage_rows(report):
        parts.append(_rich("Where they go: median of each stage, ms, from a file", _STAGE_HEADINGS, stages))
    parts += [Text(line) for line in closing_lines(report)]
    return Group(*parts)


def markdown(report: dict[str, Any]) -> str:
    """The report to paste into a README."""
    parts = [_markdown(_HEADINGS, latency_rows(report))]
    if stages := stage_rows(report):
        parts.append("Where the milliseconds go (median of each stage, from a file):")
        parts.append(_markdown(_STAGE_HEADINGS, stages))
    parts += closing_lines(report)
    return "\n\n".join(parts)


def latency_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cells below the headings, a row of the report a line; a failed row has none."""
    ratios = {ratio["to"]: ratio for ratio in report["ratios"] if (ratio["of"], ratio["from"]) == (ORIGINAL, "file")}
    lines = []
    for row in report["rows"]:
        if not row["ok"]:
            lines.append((row["name"], "failed", *[NOTHING] * (len(_HEADINGS) - 2)))
            continue
        latency, same = row["latency_ms"], row["same_answer_as_keras"]
        lines.append(
            (
                row["name"],
                _number(latency["p50"]),
                _number(latency["p99"]),
                _number(row["in_memory_latency_ms"]["p50"]),
                _number(row["start_ms"] / 1e3),
                _number(row["first_answer_ms"]),
                f"{row['peak_memory_mb']:.0f}",
                _number(row["file_mb"]),
                _ratio(ratios.get(row["name"])),
                f"{same['same']}/{same['of']}" if same else NOTHING,
            )
        )
    return lines


def stage_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cells of the stages' table."""
    return [
        (row["name"], *[_number(row["stages_ms"].get(stage)) for stage in _STAGE_HEADINGS[1:]])
        for row in report["rows"]
        if row["ok"]
    ]


def closing_lines(report: dict[str, Any]) -> list[str]:
    """What stands below the tables: failures, how it was measured, on what, and the verdict."""
    method = report["method"]
    windows = method["rounds"] * method["windows_per_round"]
    lines = [f"{row['name']} failed: {row['error']}" for row in report["rows"] if not row["ok"]]
    lines += report["left_out"]
    lines.append(
        f"{method['threads']} thread(s); {windows} windows a row in {method['rounds']} interleaved rounds; "
        "ratios: median of the rounds (lowest-highest)"
    )
    machine = report["machine"]
    lines.append(one_line(machine))
    lines.append(", ".join(f"{name} {version}" for name, version in machine["versions"].items()))
    if report["verdict"]:
        lines += [f"{report['verdict']['row']}: {line}" for line in report["verdict"]["lines"]]
    return lines


def _rich(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), justify="left" if number == 0 else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def _markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    names = [heading.replace("\n", " ") for heading in headings]
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *lines))


def _number(value: float | None) -> str:
    """Three figures or so: 0.123, 1.23, 12.3, 123."""
    if value is None:
        return NOTHING
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _ratio(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return NOTHING
    return f"{_number(ratio['median'])} ({_short(ratio['low'])}-{_short(ratio['high'])})"


def _short(value: float) -> str:
    return f"{value:.{1 if value < 10 else 0}f}"

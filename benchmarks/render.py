"""``report.html``: a benchmark on one page that needs no other file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.cases import ORIGINAL
from benchmarks.scenarios import OFFLINE
from benchmarks.system_info import one_line
from train.html import figure, heading, page, paragraph, table, warning

NOTHING = "-"


def number(value: float | None) -> str:
    """Three figures or so: 0.123, 1.23, 12.3, 123."""
    if value is None:
        return NOTHING
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def n_threads(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"


def closing_lines(report: dict[str, Any]) -> list[str]:
    """All of it, a line each."""
    method = report["method"]
    lines = [
        f"{row['name']} failed, {n_threads(row['threads'])}: {row['error']}" for row in report["rows"] if not row["ok"]
    ]
    lines += report["left_out"]
    least = method["rounds"] * method["windows_per_round"]
    lines.append(
        f"{least} windows and {method['min_s']:g} s a row at least, in {method['rounds']} interleaved rounds; load: "
        f"{method['load']}; ratios: median of the rounds (lowest-highest)"
    )
    lines += _quality_lines(report) + _peak_lines(report) + _load_lines(report)
    machine = report["machine"]
    lines.append(one_line(machine))
    lines += condition_lines(machine)
    lines.append(", ".join(f"{name} {version}" for name, version in machine["versions"].items()))
    if report["verdict"]:
        name = f"{report['verdict']['row']}, {n_threads(report['verdict']['threads'])}"
        lines += [f"{name}: {line}" for line in report["verdict"]["lines"]]
    return lines


def condition_lines(machine: dict[str, Any]) -> list[str]:
    """The machine's state before and after, as far as it tells."""
    before, after = machine["before"], machine["after"]
    words = {
        "temperature_c": "°C",
        "frequency_mhz": "MHz",
        "throttle_count": "times throttled",
        "load_average": "load average",
    }
    told = [f"{before[key]} to {after[key]} {word}" for key, word in words.items() if after[key] is not None]
    if after["throttled"] is not None:
        told.append(f"firmware: {', '.join(after['throttled']) or 'never throttled'}")
    return [f"before and after: {', '.join(told)}"] if told else []


def _quality_lines(report: dict[str, Any]) -> list[str]:
    found = next((row["quality"] for row in report["rows"] if row["quality"]), None)
    if found is None:
        return []
    return [
        f"accuracy and agreement: by tmgc-export, on {found['windows']} windows of {found['songs']} songs of the "
        f"{found['split']} split, each song one trial (Wilson)"
    ]


def _peak_lines(report: dict[str, Any]) -> list[str]:
    return [
        f"peak, {n_threads(peak['threads'])}: {peak[kind]['gmacs_per_s']:.0f} GMAC/s {kind} ({peak[kind]['kernel']})"
        for peak in report["peaks"]
        for kind in ("float32", "int8")
        if peak[kind]
    ]


def _load_lines(report: dict[str, Any]) -> list[str]:
    lines = []
    for row in report["rows"]:
        name = f"{row['name']}, {n_threads(row['threads'])}"
        if row["ok"] and report["method"]["load"] == OFFLINE:
            lines.append(f"{name}: {number(row['windows_per_s'])} windows a second from files")
        if row["ok"] and (paced := row["paced"]):
            lines.append(
                f"{name}, a window each {paced['hop_s']:.1f} s: {paced['late_answers']} of {paced['windows']} answers "
                f"after the next window was due; turns late by {number(paced['lateness_ms']['p99'])} ms (p99)"
            )
    sustained = report["sustained"]
    if sustained and "minutes" in sustained:
        minutes, ratio = len(sustained["minutes"]), sustained["slowdown"]
        lines.append(
            f"{sustained['row']} without a pause, minutes: {minutes}; the last takes {ratio:.2f} times as long as the "
            "first"
        )
    elif sustained:
        lines.append(f"{sustained['row']} could not be run for minutes: {sustained['error']}")
    return lines


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
    for place, title in enumerate(section.headings):
        table.add_column(Text(title), justify="left" if place == 0 else "right", overflow="fold")
    for line in section.lines:
        table.add_row(*line)
    return table


def _ratio(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return NOTHING
    return f"{number(ratio['median'])} ({_short(ratio['low'])}-{_short(ratio['high'])})"


def _short(value: float) -> str:
    return f"{value:.{1 if value < 10 else 0}f}"


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

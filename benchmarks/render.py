"""A report for people: tables on the terminal, as Markdown, and as one HTML page that needs no other file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.cases import REFERENCE
from benchmarks.report import DTYPES, SOURCES, CaseReport, Report, Source, Speedup, Sustained, ThermalState, Verdict
from benchmarks.scenarios import OFFLINE
from benchmarks.statistics import Proportion
from edge_runtime.terminal import printable

WIDTH = 100
"""Columns that the terminal's tables need at most."""

NOTHING = "-"

_LATENCY = (
    "case",
    "file\np50 ms",
    "file\np90 ms",
    "file\np99 ms",
    "memory\np50 ms",
    "of the\nwindow %",
    "times as fast as\nthe reference",
    "as\nKeras",
)
_RESOURCES = ("case", "start\ns", "load\ns", "first\nms", "loaded\nMB", "peak\nMB", "file\nMB", "installed\nMB")
_STAGES = ("case", "read", "spectrogram", "figure", "resize", "model", "decision")
_QUALITY = ("case", "accuracy\n% (95 % CI)", "as Keras\n% (95 % CI)", "GMAC/s", "of the machine's\npeak")
_SUMMARY = ("p50", "p90", "p99", "min", "mean", "max", "std")


class Section(NamedTuple):
    """A table of the report."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Plot(NamedTuple):
    """A chart of the report, PNG, with its caption."""

    caption: str
    png: bytes


def number(value: float | None) -> str:
    """Three significant digits or so: 0.12, 1.23, 12.3, 123."""
    if value is None:
        return NOTHING
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def n_threads(count: int) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} thread{'s' if count > 1 else ''}"


def terminal_table(report: Report) -> RenderableType:
    """The report's tables and footnotes, at most :data:`WIDTH` columns wide."""
    tables = [rich_table(section) for section in sections(report)]
    return Group(*tables, *(Text(printable(line)) for line in footnotes(report)))


def markdown(report: Report) -> str:
    """The whole report as Markdown."""
    return "\n\n".join([*map(section_markdown, sections(report)), *footnotes(report)])


def section_markdown(section: Section) -> str:
    """A table of it, below its title."""
    names = [heading.replace("\n", " ") for heading in section.headings]
    rule = ["---", *["---:"] * (len(names) - 1)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *section.rows))
    return f"{section.title}:\n\n{table}"


def html_report(report: Report, plots: Sequence[Plot] = ()) -> str:
    """The page.

    Parameters
    ----------
    report : Report
    plots : sequence of Plot
        Of :func:`benchmarks.plots.plots_of`.

    Returns
    -------
    document : str
        HTML without a reference to anything outside it.
    """
    from edge_runtime.html import render

    return render(
        "benchmarks",
        "report.html",
        title=f"{report.run}: latency of its models",
        report=report,
        number=number,
        n_threads=n_threads,
        verdict=verdict_lines,
        sections=sections(report),
        plots=plots,
        details=_details(report),
        files=_files(report),
        footnotes=footnotes(report),
    )


def sections(report: Report) -> list[Section]:
    """The tables: latency for each number of threads, then the others with the most of them."""
    every = report.method.threads
    found = [
        Section(
            f"From two seconds of audio to a prediction, {n_threads(threads)}", _LATENCY, latency_rows(report, threads)
        )
        for threads in every
    ]
    cases, with_threads = report.with_threads(max(every)), n_threads(max(every))
    if cases:
        found += [
            Section(f"Start-up, memory and size, {with_threads}", _RESOURCES, [_resources(case) for case in cases]),
            Section(
                f"Median of each stage, ms, from a file, {with_threads}", _STAGES, [_stages(case) for case in cases]
            ),
            Section(f"Accuracy, and share of the peak, {with_threads}", _QUALITY, [_quality(case) for case in cases]),
        ]
    return found


def latency_rows(report: Report, threads: int) -> list[tuple[str, ...]]:
    """The cells of the latency table; a failed case has no figures and comes last."""
    speedups = {
        each.case: each
        for each in report.speedups
        if (each.baseline, each.source, each.threads) == (REFERENCE, "file", threads)
    }
    rows = [_latency(case, speedups.get(case.name)) for case in report.with_threads(threads)]
    failed = [failure.name for failure in report.failures if failure.threads == threads]
    return rows + [(name, "failed", *[NOTHING] * (len(_LATENCY) - 2)) for name in failed]


def verdict_lines(verdict: Verdict, p99_ms: float) -> list[str]:
    """Whether a case keeps up, a sentence each."""
    hop, times = f"{verdict.hop_s:.1f} s", short(verdict.times_over)
    keeps_up = f"yes, {times} times over" if verdict.keeps_up else f"no, {times} of the speed that is needed"
    sub_second = "yes" if verdict.sub_second else "no"
    return [f"keeps up at hop {hop}: {keeps_up}", f"sub-second: {sub_second} (p99 {short(p99_ms)} ms)"]


def footnotes(report: Report) -> list[str]:
    """What stands below the tables: failures, method, machine, versions and verdict, a line each."""
    method = report.method
    failed = (f"{each.name} failed, {n_threads(each.threads)}: {each.error}" for each in report.failures)
    lines = [*failed, *report.left_out]
    lines.append(
        f"at least {method.rounds * method.windows_per_round} windows and {method.min_s:g} s a case, in "
        f"{method.rounds} interleaved rounds; load: {method.load}; ratios: median of the rounds (lowest-highest)"
    )
    lines += [*_quality_lines(report), *_peak_lines(report), *_load_lines(report)]
    if report.sustained:
        lines.append(_sustained_line(report.sustained))
    lines += [str(report.machine), *state_lines(report.before, report.after), report.machine.versions_line]
    if best := report.fastest_export:
        name = f"{best.name}, {n_threads(best.threads)}"
        lines += [f"{name}: {line}" for line in verdict_lines(best.verdict, best.from_file.p99_ms)]
    return lines


def state_lines(before: ThermalState, after: ThermalState) -> list[str]:
    """The machine's state before and after, as far as it tells."""
    units = {
        "temperature_c": "°C",
        "frequency_mhz": "MHz",
        "throttle_count": "times throttled",
        "load_average": "load average",
    }
    known = [
        f"{getattr(before, name)} to {getattr(after, name)} {unit}"
        for name, unit in units.items()
        if getattr(after, name) is not None
    ]
    if after.throttled is not None:
        known.append(f"firmware: {', '.join(after.throttled) or 'never throttled'}")
    return [f"before and after: {', '.join(known)}"] if known else []


def _quality_lines(report: Report) -> list[str]:
    found = next((case.quality for case in report.cases if case.quality), None)
    if found is None:
        return []
    return [
        f"accuracy and agreement: by tmgc-export, on {found.windows} windows of {found.songs} songs of the "
        f"{found.split} split, each song one trial (Wilson)"
    ]


def _peak_lines(report: Report) -> list[str]:
    return [
        f"peak, {n_threads(peak.threads)}: {best.gmacs_per_s:.0f} GMAC/s {dtype} ({best.kernel})"
        for peak in report.peaks
        for dtype in DTYPES
        if (best := peak.of(dtype))
    ]


def _load_lines(report: Report) -> list[str]:
    lines = []
    for case in report.cases:
        name = f"{case.name}, {n_threads(case.threads)}"
        if report.method.load == OFFLINE:
            lines.append(f"{name}: {number(case.windows_per_s)} windows a second from files")
        if paced := case.paced:
            lines.append(
                f"{name}, a window each {paced.hop_s:.1f} s: {paced.late_predictions} of {paced.windows} predictions "
                f"after the next window was due; processing began {number(paced.lateness.p99_ms)} ms late (p99)"
            )
    return lines


def _sustained_line(sustained: Sustained) -> str:
    if sustained.error is not None:
        return f"{sustained.case} could not be run for minutes: {sustained.error}"
    return (
        f"{sustained.case} without a pause for {len(sustained.minutes)} minutes: the last takes "
        f"{sustained.slowdown:.2f} times as long as the first"
    )


def _latency(case: CaseReport, speedup: Speedup | None) -> tuple[str, ...]:
    latency, same = case.from_file, case.same_as_keras
    ratio = speedup.ratio if speedup else None
    return (
        case.name,
        *map(number, (latency.p50_ms, latency.p90_ms, latency.p99_ms)),
        number(case.from_memory.p50_ms),
        number(100 * case.realtime_factor),
        f"{number(ratio.median)} ({short(ratio.low)}-{short(ratio.high)})" if ratio else NOTHING,
        f"{same.same}/{same.of}" if same else NOTHING,
    )


def _resources(case: CaseReport) -> tuple[str, ...]:
    sizes = case.memory_mb, case.peak_memory_mb, case.file_mb, case.installed_mb
    times = case.start_ms / 1e3, case.load_ms / 1e3, case.first_prediction_ms
    return (case.name, *map(number, times), *map(number, sizes))


def _stages(case: CaseReport) -> tuple[str, ...]:
    found = (case.stages.get(stage) for stage in _STAGES[1:])
    return (case.name, *(number(stage.p50_ms if stage else None) for stage in found))


def _quality(case: CaseReport) -> tuple[str, ...]:
    quality, roofline = case.quality, case.roofline
    share = roofline.share_of_peak if roofline else None
    return (
        case.name,
        _percent(quality.accuracy if quality else None),
        _percent(quality.agreement if quality else None),
        number(roofline.gmacs_per_s if roofline else None),
        f"{number(100 * share)} % ({roofline.dtype})" if roofline and share is not None else NOTHING,
    )


def _percent(proportion: Proportion | None) -> str:
    if proportion is None:
        return NOTHING
    return f"{100 * proportion.value:.1f} ({100 * proportion.low:.0f}-{100 * proportion.high:.0f})"


def short(value: float) -> str:
    """Two significant digits or so, for the ends of an interval: 1.2, 12."""
    return f"{value:.{1 if value < 10 else 0}f}"


def rich_table(section: Section) -> Table:
    """A table for a terminal."""
    table = Table(title=section.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    for place, title in enumerate(section.headings):
        justify: JustifyMethod = "left" if place == 0 else "right"
        table.add_column(Text(title), justify=justify, overflow="fold", no_wrap=place == 0)
    for row in section.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _details(report: Report) -> list[Section]:
    """All figures of the latencies, from each source."""
    headings = ("case", "threads", "windows", *_SUMMARY)
    titles = {"file": "From a file", "memory": "From samples in memory"}
    return [
        Section(f"{titles[source]}, ms: all figures", headings, [_summary(case, source) for case in report.cases])
        for source in SOURCES
    ]


def _summary(case: CaseReport, source: Source) -> tuple[str, ...]:
    latency = case.latency(source)
    figures = (number(getattr(latency, f"{name}_ms")) for name in _SUMMARY)
    return (case.name, str(case.threads), str(len(latency.samples_ms)), *figures)


def _files(report: Report) -> list[tuple[str, ...]]:
    """Runtime, file and hash of each case, whatever its threads."""
    return list(dict.fromkeys((case.name, case.runtime, case.file, case.sha256) for case in report.cases))

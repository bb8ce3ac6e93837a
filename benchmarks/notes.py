"""What stands below the tables of a report: failures, how it was measured, on what machine, and the verdict."""

from __future__ import annotations

from typing import Any

from benchmarks.machine import one_line
from benchmarks.scenarios import OFFLINE
from benchmarks.wording import n_threads, number


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

"""The report of a benchmark: one JSON document with every raw sample, from which every figure can be had again.

============================  =======================================================================================
``schema``                    1
``created``, ``run``          when (UTC) and of what
``method``                    threads, rounds, windows a round, what is not kept, and the excerpts of sound
``machine``                   see :func:`benchmarks.machine.describe_machine`
``rows``                      one object a row, below
``ratios``                    ``of`` takes ``median`` times as long as ``to``; ``low`` and ``high`` of the ``rounds``
``verdict``                   the quickest export, and whether it keeps up
``left_out``                  exports that were not measured, each with its reason
============================  =======================================================================================

A row has ``name``, ``ok``, ``error``, ``threads``, ``runtime``, ``file``, ``file_mb``, ``sha256``; ``start_ms`` (from
the start of its process until it is ready), ``load_ms`` (the part of it that imports libraries and loads the model),
``first_answer_ms``; ``latency_ms`` (from a file on disk) and ``in_memory_latency_ms``, each with ``p50``, ``p90``,
``p99``, ``min``, ``mean``, ``max``, ``std``; ``stages_ms`` (median of each stage, from a file); ``realtime_factor``
(share of the window that its answer takes on average); ``memory_mb`` (after loading) and ``peak_memory_mb``;
``same_answer_as_keras`` (over the excerpts; None where it does not apply); and the raw ``samples_ms``,
``in_memory_samples_ms`` and ``stage_samples_ms``, in the order of measuring. MB are 1e6 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.rows import KERAS_PREDICT, ORIGINAL
from benchmarks.running import Plan, RowResult
from benchmarks.sound import WINDOW_SECONDS, Excerpt
from benchmarks.summary import pairwise_ratio, summarize
from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of, written_whole

SCHEMA = 1

_SAMPLES = {"file": "samples_ms", "memory": "in_memory_samples_ms"}
_LATENCIES = {"file": "latency_ms", "memory": "in_memory_latency_ms"}
_DIGITS = 4
"""Of a millisecond. Every figure is computed from the rounded samples, so that a reader gets the same."""


def build_report(
    results: Sequence[RowResult], *, plan: Plan, excerpts: Sequence[Excerpt], run: str, left_out: Sequence[str]
) -> dict[str, Any]:
    """The report of measured rows."""
    answers = _answers(results)
    rows = [_row(result, plan, answers) for result in results]
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run,
        "method": {
            "threads": plan.threads,
            "rounds": plan.rounds,
            "windows_per_round": plan.windows_per_round,
            "warmup_windows": plan.warmup_windows,
            "settling_windows": plan.settling_windows,
            "loading_at_once": plan.loading_at_once,
            "window_s": WINDOW_SECONDS,
            "excerpts": [excerpt.to_json() for excerpt in excerpts],
        },
        "machine": describe_machine(),
        "rows": rows,
        "ratios": _ratios(rows, plan.windows_per_round),
        "verdict": verdict(rows),
        "left_out": list(left_out),
    }


def verdict(rows: Sequence[dict[str, Any]], *, hop_seconds: float = 1.0) -> dict[str, Any] | None:
    """Whether the quickest export answers as fast as windows come; None where no row was measured.

    Parameters
    ----------
    rows : sequence of dict
        As in a report.
    hop_seconds : float > 0
        Seconds from one window to the next, as ``tmgc-listen`` takes them by default.

    Returns
    -------
    verdict : dict
        ``row``, ``keeps_up``, ``times_over`` (the hop over the mean latency from a file), ``sub_second`` (the 99th
        percentile is) and ``lines`` for people.
    """
    measured = [row for row in rows if row["ok"]]
    exports = [row for row in measured if row["name"] not in (ORIGINAL, KERAS_PREDICT)]
    if not measured:
        return None
    best = min(exports or measured, key=lambda row: row["latency_ms"]["p50"])
    latency = best["latency_ms"]
    times_over = hop_seconds * 1e3 / latency["mean"]
    keeps_up, sub_second = times_over >= 1, latency["p99"] < 1e3
    how = f"yes, {_short(times_over)} times over" if keeps_up else f"no (mean {latency['mean']:.0f} ms)"
    return {
        "row": best["name"],
        "hop_s": hop_seconds,
        "keeps_up": keeps_up,
        "times_over": times_over,
        "sub_second": sub_second,
        "lines": [
            f"keeps up at hop {hop_seconds:.1f} s: {how}",
            f"sub-second: {'yes' if sub_second else 'no'} (p99 {_short(latency['p99'])} ms)",
        ],
    }


def write_json(report: dict[str, Any], folder: Path) -> Path:
    """Write ``bench.json``."""
    return write_text(to_json(report), folder / "bench.json")


def to_json(report: dict[str, Any]) -> str:
    """The report as a JSON document."""
    return json.dumps(report, ensure_ascii=False, indent=1)


def write_text(text: str, path: Path) -> Path:
    """Write a file, and its folder where there is none.

    Raises
    ------
    TmgcError
        It cannot be written there.
    """
    try:
        with written_whole(path) as partial:
            partial.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise TmgcError(
            f"the report needs a folder that can be written to: {path.parent} cannot ({error.strerror}). Name another: "
            "--output DIR"
        ) from error
    return path


def _row(result: RowResult, plan: Plan, answers: dict[str, dict[int, int]]) -> dict[str, Any]:
    model, loaded = result.row.model, result.loaded
    row: dict[str, Any] = {
        "name": result.row.name,
        "ok": result.failure is None,
        "error": result.failure,
        "threads": plan.threads,
        "runtime": loaded.get("runtime"),
        "file": str(model),
        "file_mb": model.stat().st_size / 1e6 if model.is_file() else None,
        "sha256": sha256_of(model) if model.is_file() else None,
        "start_ms": loaded.get("start_ms"),
        "load_ms": loaded.get("load_ms"),
        "first_answer_ms": result.first_answer_ms,
        "memory_mb": loaded.get("memory_mb"),
        "peak_memory_mb": result.peak_memory_mb,
        "same_answer_as_keras": _same_answers(result.row.name, answers),
    }
    return row | (_figures(result) if result.failure is None else {})


def _figures(result: RowResult) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for source, windows in result.windows.items():
        samples = [round(window["total_ms"], _DIGITS) for window in windows]
        figures[_SAMPLES[source]] = samples
        figures[_LATENCIES[source]] = summarize(samples)
    stages = {
        stage: [round(window["stages_ms"][stage], _DIGITS) for window in result.windows["file"]]
        for stage in result.windows["file"][0]["stages_ms"]
    }
    figures["stage_samples_ms"] = stages
    figures["stages_ms"] = {stage: summarize(samples)["p50"] for stage, samples in stages.items()}
    figures["realtime_factor"] = figures["latency_ms"]["mean"] / (WINDOW_SECONDS * 1e3)
    return figures


def _answers(results: Sequence[RowResult]) -> dict[str, dict[int, int]]:
    """Of each measured row, the genre that it named for each excerpt."""
    return {
        result.row.name: {window["excerpt"]: window["genre"] for window in result.windows["file"]}
        for result in results
        if result.failure is None
    }


def _same_answers(name: str, answers: dict[str, dict[int, int]]) -> dict[str, int] | None:
    """Excerpts that a row names as Keras does. The original sees other pictures, so it has no say."""
    if name in (ORIGINAL, KERAS_PREDICT) or name not in answers or KERAS_PREDICT not in answers:
        return None
    keras = answers[KERAS_PREDICT]
    same = sum(keras.get(excerpt) == genre for excerpt, genre in answers[name].items())
    return {"same": same, "of": len(answers[name])}


def _ratios(rows: Sequence[dict[str, Any]], windows_per_round: int) -> list[dict[str, Any]]:
    """Of the original and of Keras ``predict``, to every other row that was measured."""
    measured = {row["name"]: row for row in rows if row["ok"]}
    return [
        {"of": slow, "to": fast, "from": source}
        | pairwise_ratio(measured[slow][samples], measured[fast][samples], windows_per_round=windows_per_round)
        for slow in (ORIGINAL, KERAS_PREDICT)
        for fast in measured
        for source, samples in _SAMPLES.items()
        if slow in measured and fast not in (slow, ORIGINAL)
    ]


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"

"""One row of a report: what its process measured, and every figure that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.installed import installed_mb
from benchmarks.quality import quality_of
from benchmarks.roofline import achieved
from benchmarks.rows import KERAS_PREDICT, ORIGINAL, PACKAGED, RowSpec
from benchmarks.running import RowResult
from benchmarks.scenarios import PACED
from benchmarks.sound import WINDOW_SECONDS
from benchmarks.summary import summarize
from benchmarks.verdict import verdict_of
from edge_runtime.errors import TmgcError
from edge_runtime.files import sha256_of
from export.graph_facts import graph_facts

SAMPLES = {"file": "samples_ms", "memory": "in_memory_samples_ms"}
"""Key of the raw samples from each source."""

_LATENCIES = {"file": "latency_ms", "memory": "in_memory_latency_ms"}
_DIGITS = 4
"""Of a millisecond. Every figure is computed from the rounded samples, so that a reader gets the same."""


@dataclass(frozen=True)
class Surroundings:
    """What a row is held against."""

    answers: Mapping[tuple[str, int], Mapping[int, int]]
    """Of each row that was measured, by name and threads, the genre that it named for each excerpt."""
    parity: Sequence[Mapping[str, Any]]
    """The reports of the run's ``parity.json``."""
    peaks: Mapping[int, Mapping[str, Any]]
    """The machine's peak, by threads: see :func:`benchmarks.roofline.measure_peak`."""
    macs: Mapping[bool, int | None]
    """Of the run's files that take pictures (False) and of those that take waveforms (True), where a TFLite file of
    them tells."""

    @classmethod
    def of(
        cls,
        results: Sequence[RowResult],
        *,
        parity: Sequence[Mapping[str, Any]],
        peaks: Mapping[int, Mapping[str, Any]],
    ) -> Surroundings:
        """Gather what the rows of one benchmark have in common."""
        answers = {
            (result.row.name, result.plan.threads): {
                window["excerpt"]: window["genre"] for window in result.windows["file"]
            }
            for result in results
            if result.failure is None
        }
        files = (result.row for result in results if result.failure is None and result.row.pipeline != PACKAGED)
        macs = {row.takes_waveform: _macs_of(row.model) for row in files if row.model.suffix == ".tflite"}
        return cls(answers, parity, peaks, macs)


def row_object(result: RowResult, around: Surroundings) -> dict[str, Any]:
    """A row as it stands in a report; see :mod:`benchmarks.report`."""
    model, loaded = result.row.model, result.loaded
    sha256 = sha256_of(model) if model.is_file() else None
    row: dict[str, Any] = {
        "name": result.row.name,
        "ok": result.failure is None,
        "error": result.failure,
        "threads": result.plan.threads,
        "cores": loaded.get("cores"),
        "runtime": loaded.get("runtime"),
        "file": result.row.file,
        "file_mb": model.stat().st_size / 1e6 if model.is_file() else None,
        "sha256": sha256,
        "installed_mb": installed_mb(result.row),
        "start_ms": loaded.get("start_ms"),
        "load_ms": loaded.get("load_ms"),
        "first_answer_ms": result.first_answer_ms,
        "memory_mb": loaded.get("memory_mb"),
        "peak_memory_mb": result.peak_memory_mb,
        "quality": quality_of(result.row, sha256, around.parity),
        "same_answer_as_keras": _same_answers(result, around.answers),
    }
    if result.failure is None:
        row |= _figures(result)
        peak = around.peaks.get(result.plan.threads)
        row["roofline"] = achieved(row, _macs(result.row, around), peak, result.row.recipe)
    return row


def _figures(result: RowResult) -> dict[str, Any]:
    figures: dict[str, Any] = {"windows_per_round": result.windows_per_round}
    for source, windows in result.windows.items():
        samples = _rounded(window["total_ms"] for window in windows)
        figures[SAMPLES[source]] = samples
        figures[_LATENCIES[source]] = summarize(samples)
    windows = result.windows["file"]
    stages = {stage: _rounded(window["stages_ms"][stage] for window in windows) for stage in windows[0]["stages_ms"]}
    latency = figures["latency_ms"]
    figures |= {
        "stage_samples_ms": stages,
        "stages_ms": {stage: summarize(samples)["p50"] for stage, samples in stages.items()},
        "realtime_factor": latency["mean"] / (WINDOW_SECONDS * 1e3),
        "windows_per_s": 1e3 / latency["mean"],
        "verdict": verdict_of(latency),
        "paced": _pace(result) if result.plan.load.scenario == PACED else None,
    }
    return figures


def _pace(result: RowResult) -> dict[str, Any]:
    """How late windows had their turn, and how many answers came after the next window was due."""
    windows = result.windows["file"]
    late = _rounded(window["late_ms"] for window in windows)
    hop_ms = result.plan.load.hop_seconds * 1e3
    return {
        "hop_s": result.plan.load.hop_seconds,
        "late_answers": sum(window["total_ms"] > hop_ms for window in windows),
        "windows": len(windows),
        "lateness_ms": summarize(late),
        "lateness_samples_ms": late,
    }


def _same_answers(result: RowResult, answers: Mapping[tuple[str, int], Mapping[int, int]]) -> dict[str, int] | None:
    """Excerpts that a row names as Keras does. The original sees other pictures, so it has no say."""
    threads = result.plan.threads
    own, keras = answers.get((result.row.name, threads)), answers.get((KERAS_PREDICT, threads))
    if result.row.pipeline in (ORIGINAL, KERAS_PREDICT, PACKAGED) or own is None or keras is None:
        return None
    return {"same": sum(keras.get(excerpt) == genre for excerpt, genre in own.items()), "of": len(own)}


def _macs(row: RowSpec, around: Surroundings) -> int | None:
    """Of its own file; where that does not tell, of a TFLite file of the same network."""
    if row.model.suffix == ".tflite":
        return _macs_of(row.model)
    return None if row.pipeline == PACKAGED else around.macs.get(row.takes_waveform)


def _macs_of(model: Path) -> int | None:
    """None where the library that reads such files is not installed."""
    try:
        return graph_facts(model).macs
    except TmgcError:
        return None


def _rounded(values: Any) -> list[float]:
    return [round(value, _DIGITS) for value in values]

"""The report of a benchmark: one JSON document with every raw sample, from which every figure can be had again.

:data:`REPORT_SCHEMA` says what each key holds; MB are 1e6 bytes, and a figure that a machine does not tell is null.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import KERAS_PREDICT, OF_THE_NETWORK, ORIGINAL, PACKAGED, TFLITE_RUNTIME, RowSpec
from benchmarks.inputs import WINDOW_SECONDS, Excerpt
from benchmarks.roofline import achieved
from benchmarks.runner import Plan, RowResult
from benchmarks.scenarios import PACED
from benchmarks.system_info import describe_machine, installed_mb
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.listener import ListenSettings
from edge_runtime.system_info import thermal_state
from export.metadata import graph_facts
from train.evaluation.metrics import wilson_interval

PERCENTILES = (50, 90, 99)


def summarize(samples_ms: Sequence[float]) -> dict[str, float]:
    """Percentiles, extremes, mean and spread of latencies. No sample is left out.

    Parameters
    ----------
    samples_ms : sequence of float, ms
        At least one.

    Returns
    -------
    summary : dict
        ``p50``, ``p90``, ``p99`` (between samples by linear interpolation), ``min``, ``mean``, ``max``, and ``std``
        with n - 1 in its denominator; all in ms.
    """
    samples = np.asarray(samples_ms, np.float64)
    values = dict(zip((f"p{rank}" for rank in PERCENTILES), np.percentile(samples, PERCENTILES), strict=True))
    values |= {"min": samples.min(), "mean": samples.mean(), "max": samples.max()}
    values["std"] = samples.std(ddof=1) if len(samples) > 1 else 0.0
    return {name: float(value) for name, value in values.items()}


def pairwise_ratio(slow_ms: Sequence[float], fast_ms: Sequence[float], *, rounds: int) -> dict[str, Any]:
    """How many times as long one row takes as another, round against round.

    The rounds of two rows stand side by side in time, so that whatever slows the machine meanwhile slows both.

    Parameters
    ----------
    slow_ms, fast_ms : sequence of float, ms
        In the order in which they were measured; equally many in each round, but one may have more than the other.
    rounds : int > 0

    Returns
    -------
    ratio : dict
        ``rounds``: the ratio of the two medians of each round; ``median``, ``low`` and ``high`` of those.
    """
    slow, fast = (
        np.median(np.reshape(np.asarray(samples, np.float64), (rounds, -1)), axis=1) for samples in (slow_ms, fast_ms)
    )
    ratios = slow / fast
    return {
        "median": float(np.median(ratios)),
        "low": float(ratios.min()),
        "high": float(ratios.max()),
        "rounds": ratios.tolist(),
    }


def quality_of(row: RowSpec, sha256: str | None, reports: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Accuracy, and agreement with Keras, on the held-out split.

    Parameters
    ----------
    row : RowSpec
    sha256 : str or None
        Of its model: a report about another file of the same name does not count.
    reports : sequence of dict
        Of the run's ``parity.json``.

    Returns
    -------
    quality : dict or None
        ``split``, ``windows``, ``songs``, ``accuracy``, and ``agreement`` (top-1, None for Keras itself), each with
        ``share``, ``low`` and ``high``. Windows of a song are alike, so each 95 % interval (Wilson 1927) counts a song
        as one trial. None where nobody has found out: for the original, whose pictures differ from those that the
        network was trained on, and for tflite-runtime, which did not run the file in its proof.
    """
    if row.pipeline in (ORIGINAL, TFLITE_RUNTIME) or sha256 is None:
        return None
    own = "sha256" if row.is_export else "keras_sha256"
    found = next((report["parity"] for report in reports if report[own] == sha256), None)
    if found is None:
        return None
    songs, accuracy = found["songs"], found["accuracy"]
    return {
        "split": found["split"],
        "windows": found["windows"],
        "songs": songs,
        "accuracy": _interval(accuracy["accuracy_file" if row.is_export else "accuracy_keras"], songs),
        "agreement": _interval(found["top1_agreement"], songs) if row.is_export else None,
    }


def _interval(share: float, songs: int) -> dict[str, float]:
    low, high = wilson_interval(share * songs, songs)
    return {"share": share, "low": low, "high": high}


HOP_SECONDS = ListenSettings().hop_seconds
"""From one window to the next, as ``tmgc-listen`` takes them by default."""


def verdict_of(latency_ms: dict[str, float], *, hop_seconds: float = HOP_SECONDS) -> dict[str, Any]:
    """Whether answers keep up.

    Parameters
    ----------
    latency_ms : dict
        A row's summary, from a file.
    hop_seconds : float > 0

    Returns
    -------
    verdict : dict
        ``hop_s``, ``keeps_up``, ``times_over`` (the hop over the mean latency), ``sub_second`` (the 99th percentile
        is) and ``lines`` for people.
    """
    times_over = hop_seconds * 1e3 / latency_ms["mean"]
    keeps_up, sub_second = times_over >= 1, latency_ms["p99"] < 1e3
    how = f"yes, {_short(times_over)} times over" if keeps_up else f"no (mean {latency_ms['mean']:.0f} ms)"
    return {
        "hop_s": hop_seconds,
        "keeps_up": keeps_up,
        "times_over": times_over,
        "sub_second": sub_second,
        "lines": [
            f"keeps up at hop {hop_seconds:.1f} s: {how}",
            f"sub-second: {'yes' if sub_second else 'no'} (p99 {_short(latency_ms['p99'])} ms)",
        ],
    }


def quickest(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The export of the run with the lowest median from a file, else of all rows; None where nothing was measured."""
    measured = [row for row in rows if row["ok"]]
    others = (*OF_THE_NETWORK, f"{PACKAGED}-")
    exports = [row for row in measured if not row["name"].startswith(others)]
    return min(exports or measured, key=lambda row: row["latency_ms"]["p50"], default=None)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


SAMPLES = {"file": "samples_ms", "memory": "in_memory_samples_ms"}
"""Key of the raw samples from each source."""

_LATENCIES = {"file": "latency_ms", "memory": "in_memory_latency_ms"}
_DIGITS = 4
"""Of a millisecond. Every figure is computed from the rounded samples, so that a reader gets the same."""


@dataclass(frozen=True)
class Surroundings:
    """What a row is held against."""

    predictions: Mapping[tuple[str, int], Mapping[int, int]]
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
        predictions = {
            (result.row.name, result.plan.threads): {
                window["excerpt"]: window["genre"] for window in result.windows["file"]
            }
            for result in results
            if result.failure is None
        }
        files = (result.row for result in results if result.failure is None and result.row.pipeline != PACKAGED)
        macs = {row.takes_waveform: _macs_of(row.model) for row in files if row.model.suffix == ".tflite"}
        return cls(predictions, parity, peaks, macs)


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
        "same_answer_as_keras": _same_answers(result, around.predictions),
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


def _same_answers(result: RowResult, predictions: Mapping[tuple[str, int], Mapping[int, int]]) -> dict[str, int] | None:
    """Excerpts that a row names as Keras does. The original sees other pictures, so it has no say."""
    threads = result.plan.threads
    own, keras = predictions.get((result.row.name, threads)), predictions.get((KERAS_PREDICT, threads))
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


SCHEMA = 1

REPORT_SCHEMA = Path(__file__).with_name("bench.schema.json")
"""The JSON Schema that every report keeps."""


@dataclass
class Measured:
    """All that was measured of a run."""

    run: str
    excerpts: Sequence[Excerpt]
    left_out: Sequence[str]
    parity: Sequence[Mapping[str, Any]]
    """The reports of the run's ``parity.json``."""
    plans: Sequence[Plan]
    """One for each number of threads; they differ in nothing else."""
    before: dict[str, Any] = field(default_factory=thermal_state)
    """The machine's state when it began."""
    results: list[RowResult] = field(default_factory=list)
    peaks: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """By threads."""


def build_report(measured: Measured) -> dict[str, Any]:
    """The report, whose machine's state after everything is the present one."""
    around = Surroundings.of(measured.results, parity=measured.parity, peaks=measured.peaks)
    rows = [row_object(result, around) for result in measured.results]
    plan = measured.plans[0]
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": measured.run,
        "method": {
            "threads": [plan.threads for plan in measured.plans],
            "rounds": plan.rounds,
            "windows_per_round": plan.windows_per_round,
            "min_s": plan.min_seconds,
            "load": plan.load.scenario,
            "warmup_windows": plan.warmup_windows,
            "settling_windows": plan.settling_windows,
            "loading_at_once": plan.loading_at_once,
            "window_s": WINDOW_SECONDS,
            "excerpts": [excerpt.to_json() for excerpt in measured.excerpts],
        },
        "machine": describe_machine() | {"before": measured.before, "after": thermal_state()},
        "peaks": [{"threads": threads, **peak} for threads, peak in measured.peaks.items()],
        "rows": rows,
        "ratios": _ratios(rows, plan.rounds),
        "verdict": _verdict(rows),
        "sustained": None,
        "left_out": list(measured.left_out),
    }


def to_json(report: dict[str, Any]) -> str:
    """The report as a JSON document."""
    return json.dumps(report, ensure_ascii=False, indent=1)


def made_folder(folder: Path) -> Path:
    """A folder for the report, made before anything is measured that could be lost.

    Raises
    ------
    TmgcError
        It cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
        reason = "permission denied"
    except OSError as error:
        reason = str(error.strerror)
    raise TmgcError(
        f"the report needs a folder that can be written to: {folder} cannot ({reason}). Name another: --output DIR"
    )


def write_text(text: str, path: Path) -> None:
    """Write a file of the report whole."""
    with atomic_write(path) as partial:
        partial.write_text(text + "\n", "utf-8")


def _verdict(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """That of the quickest export."""
    best = quickest(rows)
    return {"row": best["name"], "threads": best["threads"], **best["verdict"]} if best else None


def _ratios(rows: Sequence[dict[str, Any]], rounds: int) -> list[dict[str, Any]]:
    """Of the original and of Keras ``predict``, to every other row that was measured with as many threads."""
    measured = [row for row in rows if row["ok"]]
    return [
        {"of": slow["name"], "to": fast["name"], "threads": slow["threads"], "from": source}
        | pairwise_ratio(slow[samples], fast[samples], rounds=rounds)
        for name in (ORIGINAL, KERAS_PREDICT)
        for slow in measured
        for fast in measured
        for source, samples in SAMPLES.items()
        if slow["name"] == name and fast["name"] not in (name, ORIGINAL) and fast["threads"] == slow["threads"]
    ]

"""A whole benchmark: choose the cases and the audio, measure, compute the report, write it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cases import (
    KERAS_PREDICT,
    PACKAGED,
    REFERENCE,
    Case,
    InputKind,
    find_cases,
    select_cases,
)
from benchmarks.inputs import WINDOW_SECONDS, Excerpt, excerpts_of_file, excerpts_of_run
from benchmarks.plots import plots_of
from benchmarks.quality import Parity, quality_of, read_parity
from benchmarks.render import html_report, markdown
from benchmarks.report import (
    SCHEMA,
    SOURCES,
    CaseFailure,
    CaseReport,
    KerasAgreement,
    Method,
    Paced,
    Peak,
    Report,
    Speedup,
    ThermalState,
    Verdict,
)
from benchmarks.roofline import measure_peak, roofline
from benchmarks.runner import CaseResult, Plan, Progress, run_cases, sustain
from benchmarks.scenarios import PACED, SINGLE, Load, Scenario
from benchmarks.statistics import Latency, Ratio
from benchmarks.system_info import describe_machine, installed_mb, thermal_state
from edge_runtime.errors import TmgcError
from edge_runtime.files import atomic_write, sha256_of
from edge_runtime.listener import ListenSettings
from edge_runtime.system_info import usable_cores
from export.metadata import graph_facts
from train.run import Run

THREADS = (1, 2)
QUICK_THREADS = (2,)
RUNS = 50
QUICK_RUNS = 10
ROUNDS = 10
QUICK_ROUNDS = 5
MIN_SECONDS = 5.0

HOP_SECONDS = ListenSettings().hop_seconds
"""From one window to the next, the default of ``tmgc-listen``."""


@dataclass(frozen=True)
class BenchConfig:
    """The options of a benchmark; None where the default depends on ``quick``."""

    audio: Path | None = None
    """An audio file; by default test clips of the run."""
    threads: tuple[int, ...] | None = None
    """Each case is measured with each; :data:`THREADS` or :data:`QUICK_THREADS`, as far as there are cores."""
    runs: int | None = None
    """Windows of each case and source at least; :data:`RUNS` or :data:`QUICK_RUNS`."""
    min_seconds: float | None = None
    """How long each case and source is measured at least; :data:`MIN_SECONDS`, or 0."""
    quick: bool = False
    """Few cases and windows, and the machine's peak is not measured."""
    only: tuple[str, ...] = ()
    """Names of cases; all by default."""
    scenario: Scenario = SINGLE
    sustain_minutes: int = 0
    """How long the fastest export is run at full speed in the end."""
    output: Path | None = None
    """Folder of the report; by default ``bench`` in the run."""

    def plans(self) -> list[Plan]:
        """One for each number of threads.

        Raises
        ------
        TmgcError
            There are fewer cores than threads.
        """
        cores = usable_cores()
        usual = [threads for threads in (QUICK_THREADS if self.quick else THREADS) if threads <= cores] or [1]
        for threads in self.threads or ():
            if not 1 <= threads <= cores:
                raise TmgcError(f"threads are pinned to a core each: 1 to {cores} are possible here, got {threads}")
        plan = Plan.of(
            threads=1,
            runs=self.runs or (QUICK_RUNS if self.quick else RUNS),
            rounds=QUICK_ROUNDS if self.quick else ROUNDS,
            min_seconds=(0.0 if self.quick else MIN_SECONDS) if self.min_seconds is None else self.min_seconds,
            load=Load(self.scenario, HOP_SECONDS),
            loading_at_once=2 if self.quick else 1,
        )
        return [replace(plan, threads=threads) for threads in dict.fromkeys(self.threads or usual)]


def benchmark(run: Run, config: BenchConfig, *, progress: Progress) -> Report:
    """Measure a run's cases and write ``bench.json``, ``bench.md`` and ``report.html``.

    Parameters
    ----------
    run : Run
    config : BenchConfig
    progress : callable

    Returns
    -------
    report : Report

    Raises
    ------
    TmgcError
        There is no such run, case, export or audio, or its ``parity.json`` cannot be read.
    """
    available, left_out = find_cases(run.existing())
    cases = select_cases(available, run, only=config.only, quick=config.quick)
    plans = config.plans()
    excerpts = excerpts_of_file(config.audio) if config.audio else excerpts_of_run(run)
    folder = writable_folder(config.output or run.bench)
    measured = Measured(run.name, excerpts, left_out, read_parity(run), plans)
    for plan in plans:
        if not config.quick:
            progress("the machine", f"peak with {plan.threads} thread(s)", 0, 1)
            measured.peaks.append(measure_peak(plan.threads))
        measured.results += run_cases(cases, excerpts, plan, progress=progress)
    report = build_report(measured)
    if config.sustain_minutes and (best := report.fastest_export):
        case = next(case for case in cases if case.name == best.name)
        minutes = config.sustain_minutes
        sustained = sustain(case, excerpts, threads=best.threads, minutes=minutes, progress=progress)
        report = replace(report, sustained=sustained)
    write_report(report, folder)
    return report


def writable_folder(folder: Path) -> Path:
    """Make the folder of the report, before anything is measured that could be lost.

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


def write_report(report: Report, folder: Path) -> None:
    """Write ``bench.json``, ``bench.md`` and ``report.html``, each atomically.

    ``bench.json`` is written first: an error in a table or a plot does not lose the measurement.
    """
    write_text(folder / "bench.json", report.to_json())
    write_text(folder / "bench.md", markdown(report))
    write_text(folder / "report.html", html_report(report, plots_of(report)))


def write_text(path: Path, text: str) -> None:
    """Write a file of a report atomically.

    Bytes of a file name that are not UTF-8 become ``\\udc..``, which JSON reads back."""
    with atomic_write(path) as partial:
        partial.write_text(text.rstrip("\n") + "\n", "utf-8", errors="backslashreplace")


@dataclass
class Measured:
    """All that was measured of a run."""

    run: str
    excerpts: Sequence[Excerpt]
    left_out: Sequence[str]
    parity: Sequence[Parity]
    plans: Sequence[Plan]
    """One for each number of threads; they differ in nothing else."""
    before: ThermalState = field(default_factory=thermal_state)
    results: list[CaseResult] = field(default_factory=list)
    peaks: list[Peak] = field(default_factory=list)


def build_report(measured: Measured) -> Report:
    """Compute the report; its state of the machine after everything is the present one."""
    context = Context.of(measured)
    plan = measured.plans[0]
    cases = tuple(case_report(result, context) for result in measured.results if result.failure is None)
    return Report(
        schema=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run=measured.run,
        method=describe_method(measured.plans, measured.excerpts),
        machine=describe_machine(),
        before=measured.before,
        after=thermal_state(),
        peaks=tuple(measured.peaks),
        cases=cases,
        failures=failures_of(measured.results),
        speedups=speedups(cases, rounds=plan.rounds),
        sustained=None,
        left_out=tuple(measured.left_out),
    )


def describe_method(plans: Sequence[Plan], excerpts: Sequence[Excerpt]) -> Method:
    """How a benchmark with such plans is done."""
    plan = plans[0]
    return Method(
        threads=tuple(plan.threads for plan in plans),
        rounds=plan.rounds,
        windows_per_round=plan.windows_per_round,
        min_s=plan.min_seconds,
        load=plan.load.scenario,
        warmup_windows=plan.warmup_windows,
        settling_windows=plan.settling_windows,
        loading_at_once=plan.loading_at_once,
        window_s=WINDOW_SECONDS,
        excerpts=tuple(excerpts),
    )


def failures_of(results: Sequence[CaseResult]) -> tuple[CaseFailure, ...]:
    """The cases that failed."""
    return tuple(
        CaseFailure(result.case.name, result.plan.threads, result.case.file, result.failure)
        for result in results
        if result.failure is not None
    )


@dataclass(frozen=True)
class Context:
    """What the cases of one benchmark are compared with."""

    keras: Mapping[int, Mapping[int, int]]
    """By threads, the class index of Keras ``predict`` for each excerpt."""
    parity: Sequence[Parity]
    peaks: Mapping[int, Peak]
    """By threads."""
    macs: Mapping[Path, int | None]
    """Of each TFLite file, which is read once."""
    network_macs: Mapping[InputKind, int | None]
    """Of the run's network by input kind, from a TFLite file of it."""

    @classmethod
    def of(cls, measured: Measured) -> Context:
        """Gather what the cases have in common."""
        done = [result for result in measured.results if result.failure is None]
        keras = {result.plan.threads: _classes(result) for result in done if result.case.pipeline == KERAS_PREDICT}
        files = [result.case for result in done if result.case.format == "tflite"]
        macs = {file: _macs_of(file) for file in {case.model for case in files}}
        network_macs = {case.input_kind: macs[case.model] for case in files if case.pipeline != PACKAGED}
        return cls(keras, measured.parity, {peak.threads: peak for peak in measured.peaks}, macs, network_macs)


def case_report(result: CaseResult, context: Context) -> CaseReport:
    """The report of a case that was measured."""
    case, loaded = result.case, result.loaded
    assert loaded is not None
    sha256 = sha256_of(case.model)
    windows = result.windows["file"]
    latency = Latency.of(window.total_ms for window in windows)
    stages = {stage: Latency.of(window.stages_ms[stage] for window in windows) for stage in windows[0].stages_ms}
    macs, peak = _macs(case, context), context.peaks.get(result.plan.threads)
    return CaseReport(
        name=case.name,
        pipeline=case.pipeline,
        format=case.format,
        recipe=case.recipe,
        input_kind=case.input_kind,
        threads=result.plan.threads,
        cores=loaded.cores,
        engine=case.engine,
        runtime=loaded.runtime,
        file=case.file,
        file_mb=case.model.stat().st_size / 1e6,
        sha256=sha256,
        installed_mb=installed_mb(case),
        start_ms=loaded.start_ms,
        load_ms=loaded.load_ms,
        first_prediction_ms=result.first_prediction_ms,
        memory_mb=loaded.memory_mb,
        peak_memory_mb=result.peak_memory_mb,
        quality=quality_of(case, sha256, context.parity),
        same_as_keras=_same_as_keras(result, context),
        windows_per_round=result.windows_per_round,
        from_file=latency,
        from_memory=Latency.of(window.total_ms for window in result.windows["memory"]),
        stages=stages,
        realtime_factor=latency.mean_ms / (WINDOW_SECONDS * 1e3),
        windows_per_s=1e3 / latency.mean_ms,
        verdict=Verdict.of(latency, hop_s=HOP_SECONDS),
        paced=_paced(result) if result.plan.load.scenario == PACED else None,
        roofline=roofline(macs, stages["model"].p50_ms, peak, recipe=case.recipe) if macs else None,
    )


def _paced(result: CaseResult) -> Paced:
    windows, hop_s = result.windows["file"], result.plan.load.hop_s
    return Paced(
        hop_s=hop_s,
        late_predictions=sum(window.total_ms > hop_s * 1e3 for window in windows),
        windows=len(windows),
        lateness=Latency.of(window.late_ms for window in windows),
    )


def speedups(cases: Sequence[CaseReport], *, rounds: int) -> tuple[Speedup, ...]:
    """How many times as long the reference and Keras ``predict`` take as every other case."""
    return tuple(
        Speedup(slow.name, fast.name, slow.threads, source, _ratio(slow.latency(source), fast.latency(source), rounds))
        for baseline in (REFERENCE, KERAS_PREDICT)
        for slow in cases
        for fast in cases
        for source in SOURCES
        if slow.name == baseline and fast.name not in (baseline, REFERENCE) and fast.threads == slow.threads
    )


def _ratio(slow: Latency, fast: Latency, rounds: int) -> Ratio:
    return Ratio.of(slow.samples_ms, fast.samples_ms, rounds=rounds)


def _same_as_keras(result: CaseResult, context: Context) -> KerasAgreement | None:
    """Excerpts with the class of Keras. The reference sees other images and the packaged model is another network."""
    keras = context.keras.get(result.plan.threads)
    if keras is None or result.case.pipeline in (REFERENCE, KERAS_PREDICT, PACKAGED):
        return None
    own = _classes(result)
    return KerasAgreement(sum(keras.get(excerpt) == index for excerpt, index in own.items()), len(own))


def _classes(result: CaseResult) -> dict[int, int]:
    return {window.excerpt: window.class_index for window in result.windows["file"]}


def _macs(case: Case, context: Context) -> int | None:
    """Of its own file; where that does not tell, of a TFLite file of the same network."""
    if case.format == "tflite":
        return context.macs[case.model]
    return None if case.pipeline == PACKAGED else context.network_macs.get(case.input_kind)


def _macs_of(model: Path) -> int | None:
    """None where the library that reads such files is not installed."""
    try:
        return graph_facts(model).macs
    except TmgcError:
        return None

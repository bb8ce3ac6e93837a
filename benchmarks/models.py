"""Several models side by side: which accuracy costs which latency and memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.benchmark import (
    BenchConfig,
    Context,
    Measured,
    case_report,
    describe_method,
    failures_of,
    writable_folder,
    write_text,
)
from benchmarks.cases import REFERENCE, Case, export_case, find_exports, select_cases
from benchmarks.checks.listening import listening_memory
from benchmarks.inputs import excerpts_of_file, excerpts_of_run
from benchmarks.models_report import (
    SCHEMA,
    Accuracy,
    ModelReport,
    ModelsReport,
    TeacherDifference,
    models_html,
    models_markdown,
)
from benchmarks.plots import plots_of_models
from benchmarks.quality import read_parity
from benchmarks.report import CaseReport
from benchmarks.runner import Progress, run_cases
from benchmarks.statistics import Ratio
from benchmarks.system_info import describe_machine, thermal_state
from edge_runtime.errors import TmgcError, first_line
from edge_runtime.interpreters import SUFFIXES
from edge_runtime.model_card import ModelCard
from edge_runtime.model_file import read_card
from train.run import Run


@dataclass(frozen=True)
class Model:
    """An exported file, and the run that it was exported from."""

    case: Case
    run: Run
    scores: Mapping[str, Any]
    """Accuracy of its network: what the run's card has of it, or the pooled scores of a cross-validation."""

    @property
    def card(self) -> ModelCard:
        """The file's own."""
        return read_card(self.case.model)


def benchmark_models(
    paths: Sequence[Path], config: BenchConfig, *, reference: bool = False, progress: Progress
) -> ModelsReport:
    """Measure exports of several runs in turn, and write ``models.json``, ``models.md`` and ``models.html``.

    Parameters
    ----------
    paths : sequence of Path
        Runs, cross-validations, or exported files. The fastest model of the first is the baseline.
    config : BenchConfig
        Its first number of threads is used.
    reference : bool
        Whether to measure the reference pipeline with the network of the first run, too.
    progress : callable

    Raises
    ------
    TmgcError
        One is neither, or has no export that passed parity; or there is no audio.
    """
    models, left_out = find_models(paths, config.only)
    plan = config.plans()[0]
    first = models[0].run
    cases = [model.case for model in models]
    if reference:
        cases.append(Case(REFERENCE, REFERENCE, first.model, first.card_json))
    excerpts = excerpts_of_file(config.audio) if config.audio else excerpts_of_run(first)
    folder = writable_folder(config.output or first.bench)
    parity = [each for run in {model.run.folder: model.run for model in models}.values() for each in read_parity(run)]
    before = thermal_state()
    results = run_cases(cases, excerpts, plan, progress=progress)
    done = {
        result.case.name: case_report(result, Context.of(Measured("", excerpts, (), parity, [plan], results=[result])))
        for result in results
        if result.failure is None
    }
    measured = [model for model in models if model.case.name in done]
    if not measured:
        raise TmgcError(f"a table needs a model that runs: {results[0].case.name} failed: {results[0].failure}")
    own = [done[model.case.name] for model in measured if model.run == measured[0].run]
    baseline = min(own, key=lambda case: case.from_file.p50_ms)
    report = ModelsReport(
        schema=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        baseline=baseline.name,
        reference=done.get(REFERENCE),
        method=describe_method([plan], excerpts),
        machine=describe_machine(),
        before=before,
        after=thermal_state(),
        models=tuple(_model_report(model, done[model.case.name], baseline, plan.rounds) for model in measured),
        failures=failures_of(results),
        left_out=tuple(left_out),
    )
    write_text(folder / "models.json", report.to_json())
    write_text(folder / "models.md", models_markdown(report))
    write_text(folder / "models.html", models_html(report, plots_of_models(report)))
    return report


def find_models(paths: Sequence[Path], only: Sequence[str] = ()) -> tuple[list[Model], list[str]]:
    """The exports of runs that passed parity, named after their run, and a line about each that is left out.

    Parameters
    ----------
    paths : sequence of Path
        As for :func:`benchmark_models`.
    only : sequence of str
        Names of cases, or the part before the first hyphen of some, which every run must have; all by default.

    Raises
    ------
    TmgcError
        A path is neither, or has no such export.
    """
    models: list[Model] = []
    left_out: list[str] = []
    names = Counter(Run(path).name for path in paths)
    for path in dict.fromkeys(paths):
        label = Run(path).name if names[Run(path).name] == 1 else str(path)
        if path.suffix in SUFFIXES and path.is_file():
            models.append(_model_of_file(path))
            continue
        run, scores = _run_of(path)
        exports, others = find_exports(run)
        left_out += others
        chosen = select_cases(exports, run, only=only)
        models += [Model(replace(case, name=f"{label} {case.name}"), run, scores) for case in chosen]
    return models, left_out


def _model_of_file(path: Path) -> Model:
    run = Run(path.parent)
    card = read_card(path)
    if card.failed_parity:
        raise TmgcError(f"a model must have passed its parity check: {path} has not. Export it with another --quantize")
    return Model(replace(export_case(path, run), name=path.name), run, card.accuracy)


def _run_of(path: Path) -> tuple[Run, Mapping[str, Any]]:
    """A run and its scores; of a cross-validation, the first fold with exports, and the scores of all folds."""
    run = Run(path).existing()
    if not run.cross_validation_json.is_file():
        return run, run.card().accuracy
    folds = [Run(fold) for fold in sorted(path.glob("fold-*")) if Run(fold).exports.is_dir()]
    if not folds:
        raise TmgcError(f"a cross-validation is measured by an export of a fold: run tmgc-export {path}/fold-1")
    try:
        document = json.loads(run.cross_validation_json.read_text("utf-8"))
        scores = [each["scores"] for each in document["methods"] if each["name"] == "network"]
        return folds[0], dict(*scores) | {"split": "folds", "teacher": document.get("teacher")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TmgcError(
            f"{run.cross_validation_json} cannot be read ({first_line(error)}). Run tmgc-train cross-validate again"
        ) from error


def accuracy_of(scores: Mapping[str, Any]) -> Accuracy | None:
    """The accuracy among scores; None where there is none, or not of this version."""
    try:
        low, high = map(float, scores["clip_accuracy_ci"])
        value = float(scores["clip_accuracy"])
        return Accuracy(str(scores["split"]), int(scores["clips"]), int(scores["songs"]), value, low, high)
    except (KeyError, TypeError, ValueError):
        return None


def teacher_of(scores: Mapping[str, Any]) -> TeacherDifference | None:
    """How a student compares with its teacher, by its scores; None where they do not tell."""
    try:
        teacher = scores["teacher"]
        low, high = map(float, teacher["clip_difference_ci"])
        value = float(teacher["clip_difference"])
        return TeacherDifference(str(teacher["name"]), value, low, high, str(teacher["verdict"]))
    except (KeyError, TypeError, ValueError):
        return None


def _model_report(model: Model, case: CaseReport, baseline: CaseReport, rounds: int) -> ModelReport:
    card = model.card
    settings, network = card.spectrogram, card.network
    return ModelReport(
        run=model.run.name,
        architecture=network.get("architecture"),
        width=network.get("width"),
        parameters=network.get("parameters"),
        image=(settings.image_height, settings.image_width, card.colormap_array.shape[1])
        if card.input_kind == "image"
        else None,
        accuracy=accuracy_of(model.scores),
        teacher=teacher_of(model.scores),
        listening_mb=_listening_mb(model.case, case.threads),
        case=case,
        times_as_fast=Ratio.of(baseline.from_file.samples_ms, case.from_file.samples_ms, rounds=rounds),
        invoke_times_as_fast=Ratio.of(
            baseline.stages["model"].samples_ms, case.stages["model"].samples_ms, rounds=rounds
        ),
    )


def _listening_mb(case: Case, threads: int) -> float | None:
    try:
        return listening_memory(case.model, threads=threads).resident_mb
    except TmgcError:
        return None

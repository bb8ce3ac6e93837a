"""The report of several models: what accuracy, latency and memory each has, as a document and as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Group, RenderableType
from rich.text import Text

from benchmarks.documents import Constraint, dumps, from_document, to_document
from benchmarks.render import (
    NOTHING,
    Plot,
    Section,
    n_threads,
    number,
    rich_table,
    section_markdown,
    state_lines,
)
from benchmarks.report import (
    CaseFailure,
    CaseReport,
    Machine,
    Megabytes,
    Method,
    PositiveInt,
    ThermalState,
)
from benchmarks.statistics import Fraction, PositiveFloat, Ratio
from edge_runtime.errors import TmgcError
from edge_runtime.terminal import printable

SCHEMA = 2
"""Version of ``models.json``. A reader refuses any other."""

_TRADE = (
    "model",
    "accuracy\n% (95 % CI)",
    "file\nMB",
    "invoke\nms",
    "file to\nanswer ms",
    "times\nas fast",
    "loaded\nMB",
    "listening\nMB",
)
_NETWORKS = ("model", "architecture", "width", "image", "MMAC", "invoke:\ntimes as fast", "as Keras\n%")
_STUDENTS = ("model", "teacher", "accuracy less its teacher's,\npoints (95 % CI)", "verdict")


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of the network on clips of songs that it has not heard, by tmgc-train."""

    split: str
    """``test``, or ``folds`` where the predictions of all folds of a cross-validation are pooled."""
    clips: PositiveInt
    songs: PositiveInt
    value: Fraction
    low: Fraction
    """Of the 95 % interval, bootstrapped over groups of songs."""
    high: Fraction


@dataclass(frozen=True)
class TeacherDifference:
    """Accuracy of the network less that of its teacher on the same clips, by ``tmgc-train distil``."""

    teacher: str
    value: float
    """In [-1, 1]."""
    low: float
    """Of the 95 % interval of the paired difference."""
    high: float
    verdict: str


@dataclass(frozen=True)
class ModelReport:
    """A model file: its network, its accuracy, and what was measured of it."""

    run: str
    """Name of its run, or of the file where it was named itself."""
    architecture: str | None
    width: PositiveFloat | None
    """Share of the channels of the full network."""
    parameters: PositiveInt | None
    """Weights of the network."""
    image: tuple[PositiveInt, ...] | None
    """Height, width and channels of its input; null where it takes the waveform."""
    accuracy: Accuracy | None
    """Null where the run was not evaluated."""
    teacher: TeacherDifference | None
    listening_mb: Megabytes | None
    """Resident memory of ``tmgc-listen`` after some seconds of it; null where that failed."""
    case: CaseReport
    times_as_fast: Ratio
    """From a file to the prediction, compared with the baseline."""
    invoke_times_as_fast: Ratio
    """The same of the network alone."""

    @property
    def name(self) -> str:
        """Run, format and recipe."""
        return self.case.name

    @property
    def invoke_ms(self) -> float:
        """Median of the network alone."""
        return self.case.stages["model"].p50_ms


@dataclass(frozen=True)
class ModelsReport:
    """Several models, measured in turn in one run, with every raw sample. MB are 1e6 bytes."""

    schema: Annotated[int, Constraint("const", SCHEMA)]
    created: str
    """ISO 8601, UTC."""
    baseline: str
    """Name of the case that the others are compared with."""
    reference: CaseReport | None
    """The pipeline that the project replaces, where it was asked for."""
    method: Method
    machine: Machine
    before: ThermalState
    after: ThermalState
    models: tuple[ModelReport, ...]
    failures: tuple[CaseFailure, ...]
    left_out: tuple[str, ...]
    """What was not measured, each with its reason."""

    def to_json(self) -> str:
        """The report as a JSON document, with each list of samples on one line."""
        return dumps(to_document(self))

    @classmethod
    def read(cls, path: Path) -> ModelsReport:
        """Read a ``models.json``.

        Raises
        ------
        TmgcError
            There is none, or it is of another schema.
        """
        try:
            return from_document(cls, json.loads(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise TmgcError(
                f"a report must be a models.json of this tmgc-bench: {path} is not ({error}). Measure again"
            ) from error

    def pareto_front(self) -> list[ModelReport]:
        """The models than which none is both faster and at least as accurate, from the fastest on."""
        front: list[ModelReport] = []
        known = [model for model in self.models if model.accuracy]
        for model in sorted(known, key=lambda each: (each.case.from_file.p50_ms, -_value(each))):
            if not front or _value(model) > _value(front[-1]):
                front.append(model)
        return front


def _value(model: ModelReport) -> float:
    return model.accuracy.value if model.accuracy else 0.0


def models_sections(report: ModelsReport) -> list[Section]:
    """The tables."""
    threads = n_threads(report.method.threads[0])
    rows = [_trade(model) for model in report.models]
    if report.reference:
        rows.append(_reference(report.reference))
    found = [
        Section(f"Accuracy, latency and memory, {threads}", _TRADE, rows),
        Section("Networks", _NETWORKS, [_network(model) for model in report.models]),
    ]
    students = [_student(model, model.teacher) for model in report.models if model.teacher]
    return [*found, Section("Students", _STUDENTS, students)] if students else found


def models_footnotes(report: ModelsReport) -> list[str]:
    """What stands below the tables: failures, method, machine and versions, a line each."""
    method = report.method
    front = ", ".join(model.name for model in report.pareto_front())
    return [
        *(f"{each.name} failed: {each.error}" for each in report.failures),
        *report.left_out,
        *([f"on the Pareto front: {front}"] if front else []),
        f"times as fast: as {report.baseline}, from file to answer or invoke alone, median of the rounds",
        "accuracy: of the network, on clips, by tmgc-train; as Keras: windows whose genre is that of the network, by "
        "tmgc-export; listening: resident memory of tmgc-listen",
        f"at least {method.rounds * method.windows_per_round} windows and {method.min_s:g} s a model, in "
        f"{method.rounds} interleaved rounds",
        str(report.machine),
        *state_lines(report.before, report.after),
        report.machine.versions_line,
    ]


def models_terminal(report: ModelsReport) -> RenderableType:
    """Tables and footnotes for a terminal."""
    tables = [rich_table(section) for section in models_sections(report)]
    return Group(*tables, *(Text(printable(line)) for line in models_footnotes(report)))


def models_markdown(report: ModelsReport) -> str:
    """The same as Markdown."""
    return "\n\n".join([*map(section_markdown, models_sections(report)), *models_footnotes(report)])


def models_html(report: ModelsReport, plots: Sequence[Plot]) -> str:
    """The same as one HTML page that needs no other file, with plots."""
    from edge_runtime.html import render

    return render(
        "benchmarks",
        "models.html",
        title="What each model costs",
        report=report,
        sections=models_sections(report),
        plots=plots,
        files=[(model.name, model.case.runtime, model.case.file, model.case.sha256) for model in report.models],
        footnotes=models_footnotes(report),
    )


def _trade(model: ModelReport) -> tuple[str, ...]:
    case, accuracy = model.case, model.accuracy
    return (
        model.name,
        f"{100 * accuracy.value:.1f} ({100 * accuracy.low:.0f}-{100 * accuracy.high:.0f})" if accuracy else NOTHING,
        number(case.file_mb),
        number(model.invoke_ms),
        number(case.from_file.p50_ms),
        number(model.times_as_fast.median),
        number(case.memory_mb),
        number(model.listening_mb),
    )


def _reference(case: CaseReport) -> tuple[str, ...]:
    costs = (case.file_mb, case.stages["model"].p50_ms, case.from_file.p50_ms)
    return (case.name, NOTHING, *map(number, costs), NOTHING, number(case.memory_mb), NOTHING)


def _network(model: ModelReport) -> tuple[str, ...]:
    quality, roofline = model.case.quality, model.case.roofline
    return (
        model.name,
        model.architecture or NOTHING,
        NOTHING if model.width is None else f"{model.width:g}",
        "x".join(map(str, model.image)) if model.image else "waveform",
        number(roofline.macs / 1e6 if roofline else None),
        number(model.invoke_times_as_fast.median),
        number(100 * quality.agreement.value) if quality and quality.agreement else NOTHING,
    )


def _student(model: ModelReport, teacher: TeacherDifference) -> tuple[str, ...]:
    points = f"{100 * teacher.value:+.1f} ({100 * teacher.low:+.1f} to {100 * teacher.high:+.1f})"
    return (model.name, teacher.teacher, points, teacher.verdict)

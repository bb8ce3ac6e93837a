"""The kept report is what its raw samples give, and the documentation quotes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from benchmarks.benchmark import speedups
from benchmarks.models_report import ModelsReport, models_markdown, models_sections
from benchmarks.render import Section, markdown, section_markdown, sections
from benchmarks.report import REPORT_SCHEMA, SOURCES, Report, Verdict
from benchmarks.statistics import Latency
from export.parity import TOLERANCES

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "reports" / "inception_resnet_v2_224.json"
ENGINES = ROOT / "benchmarks" / "reports" / "engines.json"
STUDENTS = ROOT / "benchmarks" / "reports" / "students.json"

TABLES = {
    "latency": "From two seconds of audio to a prediction, 2 threads",
    "costs": "Start-up, memory and size, 2 threads",
    "stages": "Median of each stage, ms, from a file, 2 threads",
    "quality": "Accuracy, and share of the peak, 2 threads",
}
"""Titles of the tables that a page may quote, by the last word of the marker before them."""

EACH = pytest.mark.parametrize("path", [KEPT, ENGINES], ids=lambda path: path.stem)

STUDENT_TABLES = {"trade": "Accuracy, latency and memory, 1 thread", "networks": "Networks", "students": "Students"}
"""The same of the report of students."""


def quotations(report: Path) -> list[tuple[str, str, str]]:
    """Page, table and text of each table of a kept report that the documentation quotes.

    A line ``<!-- bench:inception_resnet_v2_224:latency -->`` stands before each. It may leave out rows and columns.
    """
    marker = re.compile(rf"<!-- bench:{report.stem}:(\w+) -->\n(?:(?!\|).*\n)*((?:\|.*\n)+)")
    pages = [*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")]
    return [
        (str(page.relative_to(ROOT)), *found) for page in pages for found in marker.findall(page.read_text("utf-8"))
    ]


@pytest.fixture(scope="module")
def students() -> ModelsReport:
    """The kept report of students."""
    return ModelsReport.read(STUDENTS)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]


@pytest.mark.parametrize(
    ("path", "page", "table", "text"),
    [(path, *quotation) for path in (KEPT, ENGINES) for quotation in quotations(path)],
)
def test_a_table_in_the_documentation_is_one_of_a_kept_report(path: Path, page: str, table: str, text: str) -> None:
    (section,) = [each for each in sections(Report.read(path)) if each.title == TABLES[table]]
    check_quotation(section, page, text)


@pytest.mark.parametrize(("page", "table", "text"), quotations(STUDENTS))
def test_a_table_of_students_in_the_documentation_is_one_of_the_kept_report(
    students: ModelsReport, page: str, table: str, text: str
) -> None:
    (section,) = [each for each in models_sections(students) if each.title == STUDENT_TABLES[table]]
    check_quotation(section, page, text)


def check_quotation(section: Section, page: str, text: str) -> None:
    headings, _, *rows = cells(section_markdown(section).partition("\n\n")[2])
    quoted_headings, _, *quoted_rows = cells(text)
    columns = [headings.index(heading) for heading in quoted_headings]
    known = {row[0]: [row[column] for column in columns] for row in rows}
    assert quoted_rows, page
    for row in quoted_rows:
        assert row == known[row[0]], page


def test_the_kept_report_of_students_is_written_as_one_is(students: ModelsReport) -> None:
    assert STUDENTS.read_text("utf-8") == students.to_json() + "\n"
    assert STUDENTS.with_suffix(".md").read_text("utf-8").strip() == models_markdown(students).strip()
    for model in students.models:
        assert model.case.from_file == Latency.of(model.case.from_file.samples_ms)
        assert model.invoke_ms == Latency.of(model.case.stages["model"].samples_ms).p50_ms


def test_the_kept_students_are_as_small_and_fast_as_the_project_promises(students: ModelsReport) -> None:
    assert students.reference
    teacher, *others = students.models
    assert teacher.architecture == "inception_resnet_v2"
    assert teacher.image == (224, 224, 3)
    for student in others:
        assert student.teacher
        assert student.accuracy
        assert student.case.file_mb <= 1.5
        assert student.listening_mb is not None
        assert student.listening_mb <= 70
        assert student.invoke_times_as_fast.median >= 20
        assert student.teacher.verdict == "as good"
    (fastest, *_) = students.pareto_front()
    assert students.reference.from_file.p50_ms / fastest.case.from_file.p50_ms >= 100


@EACH
def test_a_kept_page_is_that_of_its_report(path: Path) -> None:
    assert path.with_suffix(".md").read_text("utf-8").strip() == markdown(Report.read(path))


@EACH
def test_a_kept_file_is_written_as_a_report_is_and_names_no_folder_of_a_machine(path: Path) -> None:
    report = Report.read(path)
    assert path.read_text("utf-8") == report.to_json() + "\n"
    assert not any(name.startswith("/") for name in (*(case.file for case in report.cases), *report.left_out))
    assert not any(excerpt.file.is_absolute() for excerpt in report.method.excerpts)


@EACH
def test_the_figures_of_a_kept_report_come_from_its_raw_samples(path: Path) -> None:
    kept = Report.read(path)
    for case in kept.cases:
        for latency in (*map(case.latency, SOURCES), *case.stages.values()):
            assert latency == Latency.of(latency.samples_ms)
        assert case.verdict == Verdict.of(case.from_file, hop_s=case.verdict.hop_s)
    assert kept.speedups == speedups(kept.cases, rounds=kept.method.rounds)


def test_the_kept_report_follows_the_schema_and_has_every_kind_of_case(kept: Report) -> None:
    jsonschema.validate(json.loads(KEPT.read_text("utf-8")), json.loads(REPORT_SCHEMA.read_text("utf-8")))
    assert kept.failures == ()
    exports = {f"tflite-{recipe}" for recipe in ("float32", "float16", "dynamic", "int8")}
    exports |= {f"onnx-{recipe}" for recipe in ("float32", "dynamic", "int8")}
    assert {"reference", "keras-predict", "keras-compiled", *exports} <= {case.name for case in kept.cases}


def test_the_kept_report_of_engines_has_each_with_its_parity_on_the_same_network() -> None:
    report = Report.read(ENGINES)
    jsonschema.validate(json.loads(ENGINES.read_text("utf-8")), json.loads(REPORT_SCHEMA.read_text("utf-8")))
    assert report.failures == ()
    cases = {case.name: case for case in report.with_threads(2)}
    engines = {"tflite": "litert", "onnx": "onnxruntime", "openvino": "openvino"}
    for name, engine in engines.items():
        for recipe in ("float32", "int8"):
            case = cases[f"{name}-{recipe}"]
            assert case.engine == engine
            assert case.quality
            assert case.quality.agreement
            assert case.quality.agreement.value >= TOLERANCES[recipe].top1_agreement
    assert {cases["reference"].sha256, cases["keras-predict"].sha256} == {cases["keras-compiled"].sha256}


@pytest.mark.parametrize(("figure", "least"), [("latency", 15.0), ("memory", 5.0), ("start", 10.0)])
def test_the_kept_report_shows_what_the_project_promises_of_its_int8_file(
    kept: Report, figure: str, least: float
) -> None:
    cases = {case.name: case for case in kept.with_threads(2)}
    reference, export = cases["reference"], cases["tflite-int8"]
    (speedup,) = [
        each
        for each in kept.speedups
        if (each.baseline, each.case, each.threads, each.source) == ("reference", "tflite-int8", 2, "file")
    ]
    found = {
        "latency": speedup.ratio.median,
        "memory": reference.peak_memory_mb / export.peak_memory_mb,
        "start": reference.start_ms / export.start_ms,
    }
    assert found[figure] >= least
    assert export.verdict.sub_second

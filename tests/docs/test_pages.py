"""The pages' links, pictures and tables, and the HTML that they become."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.cases import REFERENCE
from benchmarks.render import number
from benchmarks.report import Report
from edge_runtime import ModelCard, SpectrogramSettings, model_card
from export import report as export_report
from tests.docs.pages import PAGES, READMES, ROOT, anchors, code_blocks, inline_code, links, tables, text_of

PICTURES = sorted((ROOT / "docs" / "images").glob("*"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_and_anchor_exists(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / path
        if urlsplit(link).scheme:
            assert re.fullmatch(r"https://[\w.-]+(/\S*)?", link), link
        elif not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named_files = [span for span in inline_code(page) if re.fullmatch(r"(\w+/)+\w+\.(py|md|json)", span)]
    assert not [file for file in named_files if not (ROOT / file).is_file()]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_page_is_linked_from_the_readme(page: Path) -> None:
    known = {(ROOT / link.partition("#")[0]).resolve() for link in links(READMES[0])}
    assert page in {*known, READMES[0]}


def test_the_readme_can_be_read_in_a_minute() -> None:
    for readme in READMES:
        assert len(text_of(readme).splitlines()) <= 200


@pytest.mark.parametrize("picture", PICTURES, ids=named)
def test_every_picture_is_small_and_used(picture: Path) -> None:
    assert picture.stat().st_size < 200_000
    assert any(f"images/{picture.name})" in text_of(page) for page in PAGES)


def without_comments(code: str) -> list[str]:
    return [re.sub(r"\s+#.*$", "", line) for line in code.splitlines()]


def test_the_turkish_readme_has_the_same_commands() -> None:
    english, turkish = ([without_comments(code) for code in code_blocks(readme)] for readme in READMES)
    assert turkish == english


def test_the_turkish_readme_has_the_same_figures_links_and_sections() -> None:
    def outline(readme: Path) -> list[str]:
        return re.findall(r"^#+", text_of(readme), re.MULTILINE)

    def figures(readme: Path) -> list[list[list[str]]]:
        return [[re.findall(r"\d[\d.]*", "|".join(row)) for row in table] for table in tables(readme)]

    english, turkish = READMES
    assert outline(turkish) == outline(english)
    assert figures(turkish) == figures(english)
    assert set(links(turkish)) - {"README.md"} == set(links(english)) - {"README.tr.md"}


def test_the_latency_table_of_the_readme_is_that_of_the_kept_report() -> None:
    report = Report.read(ROOT / "benchmarks" / "reports" / "inception_resnet_v2_224.json")
    speedups = {
        each.case: each.ratio.median
        for each in report.speedups
        if (each.baseline, each.threads, each.source) == (REFERENCE, 2, "file")
    }
    expected = {
        f"`{case.name}`": [
            number(case.from_file.p50_ms),
            number(case.from_file.p99_ms),
            "1" if case.name == REFERENCE else number(speedups[case.name]),
            number(case.peak_memory_mb),
            number(case.file_mb),
        ]
        for case in report.with_threads(2)
    }
    for readme in READMES:
        (quoted,) = [table for table in tables(readme) if "p50 ms" in table[0]]
        assert len(quoted) == 6
        assert {row[0]: row[1:] for row in quoted[1:]}.items() <= expected.items()


def test_the_documentation_builds_without_a_warning_and_names_no_path_of_this_machine(tmp_path: Path) -> None:
    html = tmp_path / "html"
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-d", str(tmp_path / "doctrees")]
    done = subprocess.run([*build, "docs", str(html)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    for page in html.rglob("*.html"):
        assert str(ROOT) not in page.read_text("utf-8"), page
    assert (html / "python-api.html").read_text("utf-8").count("edge_runtime.") > 10


def fields_under(heading: str) -> set[str]:
    """The names in the first column of the table below a heading of the model card's page."""
    below = text_of(ROOT / "docs" / "model-card.md").partition(f"# {heading}\n")[2].partition("\n#")[0]
    rows = [line.split("|")[1] for line in below.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_model_card_page_lists_every_field() -> None:
    from edge_runtime import GenreClassifier
    from edge_runtime.models import SMALL_MODEL
    from export.parity import ParityReport
    from train.evaluation.results import Evaluation

    def names(kind: type) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    card = GenreClassifier.open(SMALL_MODEL).card
    assert fields_under("Fields") == names(ModelCard) | {"schema"}
    assert fields_under("spectrogram") == names(SpectrogramSettings)
    for part in ("network", "training", "export"):
        assert set(getattr(card, part)) <= fields_under(part)
    report = ParityReport("int8", "image", "test", 1, 1, 1, 2.0, 0.0, 0.0, 1.0, 0, 0, None, ())
    assert fields_under("parity") == set(report.summary()) >= set(card.export["parity"])
    assert fields_under("accuracy") == set(re.findall(r'"(\w+)":', inspect.getsource(Evaluation.for_card)))


def test_the_pages_name_the_current_schemas() -> None:
    assert f"| `schema` | {model_card.SCHEMA} |" in text_of(ROOT / "docs" / "model-card.md")
    assert f"`parity.json` in the run (schema {export_report.SCHEMA})" in text_of(ROOT / "docs" / "export.md")

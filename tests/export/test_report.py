from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import TmgcError, pip_install_extra
from export.metadata import write_with_card
from export.report import (
    add_to_parity_json,
    format_inspection,
    inspect_file,
    parity_notes,
    parity_table,
    read_parity_json,
)
from tests.export.conftest import NAMES, ParityKit, Reports

ROOT = Path(__file__).parents[2]
WITHOUT = "import sys\nfor name in {names}: sys.modules[name] = None\nfrom export.cli import main\nmain()"
HEAVY = ("tensorflow", "keras", "onnx", "tf2onnx", "litert_quantizer", "librosa", "matplotlib", "sklearn", "scipy")


def _report(file: Path, *, recipe: str = "int8") -> dict[str, Any]:
    return {"file": str(file), "recipe": recipe, "sha256": "0a", "keras_sha256": "0b", "parity": {}}


def test_reports_of_other_files_stay_and_those_of_the_same_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    for name, recipe in (("a", "int8"), ("b.FAILED", "int8"), ("b", "int8"), ("a", "new")):
        report = _report(tmp_path / f"{name}.tflite", recipe=recipe)
        replaces = [tmp_path / f"{name[0]}.tflite", tmp_path / f"{name[0]}.FAILED.tflite"]
        add_to_parity_json(path, report, replaces=replaces)
    assert [(report["file"], report["recipe"]) for report in read_parity_json(path)] == [
        ("b.tflite", "int8"),
        ("a.tflite", "new"),
    ]
    assert json.loads(path.read_text())["schema"] == 3


def test_a_file_by_its_relative_and_by_its_absolute_path_is_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / "parity.json"
    monkeypatch.chdir(tmp_path)
    for file in (Path("run/exports/a.tflite"), tmp_path / "run" / "exports" / "a.tflite"):
        add_to_parity_json(path, _report(file), replaces=[file])
    outside = tmp_path / "run" / ".." / "elsewhere" / "a.tflite"
    add_to_parity_json(path, _report(outside), replaces=[outside])
    files = [report["file"] for report in read_parity_json(path)]
    assert files == ["exports/a.tflite", str(tmp_path / "elsewhere" / "a.tflite")]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": 9, "reports": []}',
        '{"schema": 1, "reports": []}',
        '{"schema": 3, "reports": {}}',
        '{"schema": 3, "reports": ["a.tflite"]}',
        '{"schema": 3, "reports": [{"file": "a.tflite"}]}',
        '{"schema": 3, "reports": [{"file": "a.tflite", "sha256": 3, "keras_sha256": "0b", "parity": {}}]}',
        '{"schema": 3, "reports": [{"file": "a.tflite", "sha256": "0a", "keras_sha256": "0b", "parity": null}]}',
    ],
)
def test_a_damaged_or_foreign_document_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    path.write_text(text)
    with pytest.raises(TmgcError, match="delete it") as caught:
        read_parity_json(path)
    assert "\n" not in str(caught.value)


def test_the_table_fits_80_columns_and_shows_what_failed(exports: Reports) -> None:
    reports = list(exports.values())
    failed = {**reports[0], "parity": {**reports[0]["parity"], "passed": False}}
    text = _printed([*reports, failed])
    assert "…" not in text
    assert "tiny.int8.tflite" in text
    assert text.count("FAILED") == 1


def test_a_name_in_square_brackets_is_printed_as_it_is(exports: Reports) -> None:
    report = {**exports["tiny.int8.tflite"], "file": "[live].int8.tflite"}
    assert "[live].int8.tflite" in _printed([report])


def test_control_characters_of_a_name_are_printed_as_escapes(exports: Reports) -> None:
    text = _printed([{**exports["tiny.int8.tflite"], "file": "a\x1b[2J\nb.tflite"}])
    assert r"a\x1b[2J\nb.tflite" in text
    assert "\x1b" not in text


def test_the_notes_name_failures_and_worst_clips(exports: Reports) -> None:
    report = exports["tiny.int8.tflite"]
    parity = {**report["parity"], "passed": False, "failures": ["too far"], "worst_clips": ["rock_1", "rap_2"]}
    assert parity_notes([report]) == []
    assert parity_notes([{**report, "file": "x.tflite", "parity": parity}]) == [
        "x.tflite: too far",
        "x.tflite: worst clips: rock_1, rap_2",
    ]


def _printed(reports: list[dict[str, Any]]) -> str:
    from rich.console import Console

    output = StringIO()
    Console(file=output, width=80).print(parity_table(reports))
    return output.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_an_inspection_has_everything_about_a_file(name: str, exports: Reports) -> None:
    report = exports[name]
    document = inspect_file(Path(report["file"]))
    assert document["sha256"] == report["sha256"]
    assert (document["input"]["type"], document["input"]["shape"][1:]) == ("uint8", [32, 32, 3])
    assert (document["output"]["type"], document["output"]["shape"][1:]) == ("float32", [4])
    assert document["graph"]["operators"] == report["operators"]
    assert document["card"]["export"]["recipe"] == report["recipe"]
    lines = "\n".join(format_inspection(document))
    for part in ("Halk, Klasik, Rap, Rock", "image, uint8", "passed: ", report["sha256"], "demonstration"):
        assert part in lines


@pytest.mark.parametrize(
    "export",
    [{"parity": {"passed": 1}}, {"parity": {"passed": False, "failures": 3}}, {"keep_float": 5}, {"recipe": ["x"]}],
)
def test_a_card_with_fields_of_another_type_is_one_line_or_printed_as_it_is(
    export: dict[str, Any], image_kit: ParityKit, tmp_path: Path
) -> None:
    write_with_card(image_kit.cache.float_tflite, replace(image_kit.card, export=export), tmp_path / "odd.tflite")
    document = inspect_file(tmp_path / "odd.tflite")
    with suppress(TmgcError):
        assert format_inspection(document)


def test_a_file_without_a_card_is_refused(image_kit: ParityKit) -> None:
    with pytest.raises(TmgcError, match="must carry its model card"):
        inspect_file(image_kit.cache.float_tflite)


def _inspect_with_the_base_alone(file: str) -> subprocess.CompletedProcess[str]:
    """The command where the heavy libraries are not installed."""
    command = [sys.executable, "-c", WITHOUT.format(names=HEAVY), "inspect", file]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_a_tflite_file_is_inspected_with_the_base_alone(exports: Reports) -> None:
    done = _inspect_with_the_base_alone(exports["tiny.int8.tflite"]["file"])
    assert done.returncode == 0, done.stderr
    assert "CONV_2D" in done.stdout
    assert " int8" in done.stdout


def test_operators_of_an_onnx_file_need_an_extra_that_is_named(exports: Reports) -> None:
    done = _inspect_with_the_base_alone(exports["tiny.int8.onnx"]["file"])
    assert done.returncode == 0, done.stderr
    (operators,) = [line for line in done.stdout.splitlines() if line.startswith("operators")]
    assert pip_install_extra("export") in operators
    assert "Halk, Klasik, Rap, Rock" in done.stdout

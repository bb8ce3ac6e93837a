from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.errors import TmgcError
from export.report import add_to_parity_json, parity_table, read_parity_json


def _report(file: str, *, recipe: str = "int8") -> dict[str, Any]:
    return {"file": f"{file}.tflite", "recipe": recipe}


def test_reports_of_other_files_stay_and_those_of_the_same_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    failed = _report("b") | {"file": "b.FAILED.tflite"}
    for report in (_report("a"), failed, _report("b"), _report("a", recipe="new")):
        stem = report["file"][0]
        add_to_parity_json(path, report, replaces=(f"{stem}.tflite", f"{stem}.FAILED.tflite"))
    assert [(report["file"], report["recipe"]) for report in read_parity_json(path)] == [
        ("b.tflite", "int8"),
        ("a.tflite", "new"),
    ]
    assert json.loads(path.read_text())["schema"] == 1


def test_a_damaged_or_foreign_document_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    for text in ("{", "[]", '{"schema": 9, "reports": []}'):
        path.write_text(text)
        with pytest.raises(TmgcError, match="delete it"):
            read_parity_json(path)


def test_the_table_fits_80_columns_and_says_what_missed(exports: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console

    output = StringIO()
    reports = list(exports.values())
    missed = {**reports[0], "parity": {**reports[0]["parity"], "held": False}}
    Console(file=output, width=80).print(parity_table([*reports, missed]))
    text = output.getvalue()
    assert "…" not in text
    assert "tiny.int8.tflite" in text
    assert text.count("MISSED") == 1

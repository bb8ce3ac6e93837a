import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from benchmarks.cases import rows_of
from benchmarks.inputs import excerpts_of_run
from benchmarks.render import closing_lines
from benchmarks.report import REPORT_SCHEMA
from benchmarks.runner import sustain
from benchmarks.worker import RowFailedError
from train.run import Run


def quiet(row: str, what: str, done: int, steps: int) -> None: ...


def sustained(run: Run, name: str) -> dict[str, Any]:
    row = next(row for row in rows_of(run)[0] if row.name == name)
    return sustain(row, excerpts_of_run(run), threads=1, minutes=2, progress=quiet, minute_seconds=0.05)


def test_every_minute_has_its_latency_and_the_machines_state(tiny_run: Run, benched: Any) -> None:
    found = sustained(tiny_run, "tflite-float32")
    assert len(found["minutes"]) == 2
    medians = [minute["latency_ms"]["p50"] for minute in found["minutes"]]
    assert found["slowdown"] == pytest.approx(medians[1] / medians[0])
    report = {**benched.report, "sustained": found}
    jsonschema.validate(report, json.loads(Path(REPORT_SCHEMA).read_text("utf-8")))
    assert any("the last takes" in line for line in closing_lines(report))


def test_a_row_that_cannot_be_run_says_so(tiny_run: Run) -> None:
    with pytest.raises(RowFailedError, match=r"tiny\.int8\.tflite"):
        sustained(tiny_run, "tflite-int8")

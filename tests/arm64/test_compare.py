"""Which predictions of an arm64 machine count as the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.arm64.compare import TOLERANCES, compare, cpu_lines

REPORT = Path(__file__).with_name("report.json")

CPU_TIMES = {"window_cpu_ms": 200.0, "spectrogram_cpu_ms": 50.0}


def examined(state: str = "ok", engines: str = "tiny.tflite by ai-edge-litert 2.3.0 2.1 ms, 60 MB") -> dict[str, Any]:
    """What the doctor says of golden windows in this state, and of these engines."""
    checks = {"model": "a model", "golden-windows": "6 of 6", "engines": engines}
    return {"findings": [{"check": check, "state": state, "found": found} for check, found in checks.items()]}


def predictions(*probabilities: float, recipe: str = "int8") -> list[dict[str, Any]]:
    """JSON lines of two genres, a window for each probability of the first."""
    windows = [
        {
            "start_s": 2.0 * index,
            "genre": "Halk" if probability > 0.5 else "Caz",
            "probabilities": {"Halk": probability, "Caz": round(1 - probability, 4)},
        }
        for index, probability in enumerate(probabilities)
    ]
    return [*windows, {"model": {"file": "/files/tiny.tflite", "recipe": recipe}}]


@pytest.mark.parametrize("recipe", TOLERANCES)
def test_predictions_within_the_tolerance_pass(recipe: str) -> None:
    near = round(0.9 - TOLERANCES[recipe], 4)
    found = compare(
        "board",
        predictions(near, 0.2, recipe=recipe),
        predictions(0.9, 0.2, recipe=recipe),
        CPU_TIMES,
        examined(),
        examined(),
    )
    assert found.passed
    assert (found.windows, found.same_genre, found.largest_difference) == (2, 2, TOLERANCES[recipe])


@pytest.mark.parametrize("recipe", TOLERANCES)
def test_predictions_beyond_the_tolerance_fail(recipe: str) -> None:
    far = round(0.9 - 2 * TOLERANCES[recipe], 4)
    assert not compare(
        "board", predictions(far, recipe=recipe), predictions(0.9, recipe=recipe), CPU_TIMES, examined(), examined()
    ).passed


def test_another_genre_fails_however_close() -> None:
    assert not compare("board", predictions(0.499), predictions(0.501), CPU_TIMES, examined(), examined()).passed


def test_golden_windows_that_are_missed_fail() -> None:
    assert not compare("board", predictions(0.9), predictions(0.9), CPU_TIMES, examined("problem"), examined()).passed


def test_an_engine_that_works_on_the_reference_alone_fails() -> None:
    both = examined(engines="a.tflite by ai-edge-litert 2.3.0 2 ms, 60 MB; a.onnx by onnxruntime 1.32.0 1.2 ms, 80 MB")
    windows = predictions(0.9)
    found = compare("board", windows, windows, CPU_TIMES, examined(), both)
    assert (found.passed, found.missing) == (False, ("onnxruntime",))
    assert compare("board", windows, windows, CPU_TIMES, both, examined()).passed


def test_no_windows_fail() -> None:
    assert not compare("board", predictions(), predictions(), CPU_TIMES, examined(), examined()).passed


def test_fewer_windows_are_refused() -> None:
    with pytest.raises(SystemExit, match="has 1 windows, x86-64 has 2"):
        compare("board", predictions(0.9), predictions(0.9, 0.9), CPU_TIMES, examined(), examined())


def test_the_cpu_times_of_a_machines_models_are_compared_with_its_slowest() -> None:
    small = compare("board", predictions(0.9), predictions(0.9), CPU_TIMES, examined(), examined())
    large = replace(small, model="large.tflite", window_cpu_ms=4000.0)
    elsewhere = replace(small, machine="other")
    (line,) = cpu_lines([large, small, elsewhere])
    assert line.startswith("board: a window of tiny.tflite takes 1/20 of the CPU time of large.tflite, 25% of it for")
    assert "not the speed of a board" in line


def test_the_committed_report_passed_for_an_int8_file_on_every_board() -> None:
    report = json.loads(REPORT.read_text("utf-8"))
    assert all(found["passed"] for found in report["comparisons"])
    assert {machine["architecture"] for machine in report["machines"].values()} == {"x86_64", "aarch64"}
    covered = {(found["machine"], found["recipe"]) for found in report["comparisons"]}
    boards = {name for name in report["machines"] if name != "x86_64"}
    assert covered >= {(board, "int8") for board in boards}

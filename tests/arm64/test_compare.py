"""What the proof on arm64 takes for the same answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.arm64.compare import TOLERANCES, compare

REPORT = Path(__file__).with_name("report.json")


def heard(*probabilities: float, recipe: str = "int8") -> list[dict[str, Any]]:
    """JSON lines of two genres, a window for each probability of the first."""
    windows = [
        {
            "start_s": 2.0 * index,
            "genre": "Halk" if probability > 0.5 else "Caz",
            "probabilities": {"Halk": probability, "Caz": round(1 - probability, 4)},
        }
        for index, probability in enumerate(probabilities)
    ]
    return [*windows, {"model": {"file": "/proof/tiny.tflite", "recipe": recipe}}]


@pytest.mark.parametrize("recipe", TOLERANCES)
def test_answers_within_the_tolerance_are_the_same(recipe: str) -> None:
    near = round(0.9 - TOLERANCES[recipe], 4)
    found = compare("board", heard(near, 0.2, recipe=recipe), heard(0.9, 0.2, recipe=recipe))
    assert found.holds
    assert (found.windows, found.same_genre, found.largest_difference) == (2, 2, TOLERANCES[recipe])


@pytest.mark.parametrize("recipe", TOLERANCES)
def test_answers_beyond_the_tolerance_are_not(recipe: str) -> None:
    far = round(0.9 - 2 * TOLERANCES[recipe], 4)
    assert not compare("board", heard(far, recipe=recipe), heard(0.9, recipe=recipe)).holds


def test_another_genre_is_another_answer_however_near() -> None:
    assert not compare("board", heard(0.499), heard(0.501)).holds


def test_hearing_nothing_proves_nothing() -> None:
    assert not compare("board", heard(), heard()).holds


def test_fewer_windows_are_refused() -> None:
    with pytest.raises(SystemExit, match="heard 1 windows, x86-64 heard 2"):
        compare("board", heard(0.9), heard(0.9, 0.9))


def test_the_kept_report_holds_for_both_networks_on_every_board() -> None:
    report = json.loads(REPORT.read_text("utf-8"))
    assert all(found["holds"] for found in report["comparisons"])
    assert {machine["architecture"] for machine in report["machines"].values()} == {"x86_64", "aarch64"}
    proven = {(found["machine"], found["recipe"]) for found in report["comparisons"]}
    boards = {name for name in report["machines"] if name != "x86_64"}
    assert proven == {(board, recipe) for board in boards for recipe in ("int8", "float16")}

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cases import RowSpec, rows_of
from benchmarks.inputs import Excerpt, excerpts_of_run
from benchmarks.runner import Plan, run_rows
from benchmarks.scenarios import PACED, SINGLE_STREAM, Load
from benchmarks.worker import RowFailedError
from train.run import Run

EXCERPTS = [Excerpt(Path(f"{number}.wav"), 0.0) for number in range(5)]


class FakeProcess:
    """Notes who was asked what; the row ``fragile`` dies in its third round."""

    log: list[tuple[str, str, int, int]]

    def __init__(self, row: RowSpec, *, threads: int) -> None:
        self.row = row
        self.loaded: dict[str, Any] = {}
        self.asked = 0

    def __enter__(self) -> "FakeProcess":
        return self

    def __exit__(self, *problem: object) -> None: ...

    def load(self, excerpts: list[Excerpt]) -> None:
        if self.row.name == "broken":
            raise RowFailedError("it is broken")
        self.loaded = {"start_ms": 2.0, "load_ms": 1.0}

    def measure(self, source: str, *, first: int, count: int, load: Load = SINGLE_STREAM) -> list[dict[str, Any]]:
        self.asked += 1
        if self.row.name == "fragile" and self.asked > 3 + 2 * 4:
            raise RowFailedError("it fell")
        self.log.append((self.row.name, source, first, count))
        return [{"total_ms": 1.0, "stages_ms": {}, "excerpt": n % 5, "genre": 0} for n in range(first, first + count)]

    def ask(self, verb: str) -> dict[str, Any]:
        return {"peak_memory_mb": 3.0}

    def close(self) -> None: ...


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int, int]]:
    FakeProcess.log = []
    monkeypatch.setattr("benchmarks.runner.RowProcess", FakeProcess)
    return FakeProcess.log


def rows(*names: str) -> list[RowSpec]:
    return [RowSpec(name, "export", Path(name), Path("card.json")) for name in names]


def quiet(row: str, what: str, done: int, steps: int) -> None:
    assert 0 <= done <= steps


PLAN = Plan(threads=1, rounds=4, windows_per_round=2)


@pytest.mark.parametrize(
    ("runs", "rounds", "per_round"), [(50, 10, 5), (10, 10, 1), (7, 7, 1), (12, 6, 2), (13, 7, 2), (1, 1, 1)]
)
def test_a_plan_measures_at_least_as_many_windows_as_were_asked_for_in_equal_rounds(
    runs: int, rounds: int, per_round: int
) -> None:
    plan = Plan.of(threads=1, runs=runs, rounds=10)
    assert (plan.rounds, plan.windows_per_round) == (rounds, per_round)


def test_every_row_has_its_turn_in_every_round_and_every_second_round_goes_backwards(
    log: list[tuple[str, str, int, int]],
) -> None:
    run_rows(rows("a", "b", "c"), EXCERPTS, PLAN, progress=quiet)
    turns = [name for name, source, _, count in log if source == "file" and count == 2]
    assert "".join(turns[-12:]) == "abccbaabccba"


def test_all_rows_are_timed_on_the_same_windows(log: list[tuple[str, str, int, int]]) -> None:
    results = run_rows(rows("a", "b"), EXCERPTS, PLAN, progress=quiet)
    heard = [[window["excerpt"] for window in result.windows["file"]] for result in results]
    assert heard[0] == heard[1] == [0, 1, 2, 3, 4, 0, 1, 2]


def test_a_row_that_fails_says_why_and_the_others_go_on(log: list[tuple[str, str, int, int]]) -> None:
    broken, fragile, sound = run_rows(rows("broken", "fragile", "sound"), EXCERPTS, PLAN, progress=quiet)
    assert (broken.failure, fragile.failure, sound.failure) == ("it is broken", "it fell", None)
    assert len(sound.windows["file"]) == len(sound.windows["memory"]) == 8
    assert sound.peak_memory_mb == 3.0


@pytest.mark.parametrize(("quickest_ms", "per_round"), [(1000.0, 2), (50.0, 10), (0.5, 1000)])
def test_a_quick_row_answers_more_windows_until_the_time_is_over(quickest_ms: float, per_round: int) -> None:
    plan = replace(PLAN, min_seconds=2.0)
    assert plan.windows_of(quickest_ms) == per_round
    assert replace(PLAN, min_seconds=0.0).windows_of(quickest_ms) == 2


def test_paced_windows_take_a_hop_each_however_quick_the_row_is() -> None:
    assert replace(PLAN, min_seconds=12.0, load=Load(PACED, 1.0)).windows_of(0.5) == 3


def test_progress_ends_where_it_said_it_would(log: list[tuple[str, str, int, int]]) -> None:
    seen: list[tuple[int, int]] = []
    run_rows(rows("a", "broken"), EXCERPTS, PLAN, progress=lambda row, what, done, steps: seen.append((done, steps)))
    assert seen == sorted(seen)
    assert seen[-1] == (12, 12)


@pytest.mark.parametrize("at_once", [1, 2])
def test_real_rows_are_measured_however_many_load_side_by_side(tiny_run: Run, at_once: int) -> None:
    chosen = [row for row in rows_of(tiny_run)[0] if row.name in ("tflite-float32", "onnx-float32")]
    plan = replace(PLAN, rounds=1, loading_at_once=at_once)
    results = run_rows(chosen, excerpts_of_run(tiny_run), plan, progress=quiet)
    assert [result.failure for result in results] == [None, None]
    assert all(window["total_ms"] > 0 for result in results for window in result.windows["memory"])

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cases import Case, find_cases
from benchmarks.inputs import Excerpt, excerpts_of_run
from benchmarks.report import Sustained
from benchmarks.runner import Plan, run_cases, sustain
from benchmarks.scenarios import PACED, SINGLE_STREAM, Load, Window
from benchmarks.worker import CaseFailedError, Loaded
from train.run import Run

EXCERPTS = [Excerpt(Path(f"{number}.wav"), 0.0) for number in range(5)]


class FakeProcess:
    """Records what was measured; the case ``fragile`` dies in its third round."""

    log: list[tuple[str, str, int, int]]

    def __init__(self, case: Case, *, threads: int) -> None:
        self.case = case
        self.calls = 0

    def __enter__(self) -> "FakeProcess":
        return self

    def __exit__(self, *problem: object) -> None: ...

    def load(self, excerpts: list[Excerpt]) -> Loaded:
        if self.case.name == "broken":
            raise CaseFailedError("it is broken")
        return Loaded("fake 1.0", 2.0, 1.0, 10.0, (0,))

    def measure(self, source: str, *, first: int, count: int, load: Load = SINGLE_STREAM) -> list[Window]:
        self.calls += 1
        if self.case.name == "fragile" and self.calls > 3 + 2 * 4:
            raise CaseFailedError("it fell")
        self.log.append((self.case.name, source, first, count))
        return [Window(number % 5, 1.0, {}, 0) for number in range(first, first + count)]

    def peak_memory_mb(self) -> float:
        return 3.0

    def close(self) -> None: ...


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int, int]]:
    FakeProcess.log = []
    monkeypatch.setattr("benchmarks.runner.WorkerProcess", FakeProcess)
    return FakeProcess.log


def cases(*names: str) -> list[Case]:
    return [Case(name, "export", Path(name), Path("card.json")) for name in names]


def quiet(case: str, what: str, done: int, steps: int) -> None:
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


def test_every_case_has_its_turn_in_every_round_and_every_second_round_goes_backwards(
    log: list[tuple[str, str, int, int]],
) -> None:
    run_cases(cases("a", "b", "c"), EXCERPTS, PLAN, progress=quiet)
    turns = [name for name, source, _, count in log if source == "file" and count == 2]
    assert "".join(turns[-12:]) == "abccbaabccba"


def test_all_cases_are_timed_on_the_same_windows(log: list[tuple[str, str, int, int]]) -> None:
    results = run_cases(cases("a", "b"), EXCERPTS, PLAN, progress=quiet)
    timed = [[window.excerpt for window in result.windows["file"]] for result in results]
    assert timed[0] == timed[1] == [0, 1, 2, 3, 4, 0, 1, 2]


def test_a_case_that_fails_says_why_and_the_others_go_on(log: list[tuple[str, str, int, int]]) -> None:
    broken, fragile, sound = run_cases(cases("broken", "fragile", "sound"), EXCERPTS, PLAN, progress=quiet)
    assert (broken.failure, fragile.failure, sound.failure) == ("it is broken", "it fell", None)
    assert len(sound.windows["file"]) == len(sound.windows["memory"]) == 8
    assert sound.peak_memory_mb == 3.0


@pytest.mark.parametrize(("fastest_ms", "per_round"), [(1000.0, 2), (50.0, 10), (0.5, 1000)])
def test_a_fast_case_gets_more_windows_until_the_time_is_over(fastest_ms: float, per_round: int) -> None:
    plan = replace(PLAN, min_seconds=2.0)
    assert plan.windows_of(fastest_ms) == per_round
    assert replace(PLAN, min_seconds=0.0).windows_of(fastest_ms) == 2


def test_paced_windows_take_a_hop_each_however_fast_the_case_is() -> None:
    assert replace(PLAN, min_seconds=12.0, load=Load(PACED, 1.0)).windows_of(0.5) == 3


def test_progress_ends_where_it_said_it_would(log: list[tuple[str, str, int, int]]) -> None:
    seen: list[tuple[int, int]] = []
    run_cases(cases("a", "broken"), EXCERPTS, PLAN, progress=lambda case, what, done, steps: seen.append((done, steps)))
    assert seen == sorted(seen)
    assert seen[-1] == (12, 12)


@pytest.mark.parametrize("at_once", [1, 2])
def test_real_cases_are_measured_however_many_load_side_by_side(tiny_run: Run, at_once: int) -> None:
    chosen = [case for case in find_cases(tiny_run)[0] if case.name in ("tflite-float32", "onnx-float32")]
    plan = replace(PLAN, rounds=1, loading_at_once=at_once)
    results = run_cases(chosen, excerpts_of_run(tiny_run), plan, progress=quiet)
    assert [result.failure for result in results] == [None, None]
    assert all(window.total_ms > 0 for result in results for window in result.windows["memory"])


def sustained(run: Run, name: str) -> Sustained:
    case = next(case for case in find_cases(run)[0] if case.name == name)
    return sustain(case, excerpts_of_run(run), threads=1, minutes=2, progress=quiet, minute_seconds=0.05)


def test_every_minute_has_its_latency_and_the_machines_state(tiny_run: Run) -> None:
    found = sustained(tiny_run, "tflite-float32")
    assert found.error is None
    first, last = found.minutes
    assert len(first.latency.samples_ms) >= 10
    assert first.state.load_average is not None
    assert found.slowdown == pytest.approx(last.latency.p50_ms / first.latency.p50_ms)


def test_a_case_that_cannot_be_run_for_minutes_says_why(tiny_run: Run) -> None:
    found = sustained(tiny_run, "tflite-int8")
    assert "tiny.int8.tflite" in (found.error or "")
    assert found.minutes == ()

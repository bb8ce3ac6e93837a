from collections.abc import Sequence
from time import sleep

import numpy as np
import pytest

from benchmarks.inputs import Excerpt
from benchmarks.pipelines import Answered
from benchmarks.scenarios import BATCH, OFFLINE, PACED, SINGLE, Load, timed
from edge_runtime.audio import Samples


class Slow:
    """A pipeline that takes its time, and names the genre that the samples begin with."""

    runtime = "slow"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.batches: list[int] = []

    def read(self, excerpt: Excerpt) -> Samples:
        raise NotImplementedError

    def prediction(self, samples: Samples) -> Answered:
        sleep(self.seconds)
        return Answered(int(samples[0]), {"model": self.seconds * 1e3})

    def answer_all(self, batch: Sequence[Samples]) -> list[Answered]:
        self.batches.append(len(batch))
        return [self.prediction(samples) for samples in batch]


def take(number: int) -> Samples:
    return np.full(3, number, np.float32)


@pytest.mark.parametrize("scenario", [SINGLE, PACED, OFFLINE])
def test_every_window_is_answered_in_order_whatever_the_load(scenario: str) -> None:
    windows = timed(Slow(0.001), take, [2, 0, 1], Load(scenario, 0.01))
    assert [window["excerpt"] for window in windows] == [window["genre"] for window in windows] == [2, 0, 1]
    assert all(window["total_ms"] >= 1.0 for window in windows)
    assert all(set(window["stages_ms"]) == {"read", "model"} for window in windows)


def test_a_paced_row_that_keeps_up_waits_for_its_windows() -> None:
    windows = timed(Slow(0.001), take, [0, 1, 2], Load(PACED, 0.25))
    assert all(window["total_ms"] < 250 for window in windows)


def test_a_paced_row_that_is_too_slow_falls_behind_more_and_more() -> None:
    windows = timed(Slow(0.05), take, [0, 1, 2, 3], Load(PACED, 0.01))
    late = [window["late_ms"] for window in windows]
    assert late == sorted(late)
    assert late[-1] > 3 * 30
    assert windows[-1]["total_ms"] >= late[-1] + 50


def test_offline_windows_come_in_batches_and_share_their_time() -> None:
    pipeline = Slow(0.0)
    windows = timed(pipeline, take, range(BATCH + 3), Load(OFFLINE))
    assert pipeline.batches == [BATCH, 3]
    assert len({window["total_ms"] for window in windows}) == 2

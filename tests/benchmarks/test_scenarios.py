from collections.abc import Sequence
from time import sleep

import numpy as np
import pytest

from benchmarks.inputs import Excerpt
from benchmarks.pipelines import TimedPrediction
from benchmarks.scenarios import BATCH, OFFLINE, PACED, SINGLE, Load, Scenario, time_windows
from edge_runtime.audio import Samples


class Slow:
    """A pipeline that takes its time, and predicts the class that the samples begin with."""

    runtime = "slow"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.batches: list[int] = []

    def read(self, excerpt: Excerpt) -> Samples:
        return np.zeros(1, np.float32)

    def predict(self, samples: Samples) -> TimedPrediction:
        sleep(self.seconds)
        return TimedPrediction(int(samples[0]), {"model": self.seconds * 1e3})

    def predict_batch(self, batch: Sequence[Samples]) -> list[TimedPrediction]:
        self.batches.append(len(batch))
        return [self.predict(samples) for samples in batch]


def read(number: int) -> Samples:
    return np.full(3, number, np.float32)


@pytest.mark.parametrize("scenario", [SINGLE, PACED, OFFLINE])
def test_every_window_is_classified_in_order_whatever_the_load(scenario: Scenario) -> None:
    windows = time_windows(Slow(0.001), read, [2, 0, 1], Load(scenario, 0.01))
    assert [window.excerpt for window in windows] == [window.class_index for window in windows] == [2, 0, 1]
    assert all(window.total_ms >= 1.0 for window in windows)
    assert all(set(window.stages_ms) == {"read", "model"} for window in windows)


def test_a_paced_case_that_keeps_up_waits_for_its_windows() -> None:
    windows = time_windows(Slow(0.001), read, [0, 1, 2], Load(PACED, 1.0))
    assert all(window.total_ms < 1000 for window in windows)


def test_a_paced_case_that_is_too_slow_falls_behind_more_and_more() -> None:
    windows = time_windows(Slow(0.05), read, [0, 1, 2, 3], Load(PACED, 0.01))
    late = [window.late_ms for window in windows]
    assert late == sorted(late)
    assert late[-1] > 3 * 30
    assert windows[-1].total_ms >= late[-1] + 50


def test_offline_windows_come_in_batches_and_share_their_time() -> None:
    pipeline = Slow(0.0)
    windows = time_windows(pipeline, read, range(BATCH + 3), Load(OFFLINE))
    assert pipeline.batches == [BATCH, 3]
    assert len({window.total_ms for window in windows}) == 2

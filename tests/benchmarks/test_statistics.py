"""What is computed from samples: percentiles, ratios and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.statistics import Latency, Proportion, Ratio


def test_percentiles_and_spread_are_right_on_known_numbers() -> None:
    latency = Latency.of([float(number) for number in range(101)])
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms) == (50.0, 90.0, 99.0)
    assert (latency.min_ms, latency.mean_ms, latency.max_ms) == (0.0, 50.0, 100.0)
    assert latency.std_ms == pytest.approx(np.sqrt(101 * 102 / 12))


def test_an_outlier_is_kept() -> None:
    assert Latency.of([1.0] * 99 + [1000.0]).max_ms == 1000.0


def test_one_sample_has_no_spread() -> None:
    assert Latency.of([7.0]) == Latency(7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 0.0, (7.0,))


def test_figures_come_from_the_samples_as_they_are_kept() -> None:
    latency = Latency.of([1.00004, 2.00006])
    assert latency.samples_ms == (1.0, 2.0001)
    assert latency.mean_ms == np.mean(latency.samples_ms)


def test_a_ratio_is_taken_round_by_round() -> None:
    ratio = Ratio.of([10.0, 30.0, 40.0, 60.0, 9.0, 11.0], [2.0, 2.0, 10.0, 15.0, 5.0, 5.0], rounds=3)
    assert ratio == Ratio(median=4.0, low=2.0, high=10.0, rounds=(10.0, 4.0, 2.0))


def test_a_machine_that_slows_down_for_both_cases_leaves_their_ratio_alone() -> None:
    drift = np.linspace(1.0, 3.0, 10)
    ratio = Ratio.of(list(100.0 * drift), list(5.0 * drift), rounds=10)
    assert [ratio.low, ratio.high] == pytest.approx([20.0, 20.0])


def test_the_interval_of_a_proportion_is_that_of_wilson() -> None:
    proportion = Proportion.of(0.75, trials=20)
    assert (proportion.low, proportion.high) == pytest.approx((0.5313, 0.8881), abs=1e-4)

import numpy as np
import pytest

from benchmarks.report import pairwise_ratio, summarize


def test_percentiles_and_spread_are_right_on_known_numbers() -> None:
    summary = summarize([float(number) for number in range(101)])
    assert (summary["p50"], summary["p90"], summary["p99"]) == (50.0, 90.0, 99.0)
    assert (summary["min"], summary["mean"], summary["max"]) == (0.0, 50.0, 100.0)
    assert summary["std"] == pytest.approx(np.sqrt(101 * 102 / 12))


def test_an_outlier_is_kept() -> None:
    assert summarize([1.0] * 99 + [1000.0])["max"] == 1000.0


def test_one_sample_has_no_spread() -> None:
    assert summarize([7.0]) == {"p50": 7.0, "p90": 7.0, "p99": 7.0, "min": 7.0, "mean": 7.0, "max": 7.0, "std": 0.0}


def test_a_ratio_is_taken_round_against_round() -> None:
    ratio = pairwise_ratio([10.0, 30.0, 40.0, 60.0, 9.0, 11.0], [2.0, 2.0, 10.0, 15.0, 5.0, 5.0], rounds=3)
    assert ratio == {"median": 4.0, "low": 2.0, "high": 10.0, "rounds": [10.0, 4.0, 2.0]}


def test_a_machine_that_slows_down_for_both_rows_leaves_their_ratio_alone() -> None:
    drift = np.linspace(1.0, 3.0, 10)
    ratio = pairwise_ratio(list(100.0 * drift), list(5.0 * drift), rounds=10)
    assert (ratio["low"], ratio["high"]) == (pytest.approx(20.0), pytest.approx(20.0))

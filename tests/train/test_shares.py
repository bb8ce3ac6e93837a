import pytest

from train.evaluation.metrics import wilson_interval


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(30, 30, 0.8865, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662)],  # the last: Newcombe 1998, table I
)
def test_the_interval_of_a_share_is_wilsons(right: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=1e-4)

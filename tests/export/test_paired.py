from __future__ import annotations

import numpy as np
import pytest

from export.parity import exact_sign_flip_test, paired_test

EACH_ITS_OWN = [str(number) for number in range(500)]


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (1, 9), (0, 6), (40, 22), (500, 420)])
def test_with_one_window_a_song_it_is_the_sign_test(first: int, second: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert exact_sign_flip_test(np.array([1] * first + [-1] * second)) == pytest.approx(expected)


def test_it_agrees_with_the_permutation_test_of_scipy() -> None:
    from scipy.stats import permutation_test

    differences = np.array([-8, -3, 1, 0, -1, 2, -2, -5])
    against = permutation_test((differences, 0 * differences), lambda x, y: np.sum(x - y), permutation_type="samples")
    assert exact_sign_flip_test(differences) == pytest.approx(against.pvalue)


def test_many_lost_windows_of_one_song_are_one_accident() -> None:
    keras = np.ones(500, bool)
    file = np.arange(500) >= 16
    of_one_song = [str(number // 16) for number in range(500)]
    assert paired_test(keras, file, of_one_song).p_value == 1.0
    assert paired_test(keras, file, EACH_ITS_OWN).p_value < 0.001


def test_equal_answers_are_no_difference_but_leave_some_doubt() -> None:
    right = np.arange(500) % 5 > 0
    test = paired_test(right, right, EACH_ITS_OWN)
    assert test.loss == 0
    assert test.p_value == 1.0
    assert -0.01 < test.difference_low < 0 < test.difference_high < 0.01


def test_a_loss_beyond_chance_is_told_with_its_interval() -> None:
    keras, file = np.ones(500, bool), np.arange(500) >= 30
    test = paired_test(keras, file, EACH_ITS_OWN)
    assert test.loss == pytest.approx(0.06)
    assert test.p_value < 1e-6
    assert test.difference_low < -0.06 < test.difference_high < 0


def test_the_interval_holds_the_truth_in_about_95_of_100_samples() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        drawn = rng.choice(4, size=300, p=[0.85, 0.06, 0.03, 0.06])
        test = paired_test((drawn == 0) | (drawn == 1), (drawn == 0) | (drawn == 2), EACH_ITS_OWN[:300])
        held += test.difference_low <= -0.03 <= test.difference_high
    assert 0.92 <= held / 400 <= 0.99

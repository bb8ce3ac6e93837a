from __future__ import annotations

import pytest

from export.recipes import ACCURACY_LOSS, PARITY_WINDOWS, RECIPES, TOLERANCES, UNDECIDED_MARGIN, tolerance_of


def test_every_recipe_has_its_tolerance() -> None:
    assert set(TOLERANCES) == {recipe.name for recipe in RECIPES}


@pytest.mark.parametrize(
    ("recipe", "agreement", "difference"),
    [("float32", 1.0, 1e-4), ("float16", 0.995, 1e-2), ("dynamic", 0.98, None), ("int8", 0.97, None)],
)
def test_tolerances_are_those_that_were_promised(recipe: str, agreement: float, difference: float | None) -> None:
    assert TOLERANCES[recipe].top1_agreement == agreement
    assert TOLERANCES[recipe].probability_difference == difference


def test_limits_of_the_comparison_are_those_that_were_promised() -> None:
    assert (PARITY_WINDOWS, UNDECIDED_MARGIN, ACCURACY_LOSS) == (500, 0.05, 0.01)


def test_a_file_that_draws_its_own_pictures_may_round_some_pixels_otherwise() -> None:
    assert tolerance_of("float32", "image") == TOLERANCES["float32"]
    for recipe in TOLERANCES:
        own, usual = tolerance_of(recipe, "waveform"), TOLERANCES[recipe]
        assert own.top1_agreement == usual.top1_agreement
        assert (own.probability_difference is None) == (usual.probability_difference is None)
    assert tolerance_of("float32", "waveform").probability_difference == 1e-2
    assert tolerance_of("float16", "waveform").probability_difference == 1e-2

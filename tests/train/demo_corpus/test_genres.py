"""The recipes refer to scales, metres and instruments that exist."""

from __future__ import annotations

from train.demo_corpus import GENRES
from train.demo_corpus.genres import RECIPES
from train.demo_corpus.instruments import KITS, MELODIC
from train.demo_corpus.theory import METRES, SCALES


def test_every_recipe_names_scales_metres_and_instruments_that_exist() -> None:
    assert tuple(RECIPES) == GENRES
    for genre, recipe in RECIPES.items():
        assert RECIPES[recipe.neighbour].neighbour == genre
        assert set(recipe.scales) <= set(SCALES)
        assert set(recipe.metres) <= set(METRES)
        for layer in recipe.layers:
            assert layer.instrument in (KITS if layer.style == "strokes" else MELODIC)

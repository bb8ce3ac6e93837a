"""Makams and usuls have the intervals and strokes of the literature."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from train.demo_corpus.theory import COMMAS_PER_OCTAVE, METRES, SCALES

MAKAMS = ("hicaz", "hüseyni", "uşşak", "rast", "segâh", "nihavent", "kürdi")


@pytest.mark.parametrize("name", MAKAMS)
def test_the_commas_of_a_makam_add_up_to_the_octave(name: str) -> None:
    assert sum(SCALES[name].steps) == COMMAS_PER_OCTAVE == SCALES[name].divisions
    assert len(SCALES[name].steps) == 7


@pytest.mark.parametrize("name", sorted(SCALES))
def test_the_steps_of_every_scale_add_up_to_the_octave(name: str) -> None:
    assert sum(SCALES[name].steps) == SCALES[name].divisions


@pytest.mark.parametrize(
    ("name", "degree", "ratio"),
    [
        ("rast", 1, 9 / 8),
        ("rast", 2, 5 / 4),
        ("rast", 4, 3 / 2),
        ("hicaz", 1, 16 / 15),
        ("hicaz", 2, 5 / 4),
        ("hicaz", 3, 4 / 3),
        ("hüseyni", 2, 32 / 27),
        ("hüseyni", 4, 3 / 2),
        ("uşşak", 3, 4 / 3),
        ("uşşak", 6, 16 / 9),
        ("nihavent", 2, 32 / 27),
        ("segâh", 4, 3 / 2),
        ("kürdi", 1, 256 / 243),
    ],
)
def test_the_degrees_of_a_makam_lie_on_its_just_intervals(name: str, degree: int, ratio: float) -> None:
    heard = SCALES[name].hertz(np.array([degree]), tonic_hz=200.0)[0] / 200.0
    cents = 1200.0 * np.log2(heard / ratio)
    # 53 commas meet the Pythagorean and the just intervals within 1.5 cents.
    assert abs(cents) < 1.5


def test_a_scale_goes_on_above_and_below_its_octave() -> None:
    scale = SCALES["hicaz"]
    np.testing.assert_allclose(scale.hertz(np.array([-7, 0, 7, 14]), tonic_hz=220.0), [110.0, 220.0, 440.0, 880.0])
    hertz = scale.hertz(np.arange(-9, 16), tonic_hz=220.0)
    assert all(lower < higher for lower, higher in pairwise(hertz))


@pytest.mark.parametrize(
    ("name", "strokes"),
    [
        ("düyek", [0, 1, 3, 4, 6]),
        ("türk aksağı", [0, 2, 4]),
        ("aksak", [0, 2, 4, 6, 8]),
        ("curcuna", [0, 2, 3, 5, 7, 9]),
    ],
)
def test_an_usul_has_its_strokes_on_its_beats(name: str, strokes: list[int]) -> None:
    metre = METRES[name]
    assert np.flatnonzero(metre.loudness("low") + metre.loudness("high")).tolist() == strokes


@pytest.mark.parametrize("name", sorted(METRES))
def test_the_rows_of_a_metre_are_equally_long(name: str) -> None:
    metre = METRES[name]
    assert len(metre.low) == len(metre.high) == len(metre.light) == metre.steps

"""How hard the ten genres are to tell apart: how far each song leans towards its genre's neighbour."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from train.demo_corpus.genres import RECIPES, GenreRecipe, Layer

DIFFICULTIES: tuple[str, ...] = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Blur:
    """What a difficulty does to a recipe. A pair is a range that each song draws from."""

    lean: tuple[float, float]
    """Part of a song that comes from the neighbour: 0 none, 0.5 as much as from its own genre."""
    level_db: float
    """Standard deviation of every instrument's level, dB."""
    tilt_db: float
    """Standard deviation of the slope of the mix, dB an octave."""
    tempo: float
    """How far the tempo may leave the genre's range, as a part of the tempo."""
    noise_db: tuple[float, float]
    """Background noise against the music, dB."""


BLURS: dict[str, Blur] = {
    "easy": Blur(lean=(0.0, 0.0), level_db=2.0, tilt_db=0.5, tempo=0.03, noise_db=(-60.0, -48.0)),
    "medium": Blur(lean=(0.1, 0.4), level_db=3.0, tilt_db=1.0, tempo=0.08, noise_db=(-50.0, -30.0)),
    "hard": Blur(lean=(0.25, 0.5), level_db=4.0, tilt_db=1.5, tempo=0.15, noise_db=(-42.0, -20.0)),
}


def song_recipe(genre: str, *, difficulty: str, rng: np.random.Generator) -> GenreRecipe:
    """The recipe of one song: the genre's, leaning towards its neighbour's, with levels and a slope of its own.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    difficulty : str
        One of ``DIFFICULTIES``.
    rng : np.random.Generator
    """
    own, blur = RECIPES[genre], BLURS[difficulty]
    other = RECIPES[own.neighbour]
    lean = rng.uniform(*blur.lean)
    borrowed = rng.random(3) < lean
    bpm = _between(own.tempo_bpm, other.tempo_bpm, lean)
    return replace(
        own,
        scales=other.scales if borrowed[0] else own.scales,
        progressions=other.progressions if borrowed[1] else own.progressions,
        metres=other.metres if borrowed[2] else own.metres,
        tempo_bpm=(bpm[0] * (1.0 - blur.tempo), bpm[1] * (1.0 + blur.tempo)),
        tonic_hz=_between(own.tonic_hz, other.tonic_hz, lean),
        layers=_layers(own, other, lean, blur, rng),
        reverb_s=_mix(own.reverb_s, other.reverb_s, lean),
        reverb_db=_mix(own.reverb_db, other.reverb_db, lean) + rng.normal(0.0, 1.5),
        tilt_db=_mix(own.tilt_db, other.tilt_db, lean) + rng.normal(0.0, blur.tilt_db),
        saturation=_mix(own.saturation, other.saturation, lean) * rng.uniform(0.7, 1.4),
        peak_db=min(_mix(own.peak_db, other.peak_db, lean) + rng.normal(0.0, 1.0), 0.0),
    )


def _layers(
    own: GenreRecipe, other: GenreRecipe, lean: float, blur: Blur, rng: np.random.Generator
) -> tuple[Layer, ...]:
    """The genre's instruments and, softer, its neighbour's."""
    layers = [replace(layer, level_db=layer.level_db + 20.0 * np.log10(1.0 - lean)) for layer in own.layers]
    if lean > 0.0:
        layers += [replace(layer, level_db=layer.level_db + 20.0 * np.log10(lean)) for layer in other.layers]
    return tuple(replace(layer, level_db=layer.level_db + rng.normal(0.0, blur.level_db)) for layer in layers)


def _mix(own: float, other: float, lean: float) -> float:
    return own + (other - own) * lean


def _between(own: tuple[float, float], other: tuple[float, float], lean: float) -> tuple[float, float]:
    return _mix(own[0], other[0], lean), _mix(own[1], other[1], lean)

"""One song from one set of numbers: plan it, let every instrument play its part, mix, and set it in a room."""

from __future__ import annotations

import math

import numpy as np

from edge_runtime.errors import TmgcError
from train.demo_corpus.difficulty import BLURS, DIFFICULTIES, song_recipe
from train.demo_corpus.dsp import SAMPLE_RATE, Canvas, Sound, Spectrum, Tone, from_db, level, noise
from train.demo_corpus.genres import GENRES, GenreRecipe, Layer
from train.demo_corpus.instruments import KITS, MELODIC
from train.demo_corpus.writing import Plan, make_plan, write_notes, write_strokes

SHORTEST_SECONDS = 2.0
"""One window of the classifier."""


def synthesize_song(genre: str, *, song: int, seed: int = 0, seconds: float = 8.0, difficulty: str = "easy") -> Sound:
    """One song. The same arguments give the same samples.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    song : int >= 0
        Number of the song in its genre.
    seed : int >= 0
        Another seed gives other songs.
    seconds : float >= 2
    difficulty : str
        One of ``DIFFICULTIES``: how far the song leans towards the neighbour of its genre.

    Returns
    -------
    samples : np.ndarray [shape=(round(seconds * 44100),)], float32 in [-1, 1], mono

    Raises
    ------
    TmgcError
        An argument breaks one of these rules.

    Examples
    --------
    >>> synthesize_song("Halk", song=0, seconds=2.0).shape
    (88200,)
    """
    check_arguments(seed=seed, seconds=seconds, difficulty=difficulty)
    if genre not in GENRES:
        raise TmgcError(f"a demonstration song has a genre of {', '.join(GENRES)}; got {genre!r}: choose one of them")
    if song < 0:
        raise TmgcError(f"songs are numbered from 0, got {song}: give 0 or more")
    # Numbers, not hash(genre), which Python draws anew in every process.
    numbers = (seed, GENRES.index(genre), song, DIFFICULTIES.index(difficulty))
    rng = np.random.default_rng(np.random.SeedSequence(numbers))
    recipe = song_recipe(genre, difficulty=difficulty, rng=rng)
    canvas = Canvas(round(seconds * SAMPLE_RATE))
    plan = make_plan(recipe, seconds=canvas.seconds, rng=rng)
    mix = canvas.spectrum(_mix(recipe, plan, canvas, rng))
    mix += _background(mix, BLURS[difficulty].noise_db, canvas, rng)
    return _master(canvas.sound(mix * _room(recipe, canvas, rng)), recipe)


def check_arguments(*, seed: int, seconds: float, difficulty: str) -> None:
    """Refuse what no song can be made from."""
    if difficulty not in DIFFICULTIES:
        raise TmgcError(f"difficulty must be one of {', '.join(DIFFICULTIES)}; got {difficulty!r}: choose one of them")
    if not (math.isfinite(seconds) and seconds >= SHORTEST_SECONDS):
        raise TmgcError(f"a song must last at least {SHORTEST_SECONDS:g} seconds, got {seconds:g}: ask for more")
    if seed < 0:
        raise TmgcError(f"a seed must be 0 or more, got {seed}: give another number")


def _mix(recipe: GenreRecipe, plan: Plan, canvas: Canvas, rng: np.random.Generator) -> Sound:
    """All instruments, each at the level that the recipe gives it."""
    mix = np.zeros(canvas.samples, dtype=np.float32)
    for layer in recipe.layers:
        track = _render(layer, plan, canvas, rng)
        mix += track * np.float32(from_db(layer.level_db) / level(track))
    return mix


def _render(layer: Layer, plan: Plan, canvas: Canvas, rng: np.random.Generator) -> Sound:
    if layer.style == "strokes":
        return KITS[layer.instrument].render(write_strokes(plan, rng=rng), canvas, rng)
    return MELODIC[layer.instrument].render(write_notes(layer, plan, rng=rng), canvas, rng)


def _background(mix: Spectrum, noise_db: tuple[float, float], canvas: Canvas, rng: np.random.Generator) -> Spectrum:
    """Noise of a slope of its own: a quiet floor, so that no genre is known by an empty band."""
    colour = Tone(low_hz=40.0, tilt_db=float(rng.uniform(-4.0, 0.0)))
    hiss: Spectrum = noise(2 * len(mix), rng).view(np.complex64) * colour.gain(canvas.fft_length)
    ratio = level(np.abs(mix)) / level(np.abs(hiss))
    return hiss * np.float32(ratio * from_db(float(rng.uniform(*noise_db))))


def _room(recipe: GenreRecipe, canvas: Canvas, rng: np.random.Generator) -> Spectrum:
    """Transfer function of the room and the tone of the whole mix.

    The tail wraps round from the end to the beginning, so that the first seconds are in the same room as the rest.
    """
    tail = noise(min(canvas.samples, round(4.0 * recipe.reverb_s * SAMPLE_RATE)), rng)
    tail *= np.exp(-np.arange(len(tail), dtype=np.float32) / np.float32(recipe.reverb_s * SAMPLE_RATE))
    tail *= np.float32(from_db(recipe.reverb_db)) / np.sqrt(np.sum(tail**2))
    # Air and walls take the highs out of the tail.
    wet = canvas.spectrum(tail) * Tone(low_hz=150.0, high_hz=5000.0, order=1).gain(canvas.fft_length)
    room: Spectrum = (np.float32(1.0) + wet) * Tone(tilt_db=recipe.tilt_db).gain(canvas.fft_length)
    return room


def _master(sound: Sound, recipe: GenreRecipe) -> Sound:
    """Soft clipping as on a finished record, then the recipe's peak."""
    clipped: Sound = np.tanh(sound * np.float32(0.4 * recipe.saturation / level(sound)))
    return clipped * np.float32(from_db(recipe.peak_db) / max(float(np.abs(clipped).max()), 1e-12))

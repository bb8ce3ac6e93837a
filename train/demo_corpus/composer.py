"""Composes and synthesises one song from its recipe: draws a plan, writes and renders each part, mixes, adds a room."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from train.demo_corpus.genres import BLURS, DIFFICULTIES, GENRES, GenreRecipe, Layer, song_recipe
from train.demo_corpus.instruments import KITS, MELODIC
from train.demo_corpus.theory import METRES, SCALES, Metre, Scale
from train.synthesis.dsp import SAMPLE_RATE, Canvas, Curve, Notes, Sound, Spectrum, Strokes, Tone, from_db, level, noise

_MELODIC_STEPS = np.array([-2, -1, -1, 0, 1, 1, 2])
_LOWEST_DEGREE, _HIGHEST_DEGREE = -2, 7
_VARIATION = 0.3
"""Probability that a note of a motif is changed when the motif is repeated."""


@dataclass(frozen=True)
class Plan:
    """What all instruments of one song have in common."""

    metre: Metre
    """Pattern of strokes of one cycle."""
    scale: Scale
    """Its degrees are the notes of the song."""
    progression: tuple[int, ...]
    """Degree of each cycle's chord."""
    step_s: float
    """Length of one step of the metre, s."""
    lead_s: float
    """How far into a cycle the song begins, s."""
    tonic: float
    """The tonic in octaves above 1 Hz."""
    looseness_s: float
    """Standard deviation of the onset of a note from its beat, s."""
    seconds: float
    """Length of the song."""

    @property
    def cycle_s(self) -> float:
        """Length of one cycle, s."""
        return self.step_s * self.metre.steps


def make_plan(recipe: GenreRecipe, *, seconds: float, rng: np.random.Generator) -> Plan:
    """Draw the plan of a song from its recipe."""
    metre = METRES[str(rng.choice(recipe.metres))]
    step_s = 60.0 / (rng.uniform(*recipe.tempo_bpm) * metre.steps_per_beat)
    progression = recipe.progressions[int(rng.integers(len(recipe.progressions)))]
    return Plan(
        metre=metre,
        scale=SCALES[str(rng.choice(recipe.scales))],
        progression=progression,
        step_s=step_s,
        lead_s=float(rng.random()) * step_s * metre.steps,
        tonic=float(np.log2(rng.uniform(*recipe.tonic_hz))),
        looseness_s=recipe.looseness_ms / 1000.0,
        seconds=seconds,
    )


def write_strokes(plan: Plan, *, rng: np.random.Generator) -> Strokes:
    """Write a percussion part: the metre repeated, with random additional light strokes."""
    rows = [plan.metre.loudness(row) for row in ("low", "high", "light")]
    rows[2] = np.where(rng.random(plan.metre.steps) < 0.12, rng.uniform(0.3, 0.6, plan.metre.steps), rows[2])
    cycles = np.arange(int(np.ceil((plan.seconds + plan.lead_s) / plan.cycle_s)))
    starts, hits, gains = [], [], []
    for number, row in enumerate(rows):
        steps = np.flatnonzero(row)
        start = (cycles[:, None] * plan.cycle_s + steps * plan.step_s).reshape(-1) - plan.lead_s
        starts.append(start + _strayed(len(start), plan, rng))
        hits.append(np.full(len(start), number))
        gains.append(np.tile(row[steps], len(cycles)) * rng.uniform(0.8, 1.0, len(start)))
    return Strokes(np.concatenate(starts), np.concatenate(hits), np.concatenate(gains))


def write_notes(layer: Layer, plan: Plan, *, rng: np.random.Generator) -> Notes:
    """Write a melodic part: a motif of one cycle, repeated with variations over the song's chords."""
    onsets = _motif(layer.durations, plan.metre.steps, rng)
    cycles = int(np.ceil((plan.seconds + plan.lead_s) / plan.cycle_s))
    count = cycles * len(onsets)
    cycle = np.repeat(np.arange(cycles), len(onsets))
    steps = np.tile(onsets, cycles)
    start = np.maximum.accumulate(cycle * plan.cycle_s + steps * plan.step_s - plan.lead_s + _strayed(count, plan, rng))
    roots = np.array(plan.progression)[cycle % len(plan.progression)]
    accents = np.tile(0.7 + 0.3 * plan.metre.loudness("low")[onsets], cycles)
    return Notes(
        start=start,
        length=np.diff(start, append=start[-1] + plan.step_s * max(layer.durations)),
        pitch=_pitches(layer, plan, roots, len(onsets), rng),
        gain=accents * rng.uniform(0.85, 1.0, count) * _sounding(count, layer.rest, rng),
    )


def _motif(durations: tuple[int, ...], steps: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Steps of the metre at which the notes of one cycle begin."""
    lengths = rng.choice(durations, size=steps)
    ends = np.cumsum(lengths)
    onsets = np.concatenate([[0], ends[ends < steps]])
    return onsets.astype(np.int64)


def _pitches(
    layer: Layer, plan: Plan, roots: NDArray[np.int64], motif: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    base = plan.tonic + layer.octave
    if layer.style == "speech":
        return _speech(len(roots), base, rng)[:, None]
    if layer.style == "melody":
        degrees = _melody(len(roots), motif, rng)
    elif layer.style == "arpeggio":
        figure = rng.permutation([0, 2, 4, 7])
        degrees = roots + figure[np.arange(len(roots)) % len(figure)]
    elif layer.style == "chords":
        # A root above the fifth is moved down an octave, so that the part keeps its register.
        degrees = np.where(roots > 4, roots - len(plan.scale.steps), roots)
    else:
        degrees = np.zeros_like(roots)
    return base + plan.scale.octaves(degrees[:, None] + np.array(layer.voicing))


def _melody(count: int, motif: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Degrees of a melody: a random walk as the motif, repeated with variations."""
    walk = np.cumsum(rng.choice(_MELODIC_STEPS, size=motif)) + int(rng.integers(0, 5))
    degrees = np.tile(walk, -(-count // motif))[:count]
    varied = rng.random(count) < _VARIATION
    degrees = np.where(varied, degrees + rng.choice(_MELODIC_STEPS, size=count), degrees)
    clipped: NDArray[np.int64] = np.clip(degrees, _LOWEST_DEGREE, _HIGHEST_DEGREE)
    return clipped


def _speech(count: int, base: float, rng: np.random.Generator) -> Curve:
    """Pitches of speech: they fall over each phrase of twelve syllables and are in no scale."""
    phrase = (np.arange(count) % 12) / 12.0
    return base + 0.25 - 0.4 * phrase + rng.normal(0.0, 0.1, count)


def _strayed(count: int, plan: Plan, rng: np.random.Generator) -> Curve:
    return np.clip(rng.standard_normal(count), -2.0, 2.0) * plan.looseness_s


def _sounding(count: int, rest: float, rng: np.random.Generator) -> Curve:
    """1 for a note and 0 for a rest; two rests are never consecutive."""
    silent = rng.random(count) < rest
    silent[1:] &= ~silent[:-1]
    return np.where(silent, 0.0, 1.0)


SHORTEST_SECONDS = 2.0
"""One window of the classifier."""


def synthesize_song(genre: str, *, song: int, seed: int = 0, seconds: float = 8.0, difficulty: str = "easy") -> Sound:
    """Synthesise a song. The same arguments give the same samples.

    Parameters
    ----------
    genre : str
        One of ``GENRES``.
    song : int >= 0
        Number of the song in its genre.
    seed : int >= 0
        Seed of the corpus.
    seconds : float >= 2
    difficulty : str
        One of ``DIFFICULTIES``: how similar the song is to songs of a neighbouring genre.

    Returns
    -------
    samples : np.ndarray [shape=(round(seconds * 44100),)], float32 in [-1, 1], mono

    Raises
    ------
    TmgcError
        An argument is out of its range.

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
    # Not hash(genre), which differs between processes.
    numbers = (seed, GENRES.index(genre), song, DIFFICULTIES.index(difficulty))
    rng = np.random.default_rng(np.random.SeedSequence(numbers))
    recipe = song_recipe(genre, difficulty=difficulty, rng=rng)
    canvas = Canvas(round(seconds * SAMPLE_RATE))
    plan = make_plan(recipe, seconds=canvas.seconds, rng=rng)
    mix = canvas.spectrum(_mix(recipe, plan, canvas, rng))
    mix += _background(mix, BLURS[difficulty].noise_db, canvas, rng)
    return _master(canvas.sound(mix * _room(recipe, canvas, rng)), recipe)


def check_arguments(*, seed: int, seconds: float, difficulty: str) -> None:
    """Check the ranges of the arguments of :func:`synthesize_song`."""
    if difficulty not in DIFFICULTIES:
        raise TmgcError(f"difficulty must be one of {', '.join(DIFFICULTIES)}; got {difficulty!r}: choose one of them")
    if not (math.isfinite(seconds) and seconds >= SHORTEST_SECONDS):
        raise TmgcError(f"a song must last at least {SHORTEST_SECONDS:g} seconds, got {seconds:g}: ask for more")
    if seed < 0:
        raise TmgcError(f"a seed must be 0 or more, got {seed}: give another number")


def _mix(recipe: GenreRecipe, plan: Plan, canvas: Canvas, rng: np.random.Generator) -> Sound:
    """Mix all parts, each at the level of the recipe."""
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
    """A noise floor of random slope, so that no genre can be recognised by an empty frequency band."""
    colour = Tone(low_hz=40.0, tilt_db=float(rng.uniform(-4.0, 0.0)))
    hiss: Spectrum = noise(2 * len(mix), rng).view(np.complex64) * colour.gain(canvas.fft_length)
    ratio = level(np.abs(mix)) / level(np.abs(hiss))
    return hiss * np.float32(ratio * from_db(float(rng.uniform(*noise_db))))


def _room(recipe: GenreRecipe, canvas: Canvas, rng: np.random.Generator) -> Spectrum:
    """Transfer function of the reverberation and of the tilt of the mix.

    The convolution is circular: the reverberation of the end is heard at the beginning, which is not dry therefore.
    """
    tail = noise(min(canvas.samples, round(4.0 * recipe.reverb_s * SAMPLE_RATE)), rng)
    tail *= np.exp(-np.arange(len(tail), dtype=np.float32) / np.float32(recipe.reverb_s * SAMPLE_RATE))
    tail *= np.float32(from_db(recipe.reverb_db)) / np.sqrt(np.sum(tail**2))
    # Air and walls absorb high frequencies.
    wet = canvas.spectrum(tail) * Tone(low_hz=150.0, high_hz=5000.0, order=1).gain(canvas.fft_length)
    room: Spectrum = (np.float32(1.0) + wet) * Tone(tilt_db=recipe.tilt_db).gain(canvas.fft_length)
    return room


def _master(sound: Sound, recipe: GenreRecipe) -> Sound:
    """Soft clipping as in mastering, then normalisation to the peak of the recipe."""
    clipped: Sound = np.tanh(sound * np.float32(0.4 * recipe.saturation / level(sound)))
    return clipped * np.float32(from_db(recipe.peak_db) / max(float(np.abs(clipped).max()), 1e-12))

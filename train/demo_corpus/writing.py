"""From a recipe to notes and strokes: the plan of a song, and the part of each of its instruments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.demo_corpus.dsp import Curve
from train.demo_corpus.genres import GenreRecipe, Layer
from train.demo_corpus.parts import Notes, Strokes
from train.demo_corpus.rhythms import METRES, Metre
from train.demo_corpus.scales import SCALES, Scale

_MELODIC_STEPS = np.array([-2, -1, -1, 0, 1, 1, 2])
_LOWEST_DEGREE, _HIGHEST_DEGREE = -2, 7
_VARIATION = 0.3
"""Chance that a note of a motif differs when the motif comes again."""


@dataclass(frozen=True)
class Plan:
    """What all instruments of one song agree on."""

    metre: Metre
    """The cycle."""
    scale: Scale
    """The notes to choose from."""
    progression: tuple[int, ...]
    """Degree of each cycle's chord."""
    step_s: float
    """Length of one step of the metre, s."""
    lead_s: float
    """Part of the first cycle that is over when the song begins, s."""
    tonic: float
    """Octaves above 1 Hz."""
    looseness_s: float
    """Standard deviation of a note from its beat, s."""
    seconds: float
    """Length of the song."""

    @property
    def cycle_s(self) -> float:
        """Length of one cycle, s."""
        return self.step_s * self.metre.steps


def make_plan(recipe: GenreRecipe, *, seconds: float, rng: np.random.Generator) -> Plan:
    """Draw one song's plan from its recipe."""
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
    """A percussion part: the metre again and again, with filling strokes of the song's own."""
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
    """A melodic part: a motif of one cycle that comes again with changes, over the song's chords."""
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
    """Steps at which the notes of one cycle begin."""
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
        # A root above the fifth is taken from below, so that the part keeps its register.
        degrees = np.where(roots > 4, roots - len(plan.scale.steps), roots)
    else:
        degrees = np.zeros_like(roots)
    return base + plan.scale.octaves(degrees[:, None] + np.array(layer.voicing))


def _melody(count: int, motif: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Degrees of a melody that walks about, repeats its motif and varies it."""
    walk = np.cumsum(rng.choice(_MELODIC_STEPS, size=motif)) + int(rng.integers(0, 5))
    degrees = np.tile(walk, -(-count // motif))[:count]
    varied = rng.random(count) < _VARIATION
    degrees = np.where(varied, degrees + rng.choice(_MELODIC_STEPS, size=count), degrees)
    clipped: NDArray[np.int64] = np.clip(degrees, _LOWEST_DEGREE, _HIGHEST_DEGREE)
    return clipped


def _speech(count: int, base: float, rng: np.random.Generator) -> Curve:
    """Pitches of speech: they fall through each phrase of a dozen syllables and belong to no scale."""
    phrase = (np.arange(count) % 12) / 12.0
    return base + 0.25 - 0.4 * phrase + rng.normal(0.0, 0.1, count)


def _strayed(count: int, plan: Plan, rng: np.random.Generator) -> Curve:
    return np.clip(rng.standard_normal(count), -2.0, 2.0) * plan.looseness_s


def _sounding(count: int, rest: float, rng: np.random.Generator) -> Curve:
    """1 for a note that sounds and 0 for a rest; two rests never follow each other."""
    silent = rng.random(count) < rest
    silent[1:] &= ~silent[:-1]
    return np.where(silent, 0.0, 1.0)

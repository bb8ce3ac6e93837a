"""Recipes of the ten genres, and the three difficulties: how similar songs of neighbouring genres are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

GENRES: tuple[str, ...] = (
    "Arabesk",
    "Caz",
    "Elektronik",
    "Halk",
    "Klasik",
    "Pop",
    "Punk",
    "Rap",
    "Rock",
    "Tasavvuf",
)


@dataclass(frozen=True)
class Layer:
    """The part of one instrument in a song."""

    instrument: str
    """A name in ``MELODIC`` or ``KITS``."""
    level_db: float
    """Level in the mix, root mean square, dB."""
    style: str = "melody"
    """How its notes are chosen: melody, arpeggio, chords, drone or speech; strokes for a kit."""
    octave: int = 0
    """Octaves above the song's tonic."""
    durations: tuple[int, ...] = (2,)
    """Possible lengths of a note, steps of the metre."""
    rest: float = 0.0
    """Probability that a note is replaced by a rest; two rests are never consecutive."""
    voicing: tuple[int, ...] = (0,)
    """Degrees above the root of the simultaneous notes."""


@dataclass(frozen=True)
class GenreRecipe:
    """What all songs of a genre have in common. A pair is a range from which each song draws."""

    neighbour: str
    """The most similar genre: with higher difficulty, songs take features from it."""
    scales: tuple[str, ...]
    """Names in ``SCALES``."""
    metres: tuple[str, ...]
    """Names in ``METRES``."""
    tempo_bpm: tuple[float, float]
    """Beats per minute."""
    tonic_hz: tuple[float, float]
    """Frequency of the tonic in octave 0."""
    layers: tuple[Layer, ...]
    """All parts play all the time, so that every clip of a song has the features of the genre."""
    progressions: tuple[tuple[int, ...], ...] = ((0,),)
    """Roots of the chords as degrees of the scale, one per cycle of the metre."""
    looseness_ms: float = 6.0
    """Standard deviation of the onset of a note from its beat."""
    reverb_s: float = 0.4
    """Time constant of the reverberation, s."""
    reverb_db: float = -22.0
    """Level of the reverberation relative to the dry sound."""
    tilt_db: float = 0.0
    """Slope of the mix, dB per octave."""
    saturation: float = 0.5
    """Gain before soft clipping: it makes the mix dense."""
    peak_db: float = -3.0
    """Peak of the song, dB of full scale."""


RECIPES: dict[str, GenreRecipe] = {
    "Arabesk": GenreRecipe(
        neighbour="Halk",
        scales=("hicaz", "kürdi", "uşşak", "nihavent"),
        metres=("düyek", "sofyan"),
        tempo_bpm=(84.0, 114.0),
        tonic_hz=(140.0, 185.0),
        layers=(
            Layer("strings", 0.0, octave=1, durations=(1, 2, 2, 3)),
            Layer("arabesk singer", -2.0, durations=(1, 2, 3)),
            Layer("darbuka", 3.0, "strokes"),
            Layer("electric bass", -5.0, "chords", octave=-1, durations=(2, 4)),
        ),
        progressions=((0,), (0, 0, 3, 0), (0, 3, 4, 0)),
        looseness_ms=8.0,
        reverb_s=0.5,
        reverb_db=-15.0,
        peak_db=-3.0,
    ),
    "Caz": GenreRecipe(
        neighbour="Rap",
        scales=("dorian", "mixolydian", "blues"),
        metres=("swing", "swing with snare"),
        tempo_bpm=(130.0, 190.0),
        tonic_hz=(170.0, 240.0),
        layers=(
            Layer("jazz kit", -1.0, "strokes"),
            Layer("upright bass", -1.0, octave=-2, durations=(3,)),
            Layer("piano", -4.0, "chords", octave=0, durations=(2, 4, 5, 6), rest=0.2, voicing=(2, 4, 6, 8)),
            Layer("saxophone", -2.0, octave=1, durations=(2, 1, 3, 3), rest=0.1),
        ),
        progressions=((0, 0, 3, 0), (1, 4, 0, 5), (0, 3, 1, 4)),
        looseness_ms=10.0,
        reverb_s=0.35,
        reverb_db=-20.0,
        saturation=0.2,
        peak_db=-7.0,
    ),
    "Elektronik": GenreRecipe(
        neighbour="Pop",
        scales=("minor", "dorian"),
        metres=("four on the floor", "techno"),
        tempo_bpm=(122.0, 142.0),
        tonic_hz=(100.0, 140.0),
        layers=(
            Layer("house kit", 3.0, "strokes"),
            Layer("saw arpeggio", -1.0, "arpeggio", octave=2, durations=(1,)),
            Layer("pumping pad", -5.0, "chords", octave=1, durations=(4,), voicing=(0, 2, 4)),
            Layer("synth bass", -3.0, "chords", octave=-1, durations=(1, 2), rest=0.1),
        ),
        progressions=((0, 5, 3, 4), (0, 0, 5, 5), (0, 6, 5, 6)),
        looseness_ms=0.0,
        reverb_s=0.3,
        reverb_db=-20.0,
        saturation=1.2,
        peak_db=-0.5,
    ),
    "Halk": GenreRecipe(
        neighbour="Arabesk",
        scales=("hüseyni", "uşşak", "hicaz"),
        metres=("aksak", "curcuna", "türk aksağı"),
        tempo_bpm=(140.0, 200.0),
        tonic_hz=(195.0, 260.0),
        layers=(
            Layer("bağlama", 1.0, octave=0, durations=(1, 1, 1, 2)),
            Layer("bağlama", -7.0, "drone", durations=(1,), rest=0.1, voicing=(-7, -3, 0)),
            Layer("davul and spoons", -1.0, "strokes"),
            Layer("zurna", -11.0, octave=1, durations=(1, 2, 2, 3), rest=0.08),
        ),
        looseness_ms=7.0,
        reverb_s=0.2,
        reverb_db=-24.0,
        peak_db=-4.0,
    ),
    "Klasik": GenreRecipe(
        neighbour="Tasavvuf",
        scales=("rast", "segâh", "nihavent", "hüseyni"),
        metres=("sofyan", "aksak", "düyek"),
        tempo_bpm=(70.0, 100.0),
        tonic_hz=(180.0, 250.0),
        layers=(
            Layer("kanun", 0.0, octave=1, durations=(1, 1, 2)),
            Layer("ud", -2.0, octave=-1, durations=(1, 2)),
            Layer("kemençe", -3.0, octave=1, durations=(2, 3, 4)),
            Layer("kudüm", -5.0, "strokes"),
        ),
        looseness_ms=12.0,
        reverb_s=0.5,
        reverb_db=-17.0,
        tilt_db=-0.5,
        saturation=0.1,
        peak_db=-8.0,
    ),
    "Pop": GenreRecipe(
        neighbour="Elektronik",
        scales=("major", "minor", "kürdi"),
        metres=("handclaps", "backbeat"),
        tempo_bpm=(92.0, 122.0),
        tonic_hz=(120.0, 170.0),
        layers=(
            Layer("pop kit", 3.0, "strokes"),
            Layer("pop singer", 0.0, octave=1, durations=(1, 2, 2, 4), rest=0.08),
            Layer("bright pad", -6.0, "chords", octave=1, durations=(16,), voicing=(0, 2, 4)),
            Layer("acoustic guitar", -5.0, "chords", octave=0, durations=(2, 1), voicing=(0, 4, 7, 9)),
            Layer("electric bass", -2.0, "chords", octave=-1, durations=(2, 4)),
        ),
        progressions=((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4)),
        looseness_ms=4.0,
        reverb_db=-18.0,
        saturation=0.9,
        peak_db=-1.0,
    ),
    "Punk": GenreRecipe(
        neighbour="Rock",
        scales=("major", "minor", "mixolydian"),
        metres=("d-beat", "polka beat"),
        tempo_bpm=(168.0, 208.0),
        tonic_hz=(82.0, 110.0),
        layers=(
            Layer("buzzsaw guitar", 2.0, "chords", octave=0, durations=(2,), voicing=(0, 4, 7)),
            Layer("punk kit", 4.0, "strokes"),
            Layer("electric bass", -6.0, "chords", octave=-1, durations=(2,)),
            Layer("shouter", -4.0, octave=1, durations=(2, 2, 4), rest=0.15),
        ),
        progressions=((0, 3, 4, 3), (0, 4, 5, 3), (0, 3, 0, 4)),
        looseness_ms=8.0,
        reverb_s=0.15,
        reverb_db=-24.0,
        tilt_db=0.7,
        saturation=1.4,
        peak_db=-0.3,
    ),
    "Rap": GenreRecipe(
        neighbour="Caz",
        scales=("minor", "kürdi", "hicaz"),
        metres=("boom bap", "trap"),
        tempo_bpm=(78.0, 98.0),
        tonic_hz=(98.0, 130.0),
        layers=(
            Layer("rapper", 0.0, "speech", durations=(1, 1, 1, 2)),
            Layer("rap kit", 2.0, "strokes"),
            Layer("sub bass", 1.0, "chords", octave=-1, durations=(4, 6, 8)),
            Layer("dark keys", -8.0, "chords", octave=1, durations=(4, 8), voicing=(0, 2, 4)),
        ),
        progressions=((0,), (0, 5), (0, 3)),
        looseness_ms=9.0,
        reverb_s=0.15,
        reverb_db=-28.0,
        saturation=1.0,
        peak_db=-1.0,
    ),
    "Rock": GenreRecipe(
        neighbour="Punk",
        scales=("minor", "blues", "mixolydian"),
        metres=("backbeat", "heavy backbeat"),
        tempo_bpm=(96.0, 138.0),
        tonic_hz=(82.0, 110.0),
        layers=(
            Layer("power chords", 1.0, "chords", octave=0, durations=(4, 6, 8), voicing=(0, 4, 7)),
            Layer("rock kit", 2.0, "strokes"),
            Layer("electric bass", -3.0, "chords", octave=-1, durations=(2,)),
            Layer("lead guitar", -2.0, octave=2, durations=(2, 3, 4, 6), rest=0.05),
        ),
        progressions=((0, 3, 4, 0), (0, 5, 6, 0), (0, 0, 3, 4)),
        looseness_ms=7.0,
        reverb_s=0.35,
        reverb_db=-20.0,
        saturation=1.4,
        peak_db=-1.0,
    ),
    "Tasavvuf": GenreRecipe(
        neighbour="Klasik",
        scales=("uşşak", "segâh", "rast", "hüseyni"),
        metres=("sofyan", "düyek"),
        tempo_bpm=(50.0, 74.0),
        tonic_hz=(200.0, 270.0),
        layers=(
            Layer("ney", 1.0, octave=1, durations=(1, 2, 2, 3)),
            Layer("bendir", -1.0, "strokes"),
            Layer("tanbur", -5.0, octave=-1, durations=(1, 2, 2)),
            Layer("drone", -9.0, "drone", octave=-1, durations=(8,), voicing=(0, 4)),
        ),
        looseness_ms=14.0,
        reverb_s=1.1,
        reverb_db=-9.0,
        tilt_db=-0.5,
        saturation=0.1,
        peak_db=-9.0,
    ),
}


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
    """Draw the recipe of one song: between the recipes of its genre and the neighbour, with random levels and tilt.

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
    """The genre's parts and, at a lower level, its neighbour's."""
    layers = [replace(layer, level_db=layer.level_db + 20.0 * np.log10(1.0 - lean)) for layer in own.layers]
    if lean > 0.0:
        layers += [replace(layer, level_db=layer.level_db + 20.0 * np.log10(lean)) for layer in other.layers]
    return tuple(replace(layer, level_db=layer.level_db + rng.normal(0.0, blur.level_db)) for layer in layers)


def _mix(own: float, other: float, lean: float) -> float:
    return own + (other - own) * lean


def _between(own: tuple[float, float], other: tuple[float, float], lean: float) -> tuple[float, float]:
    return _mix(own[0], other[0], lean), _mix(own[1], other[1], lean)

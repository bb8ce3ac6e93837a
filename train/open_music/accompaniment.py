"""Accompaniments with a melody: random pieces in the styles of MMA (Musical MIDI Accompaniment), as MIDI files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import TmgcError, first_line


_TICKS = 192
"""MIDI ticks of a beat in MMA."""


@dataclass(frozen=True)
class Family:
    """Styles that share harmony, leading instruments and a kind of voice."""

    styles: tuple[str, ...]
    """Files of MMA's library."""
    progressions: tuple[str, ...]
    """Chords, one a bar, relative to C."""
    leads: tuple[str, ...]
    """General MIDI instruments of the melody, as MMA names them."""
    tempo: tuple[int, int]
    """Slowest and fastest, beats a minute."""
    voice: str
    """``rap``, ``song``, or empty for none."""
    rhythm: tuple[str, str]
    """General MIDI instrument that plays the chords besides, and its pattern."""
    scale: tuple[int, ...] = (0, 2, 4, 7, 9)
    """Semitones of the melody above the key."""


_BLUES = ("C7 F7 C7 C7 F7 F7 C7 C7 G7 F7 C7 G7", "C7 C7 C7 C7 F7 F7 C7 A7 Dm7 G7 C7 G7")
_MINOR_BLUES = (0, 3, 5, 6, 7, 10)
_MINOR_PENTATONIC = (0, 3, 5, 7, 10)
_POP = ("C G Am F", "Am F C G", "C Am F G", "F G Em Am", "C Em F G", "Dm7 G7 CM7 Am7", "C F Am G")
_ROCK = ("C5 Bb5 F5 C5", "C F G F", "C5 Eb5 F5 G5", "Am G F G", "C Bb F C", "A5 C5 D5 F5")
_METAL = ("C5 C5 Db5 Eb5", "C5 Eb5 F5 Gb5", "C5 Ab5 Bb5 C5", "C5 C5 Bb5 Ab5", "C5 Db5 C5 Bb5")
_HIP_HOP = ("Cm7 Cm7 Fm7 Cm7", "Am7 Am7 Dm7 Em7", "Cm Ab Bb Cm", "Cm7 Fm7 Cm7 Gm7", "Am F Am E")

_EIGHTHS = "{1 8 90 * 8}"
_OFF_BEATS = "{1.5 8 80; 2.5 8 80; 3.5 8 80; 4.5 8 80}"
_CHUGGING = "{1 16 110; 1.5 16 100; 1.75 16 100; 2 8 110; 2.5 16 100; 2.75 16 100; 3 16 110; 3.5 16 100; 3.75 16 100; 4 8 110; 4.5 8 110}"
_HALVES = "{1 2 80; 3 2 80}"
_STRUMMED = "{1 4 90; 2 8 100; 2.5 8 80; 3 8 70; 3.5 8 90; 4 8 100; 4.5 8 80}"

FAMILIES = {
    "hip-hop": Family(
        ("alexis/hiphop", "zoom/hiphop", "casio/hip-hop", "zoom/trip", "casio/triphop", "casio/modernrb"),
        _HIP_HOP, ("EPiano", "SynthBass1", "Strings", "Piano1", "Vibraphone"), (78, 104), "rap", ("EPiano", _HALVES), _MINOR_PENTATONIC,
    ),
    "metal": Family(
        ("casio/heavymetal", "pflib/metal1", "pflib/metal2", "zoom/mtl", "zoom/thr", "zoom/hrk"),
        _METAL, ("DistortionGuitar", "OverDriveGuitar"), (110, 190), "song", ("DistortionGuitar", _CHUGGING), _MINOR_BLUES,
    ),
    "punk": Family(
        ("zoom/punk", "casio/rock1", "zoom/rock"), _ROCK, ("OverDriveGuitar", "DistortionGuitar"), (150, 200), "song", ("DistortionGuitar", _EIGHTHS),
    ),
    "rock": Family(
        ("zoom/rock", "casio/rock1", "casio/rock2", "casio/shufflerock", "pflib/rock1", "pflib/highfive",
         "stdlib/basicrock", "stdlib/60srock", "stdlib/folkrock", "casio/poprock1", "casio/poprock2", "kara/K50s_rock"),
        _ROCK, ("OverDriveGuitar", "JazzGuitar", "CleanGuitar", "Organ3"), (100, 150), "song", ("OverDriveGuitar", _EIGHTHS), _MINOR_PENTATONIC,
    ),
    "pop": Family(
        ("casio/80spop", "casio/60spop", "casio/pop", "casio/electricpop", "casio/dancepop1", "casio/dancepop2",
         "casio/dancepop3", "casio/16beat1", "casio/16beat2", "casio/8beatpop1", "casio/8beatpop2", "casio/worldpop",
         "stdlib/popballad", "casio/popballad", "zoom/pop", "casio/16beatballad1"),
        _POP, ("Piano1", "NylonGuitar", "Strings", "SynthBrass1", "CleanGuitar"), (84, 124), "song", ("SteelGuitar", _STRUMMED),
    ),
    "dance": Family(
        ("stdlib/boneym", "casio/discosoul", "casio/dance1", "casio/dance2", "casio/8beatdance", "zoom/dance",
         "zoom/house", "casio/house"),
        _POP, ("Strings", "SynthBrass1", "EPiano"), (112, 130), "song", ("SynthBrass1", _OFF_BEATS),
    ),
    "soul": Family(
        ("casio/soul", "casio/soulpop", "casio/60ssoul", "casio/mellowrb", "casio/r+b", "zoom/rnb", "stdlib/rb",
         "stdlib/rb-ballad", "stdlib/dsoul", "casio/funk1", "casio/funk2", "kara/Kfunk1", "kara/8beatmotown",
         "stdlib/bvfunk", "zoom/funk"),
        ("Am7 D7 GM7 CM7", "Dm7 G7 Em7 Am7", "CM7 Am7 Dm7 G7", "Fm7 Bb7 Cm7 Cm7"),
        ("TenorSax", "EPiano", "Organ1", "JazzGuitar"), (72, 112), "song", ("EPiano", _HALVES), _MINOR_PENTATONIC,
    ),
    "blues": Family(
        ("stdlib/blues", "stdlib/fastblues", "stdlib/slowblues", "stdlib/countryblues", "stdlib/boggiewoggie",
         "stdlib/shuffleboggie", "casio/blues", "casio/shuffleboogie", "zoom/blues", "stdlib/bluefolk"),
        _BLUES, ("Harmonica", "JazzGuitar", "OverDriveGuitar", "Piano1", "TenorSax"), (72, 132), "song", ("CleanGuitar", _STRUMMED), _MINOR_BLUES,
    ),
    "country": Family(
        ("stdlib/hillcountry", "stdlib/countryswing", "stdlib/bluegrass", "stdlib/westernswing", "stdlib/slowcountry",
         "zoom/country", "zoom/cntry", "yamaha/western", "kara/kwestballad", "stdlib/folkballad"),
        ("C C F C G G C C", "C F C G C F G C", "C Am F G", "G C G D G C D G"),
        ("Fiddle", "Banjo", "SteelGuitar", "Harmonica", "CleanGuitar"), (90, 150), "song", ("SteelGuitar", _STRUMMED),
    ),
    "folk": Family(
        ("stdlib/folk", "stdlib/folkballad", "stdlib/guitarballad", "stdlib/folkyjazz", "stdlib/lullaby",
         "stdlib/polka", "stdlib/hymn", "stdlib/spiritual"),
        ("C F C G", "Am G Am E", "Dm C Dm A7", "C G F C", "Am Dm E7 Am"),
        ("NylonGuitar", "SteelGuitar", "Flute", "Accordion", "Fiddle", "Recorder"), (76, 124), "song", ("SteelGuitar", _STRUMMED),
    ),
    "reggae": Family(
        ("zoom/reggae", "zoom/ska", "stdlib/ska", "stdlib/calypso"),
        ("C F C G", "Am Dm Am Em", "C G Am F"), ("Organ1", "CleanGuitar", "Trombone"), (70, 120), "song", ("CleanGuitar", _OFF_BEATS),
    ),
    "jazz": Family(
        ("stdlib/swing", "stdlib/bebop", "stdlib/modernjazz", "stdlib/jazzguitar", "stdlib/gypsyjazz",
         "stdlib/mellowjazz", "stdlib/bossanova", "yamaha/jazztrio", "yamaha/jazzswing", "zoom/jazz", "casio/swing",
         "stdlib/dixie", "stdlib/ragtime", "casio/middlebigband"),
        ("Dm7 G7 CM7 A7", "CM7 A7 Dm7 G7", "Am7 D7 GM7 CM7 FM7 Bm7b5 E7 Am7"),
        ("TenorSax", "Trumpet", "JazzGuitar", "Vibraphone", "Clarinet", "Piano1"), (90, 190), "", ("Piano1", _HALVES),
        (0, 2, 4, 5, 7, 9, 11),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A piece to be played."""

    family: str
    style: str
    """File of MMA's library."""
    grooves: tuple[str, ...]
    """Of each bar; a change is heard every eight bars."""
    chords: tuple[str, ...]
    """Of each bar, relative to C."""
    tempo: int
    """Beats a minute."""
    beats_per_bar: int
    key: int
    """Semitones above C."""
    melody: tuple[tuple[float, float, int], ...]
    """Start and length in beats and MIDI pitch of each note."""
    lead: str
    """Instrument of the melody."""

    @property
    def bars(self) -> int:
        """Length in bars."""
        return len(self.chords)

    @property
    def beat_seconds(self) -> float:
        """Seconds of a beat."""
        return 60 / self.tempo


class Mma:
    """MMA, unpacked into a folder.

    Parameters
    ----------
    root : Path
        The tree of the package ``mma``.
    """

    def __init__(self, root: Path) -> None:
        self.program, self.home = root / "usr/bin/mma", root / "usr/share/mma"

    def compose(self, family: str, rng: np.random.Generator, seconds: float) -> Piece:
        """Compose a random piece of about this length."""
        kind = FAMILIES[family]
        style = _choice(rng, kind.styles)
        text = (self.home / "lib" / f"{style}.mma").read_text(encoding="latin-1")
        beats = int((re.search(r"(?im)^\s*Time\s+(\d)", text) or ["", "4"])[1])
        tempo, key = int(rng.integers(*kind.tempo)), int(rng.integers(-5, 6))
        bars = max(8, round(seconds * tempo / 60 / beats / 4) * 4)
        grooves = [name for name in re.findall(r"(?im)^\s*DefGroove\s+(\S+)", text) if not re.search("(?i)intro|end|fill", name)]
        melody = _melody(kind.scale, bars, beats, key, rng)
        chords = _choice(rng, kind.progressions).split()
        sections = [_choice(rng, grooves) for _ in range(bars // 8 + 1)]
        return Piece(
            family,
            style,
            tuple(sections[bar // 8] for bar in range(bars)),
            tuple(chords[bar % len(chords)] for bar in range(bars)),
            tempo,
            beats,
            key,
            melody,
            _choice(rng, kind.leads),
        )

    def write_midi(self, piece: Piece, path: Path, *, with_melody: bool) -> None:
        """Write a piece as a MIDI file.

        Raises
        ------
        TmgcError
            MMA refuses the piece.
        """
        source = path.with_suffix(".mma")
        source.write_text(_bars(piece, with_melody=with_melody), encoding="ascii")
        command = [sys.executable, str(self.program), "-0", "-f", str(path), str(source)]
        environment = os.environ | {"MMA_HOME": str(self.home)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not path.is_file():
            reason = first_line(RuntimeError(" ".join((done.stdout + done.stderr).split("Error:")[-1].split())))
            raise TmgcError(f"MMA cannot play {piece.family} ({reason}): see {source}")


def _choice(rng: np.random.Generator, values: tuple[str, ...] | list[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _bars(piece: Piece, *, with_melody: bool) -> str:
    """The piece in MMA's language."""
    kind = FAMILIES[piece.family]
    lines = [f"Tempo {piece.tempo}", f"Transpose {piece.key}", f"Solo-Lead Voice {piece.lead}", "Solo-Lead Volume ff"]
    for bar, (groove, chord) in enumerate(zip(piece.grooves, piece.chords, strict=True)):
        if bar % 8 == 0:
            lines += [f"Groove {piece.style}:{groove}", f"Chord-Rhythm Voice {kind.rhythm[0]}", "Chord-Rhythm Octave 4"]
            lines.append(f"Chord-Rhythm Sequence {kind.rhythm[1]}")
        if with_melody:
            lines += [note for note in _notes_of_bar(piece, bar)]
        lines.append(f"{bar + 1} {chord}")
    return "\n".join(lines) + "\n"


def _notes_of_bar(piece: Piece, bar: int) -> list[str]:
    first = bar * piece.beats_per_bar
    return [
        f"Solo-Lead MidiNote Note {round((start - first) * _TICKS)} {pitch} 100 {round(length * _TICKS)}"
        for start, length, pitch in piece.melody
        if first <= start < first + piece.beats_per_bar
    ]


def _melody(
    scale: tuple[int, ...], bars: int, beats: int, key: int, rng: np.random.Generator
) -> tuple[tuple[float, float, int], ...]:
    """A walk on the scale in phrases of two bars: a rhythm that returns, and a rest at the end of each phrase."""
    rhythms = [_rhythm(2 * beats, rng) for _ in range(2)]
    degree, notes = len(scale), []
    for phrase in range(bars // 2):
        for start, length in rhythms[phrase // 2 % 2]:
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, 2 * len(scale)))
            pitch = 55 + key + 12 * (degree // len(scale)) + scale[degree % len(scale)]
            notes.append((2 * beats * phrase + start, length, pitch))
    return tuple(notes)


def _rhythm(beats: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Start and length of notes in a phrase, in beats; the last beat or more is a rest."""
    start, notes = float(rng.choice([0.0, 0.0, 0.5, 1.0])), []
    while start < beats - 1.5:
        length = float(rng.choice([0.5, 0.5, 1.0, 1.0, 1.5, 2.0]))
        notes.append((start, min(length, beats - 1 - start)))
        start += length
    return notes

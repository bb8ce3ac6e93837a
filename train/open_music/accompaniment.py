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
from train.open_music.styles import FAMILIES

_TICKS = 192
"""MIDI ticks of a beat in MMA."""


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
        """Compose a random piece of about this length.

        Raises
        ------
        TmgcError
            This version of MMA does not have the style.
        """
        kind = FAMILIES[family]
        style = _choice(rng, kind.styles)
        path = self.home / "lib" / f"{style}.mma"
        text = path.read_text(encoding="latin-1") if path.is_file() else ""
        beats = int((re.search(r"(?im)^\s*Time\s+(\d)", text) or ["", "4"])[1])
        tempo, key = int(rng.integers(*kind.tempo)), int(rng.integers(-5, 6))
        bars = max(8, round(seconds * tempo / 60 / beats / 4) * 4)
        grooves = [
            name
            for name in re.findall(r"(?im)^\s*DefGroove\s+(\S+)", text)
            if not re.search("(?i)intro|end|fill", name)
        ]
        if not grooves:
            raise TmgcError(f"MMA has no style {style}: {path} defines no groove. Install another version of MMA")
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

    def write_midi(self, piece: Piece, path: Path, *, band: bool = True, guitars: bool, melody: bool) -> None:
        """Write a piece, or some of its tracks, as a MIDI file.

        Parameters
        ----------
        piece : Piece
        path : Path
        band : bool
            With the tracks of the style.
        guitars : bool
            With the instrument that plays the chords besides.
        melody : bool

        Raises
        ------
        TmgcError
            MMA refuses the piece.
        """
        source = path.with_suffix(".mma")
        source.write_text(_bars(piece, guitars=guitars, melody=melody), encoding="ascii")
        command = [sys.executable, str(self.program), "-0", "-f", str(path), str(source)]
        if not band:
            command += ["-T", "Chord-Rhythm,Solo-Lead"]
        environment = os.environ | {"MMA_HOME": str(self.home)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not path.is_file():
            reason = first_line(RuntimeError(" ".join((done.stdout + done.stderr).split("Error:")[-1].split())))
            raise TmgcError(f"MMA cannot play {piece.style} ({reason}): see that {self.program} runs by itself")


def _choice(rng: np.random.Generator, values: tuple[str, ...] | list[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _bars(piece: Piece, *, guitars: bool, melody: bool) -> str:
    """The piece in MMA's language."""
    kind = FAMILIES[piece.family]
    lines = [f"Tempo {piece.tempo}", f"Transpose {piece.key}", f"Solo-Lead Voice {piece.lead}", "Solo-Lead Volume ff"]
    for bar, (groove, chord) in enumerate(zip(piece.grooves, piece.chords, strict=True)):
        if bar % 8 == 0:
            lines.append(f"Groove {piece.style}:{groove}")
            if guitars:
                lines += [f"Chord-Rhythm Voice {kind.rhythm}", "Chord-Rhythm Octave 4"]
                lines.append(f"Chord-Rhythm Sequence {kind.pattern}")
        if melody:
            lines += _notes_of_bar(piece, bar)
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

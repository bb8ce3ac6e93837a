"""Synthesised pieces: accompaniment, melody and voice, written as Ogg files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edge_runtime.files import atomic_write
from train.open_music.accompaniment import Mma, Piece
from train.open_music.programs import Program, find_program, unpack_packages
from train.open_music.sound import SAMPLE_RATE, Synth, write_ogg
from train.open_music.styles import FAMILIES
from train.open_music.voices import rap, sing

SOUND_FONTS = {
    "timgm6mb-soundfont": "usr/share/sounds/sf2/TimGM6mb.sf2",
    "fluid-soundfont-gm": "usr/share/sounds/sf2/FluidR3_GM.sf2",
}
"""Packages with the instruments of General MIDI, and the file in each."""

SECONDS = 45.0
"""Length of a piece, about."""

_WITH_VOICE = 0.75
"""Share of pieces with a voice, in the families that have one."""


@dataclass(frozen=True)
class Studio:
    """What pieces are made with."""

    mma: Mma
    synths: tuple[Synth, ...]
    """With different sound fonts."""
    espeak: Program
    licences: str
    """Copyright files of the packages."""


def open_studio(folder: Path) -> Studio:
    """Find or unpack what pieces are made with.

    Parameters
    ----------
    folder : Path
        Where packages are unpacked.

    Raises
    ------
    TmgcError
        A package cannot be had, or a program does not run.
    """
    fluidsynth = find_program("fluidsynth", ("libfluidsynth3", "libinstpatch-1.0-2"), folder)
    libraries = "libespeak-ng1", "libsonic0", "libpcaudio0", "espeak-ng-data"
    espeak = find_program("espeak-ng", libraries, folder, {"ESPEAK_DATA_PATH": "usr/lib/**/espeak-ng-data"})
    trees = {package: unpack_packages((package,), folder) for package in ("mma", *SOUND_FONTS)}
    synths = tuple(Synth(fluidsynth, trees[package] / path) for package, path in SOUND_FONTS.items())
    licences = (tree / "usr/share/doc" / package / "copyright" for package, tree in trees.items())
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in licences)
    return Studio(Mma(trees["mma"]), synths, espeak, ("\n" + "-" * 80 + "\n").join(texts))


def write_piece(family: str, number: int, folder: Path, studio: Studio) -> Path:
    """Compose and render a piece; the same arguments give the same piece.

    Returns
    -------
    path : Path
        An Ogg file in ``folder``; one that is there already is kept.

    Raises
    ------
    TmgcError
        MMA refuses the piece, or nothing is heard of it.
    """
    path = folder / f"{family}-{number:03d}.ogg"
    if not path.is_file():
        rng = np.random.default_rng([number, list(FAMILIES).index(family)])
        piece = studio.mma.compose(family, rng, SECONDS)
        voice = _voice(piece, studio.espeak, rng)
        synth = studio.synths[int(rng.integers(len(studio.synths)))]
        with TemporaryDirectory() as temporary:
            played = _played(piece, studio.mma, Path(temporary) / "piece.mid", synth, melody=voice is None)
        with atomic_write(path) as partial:
            write_ogg(partial, played if voice is None else _mixed(played, voice, rng))
    return path


def _played(piece: Piece, mma: Mma, midi: Path, synth: Synth, *, melody: bool) -> np.ndarray:
    """Play the accompaniment, the guitars through an amplifier where the family has one."""
    drive_db = FAMILIES[piece.family].drive_db
    mma.write_midi(piece, midi, guitars=not drive_db, melody=melody and not drive_db)
    band = synth.play(midi)
    if not drive_db:
        return band
    mma.write_midi(piece, midi, band=False, guitars=True, melody=melody)
    guitars = _amplified(synth.play(midi, dry=True), drive_db)
    length = min(len(band), len(guitars))
    mixed: np.ndarray = band[:length] / _level(band) + 1.5 * guitars[:length] / _level(guitars)
    return mixed * np.float32(0.9 / np.abs(mixed).max())


def _amplified(samples: np.ndarray, drive_db: float) -> np.ndarray:
    """Distort as a guitar amplifier does: little bass in, tanh, and a loudspeaker of 100 to 5000 Hz."""
    from scipy.signal import butter, sosfilt

    tight = sosfilt(butter(1, 150, "highpass", fs=SAMPLE_RATE, output="sos"), samples)
    driven = np.tanh(10 ** (drive_db / 20) * tight / max(float(np.abs(tight).max()), 1e-6))
    speaker = butter(3, (100, 5000), "bandpass", fs=SAMPLE_RATE, output="sos")
    heard: np.ndarray = sosfilt(speaker, driven).astype(np.float32)
    return heard


def _level(samples: np.ndarray) -> np.float32:
    return np.float32(max(float(np.sqrt(np.mean(samples**2))), 1e-6))


def _voice(piece: Piece, espeak: Program, rng: np.random.Generator) -> np.ndarray | None:
    kind = FAMILIES[piece.family].voice
    if not kind or (kind == "song" and rng.random() > _WITH_VOICE):
        return None
    return rap(piece, espeak, rng) if kind == "rap" else sing(piece, espeak, rng)


def _mixed(played: np.ndarray, voice: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the voice, between 2 dB below and 6 dB above the accompaniment (root mean square)."""
    length = min(len(played), len(voice))
    played, voice = played[:length], voice[:length]
    gain = np.float32(10 ** (rng.uniform(-2, 6) / 20)) * _level(played) / _level(voice)
    mixed = played + gain * voice
    result: np.ndarray = mixed * np.float32(0.9 / np.abs(mixed).max())
    return result

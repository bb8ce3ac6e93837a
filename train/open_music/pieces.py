"""Synthesised pieces: accompaniment, melody and voice, written as Ogg files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edge_runtime.files import atomic_write
from train.open_music.accompaniment import FAMILIES, Mma, Piece
from train.open_music.sound import play_midi, write_ogg
from train.open_music.voices import rap, sing

SECONDS = 45.0
"""Length of a piece, about."""

_WITH_VOICE = 0.75
"""Share of pieces with a voice, in the families that have one."""


def write_piece(family: str, number: int, folder: Path, *, mma: Mma, sound_fonts: list[Path]) -> Path:
    """Compose and render a piece; the same arguments give the same piece.

    Returns
    -------
    path : Path
        An Ogg file in ``folder``; one that is there already is kept.
    """
    path = folder / f"{family}-{number:03d}.ogg"
    if not path.is_file():
        rng = np.random.default_rng([number, list(FAMILIES).index(family)])
        piece = mma.compose(family, rng, SECONDS)
        voice = _voice(piece, rng)
        with TemporaryDirectory() as temporary:
            midi = Path(temporary) / "piece.mid"
            mma.write_midi(piece, midi, with_melody=voice is None)
            played = play_midi(midi, sound_fonts[int(rng.integers(len(sound_fonts)))])
        with atomic_write(path) as partial:
            write_ogg(partial, played if voice is None else _mixed(played, voice, rng))
    return path


def _voice(piece: Piece, rng: np.random.Generator) -> np.ndarray | None:
    kind = FAMILIES[piece.family].voice
    if not kind or (kind == "song" and rng.random() > _WITH_VOICE):
        return None
    return rap(piece, rng) if kind == "rap" else sing(piece, rng)


def _mixed(played: np.ndarray, voice: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the voice, between 2 dB below and 6 dB above the accompaniment (root mean square)."""
    length = min(len(played), len(voice))
    played, voice = played[:length], voice[:length]
    gain = 10 ** (rng.uniform(-2, 6) / 20) * np.sqrt(np.mean(played**2) / max(float(np.mean(voice**2)), 1e-9))
    mixed = played + np.float32(gain) * voice
    result: np.ndarray = mixed * np.float32(0.9 / np.abs(mixed).max())
    return result

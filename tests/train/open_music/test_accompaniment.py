from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import TmgcError
from train.open_music.accompaniment import Mma
from train.open_music.styles import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_a_piece_of_each_family_fits_its_length_tempo_and_style(mma: Mma, family: str) -> None:
    piece = mma.compose(family, np.random.default_rng(3), 45.0)
    slowest, fastest = FAMILIES[family].tempo
    assert slowest <= piece.tempo < fastest
    assert 35 < piece.bars * piece.beats_per_bar * piece.beat_seconds < 55
    assert set(piece.grooves) == {"Main"}
    assert len(piece.grooves) == len(piece.chords) == piece.bars
    assert all(start + length <= piece.bars * piece.beats_per_bar for start, length, _ in piece.melody)
    assert all(36 <= pitch <= 96 for _, _, pitch in piece.melody)


def test_a_seed_gives_the_same_piece_and_another_seed_another(mma: Mma) -> None:
    first, again, other = (mma.compose("rock", np.random.default_rng(seed), 45.0) for seed in (1, 1, 2))
    assert first == again != other


def test_a_style_that_mma_lacks_is_named(mma: Mma) -> None:
    for style in FAMILIES["reggae"].styles:
        (mma.home / "lib" / f"{style}.mma").unlink(missing_ok=True)
    with pytest.raises(TmgcError, match=r"MMA has no style \S+: \S+\.mma defines no groove"):
        mma.compose("reggae", np.random.default_rng(0), 20.0)


def test_what_mma_refuses_is_told_with_its_reason(mma: Mma, tmp_path: Path) -> None:
    piece = mma.compose("jazz", np.random.default_rng(0), 20.0)
    with pytest.raises(TmgcError, match=r"MMA cannot play \S+/\S+ \(no such groove\): see that .*/mma runs by itself"):
        mma.write_midi(piece, tmp_path / "piece.mid", guitars=True, melody=True)


def test_the_parts_of_a_piece_can_be_left_out(mma: Mma, tmp_path: Path) -> None:
    piece = mma.compose("metal", np.random.default_rng(0), 20.0)
    sources = {}
    for guitars, melody in ((True, True), (False, False)):
        with pytest.raises(TmgcError):
            mma.write_midi(piece, tmp_path / "piece.mid", guitars=guitars, melody=melody)
        sources[guitars] = (tmp_path / "piece.mma").read_text(encoding="ascii")
    assert "Chord-Rhythm Voice CleanGuitar" in sources[True]
    assert sources[True].count("MidiNote") == len(piece.melody)
    assert "Chord-Rhythm" not in sources[False]
    assert "MidiNote" not in sources[False]

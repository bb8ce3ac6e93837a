"""Windows are spread over a piece of any length, extracted once, and belong to its version and to the settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime import SpectrogramSettings, TmgcError
from tests.conftest import tone
from tests.factories import RATE, SIDE
from train.dataset.build import magma
from train.pretraining.music import MusicFolder, Piece, WindowSettings, find_music, validation_pieces
from train.progress import Reporter
from train.teachers import Teacher, hearing

SETTINGS = SpectrogramSettings(sample_rate=RATE, image_height=SIDE, image_width=SIDE)


def settings_for(teacher: Teacher, *, count: int = 4) -> WindowSettings:
    return WindowSettings(SETTINGS, count, teacher.weights_sha256, teacher.sample_rate)


def extracted(folder: MusicFolder, pieces: Sequence[Piece], teacher: Teacher) -> tuple[list[Piece], list[Any]]:
    used, skipped = folder.extract(pieces, teacher, Reporter(), workers=1)
    return used, list(skipped)


def test_each_window_has_the_targets_of_its_own_sound(music: Path, tmp_path: Path, teacher: Teacher) -> None:
    folder = MusicFolder(tmp_path / "windows", settings_for(teacher), magma())
    used, skipped = extracted(folder, find_music([music / "Caz"])[0], teacher)
    assert (len(used), skipped) == (10, [])
    windows = folder.read(used)
    sound, _ = soundfile.read(used[0].path, dtype="float32")
    second = sound[2 * RATE : 4 * RATE][np.newaxis]
    np.testing.assert_allclose(windows.targets[0][1], hearing(teacher, RATE)(second)[0], atol=0.05)
    assert windows.images[0].shape == (3, SIDE, SIDE)


def test_windows_are_spread_over_a_long_piece(tmp_path: Path, teacher: Teacher) -> None:
    pieces = np.concatenate([tone(2.0, sample_rate=RATE, hz=100.0 + 20 * number) for number in range(41)])
    soundfile.write(tmp_path / "long.flac", pieces, RATE)
    folder = MusicFolder(tmp_path / "windows", settings_for(teacher, count=5), magma())
    used, _ = extracted(folder, [Piece(tmp_path / "long.flac", "long.flac")], teacher)
    (images,) = folder.read(used).images
    loudest_row = images.astype(int).sum(axis=2).argmax(axis=1)  # low frequencies are at the bottom
    assert len(images) == 5
    assert (np.diff(loudest_row) < 0).all()
    assert loudest_row[0] - loudest_row[-1] > SIDE / 4


def test_what_is_done_is_not_done_again_unless_the_file_or_the_settings_change(
    music: Path, tmp_path: Path, teacher: Teacher
) -> None:
    pieces, _ = find_music([music])
    folder = MusicFolder(tmp_path / "windows", settings_for(teacher), magma())

    class Counter(Reporter):
        def phase(self, name: str, steps: int) -> None:
            self.steps = steps

    def waiting(current: MusicFolder) -> int:
        counter = Counter()
        current.extract(pieces, teacher, counter, workers=1)
        return counter.steps

    assert waiting(folder) == 30
    assert waiting(folder) == 0
    fingerprint = folder.fingerprint(pieces)
    assert folder.fingerprint(pieces[1:], pieces[:1]) != folder.fingerprint(pieces[2:], pieces[:2]) != fingerprint
    next((tmp_path / "windows").glob("*.targets.npy")).unlink()  # as if killed before the last file of a piece
    assert waiting(folder) == 1
    soundfile.write(pieces[3].path, tone(6.0, sample_rate=RATE, hz=500.0), RATE)
    assert waiting(folder) == 1
    assert folder.fingerprint(pieces) != fingerprint
    assert waiting(MusicFolder(tmp_path / "windows", settings_for(teacher, count=2), magma())) == 30
    assert len(list((tmp_path / "windows").iterdir())) == 60  # those of other settings are gone


def test_silence_short_files_and_damage_are_skipped_with_a_reason(tmp_path: Path, teacher: Teacher) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(5 * RATE), RATE)
    soundfile.write(tmp_path / "short.wav", tone(1.0, sample_rate=RATE), RATE)
    (tmp_path / "broken.flac").write_bytes(b"fLaC" + bytes(100))
    (tmp_path / "cover.jpg").write_bytes(b"picture")
    pieces, others = find_music([tmp_path])
    assert [item.reason for item in others] == ["not an audio file, by its name"]
    used, skipped = extracted(MusicFolder(tmp_path / "windows", settings_for(teacher), magma()), pieces, teacher)
    assert not used
    reasons = {Path(item.song).name: item.reason for item in skipped}
    assert reasons["silent.wav"] == reasons["short.wav"] == "it has no window of 2 s above -60 dBFS"
    assert "this one" in reasons["broken.flac"] or "cannot be read" in reasons["broken.flac"]


def test_a_folder_without_audio_and_one_that_is_missing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(TmgcError, match=r"no file in .* has the name of an audio file"):
        find_music([tmp_path])
    with pytest.raises(TmgcError, match="music is a folder or a file: there is no"):
        find_music([tmp_path / "nowhere"])


def test_a_file_that_two_arguments_name_is_one_piece(music: Path) -> None:
    assert len(find_music([music, music / "Caz", music / "Caz" / "song 0.flac"])[0]) == 30


def test_pieces_for_validation_stay_the_same_when_others_come(music: Path) -> None:
    pieces, _ = find_music([music])
    train, validation = validation_pieces(pieces)
    assert len(validation) == 2
    assert sorted([*train, *validation]) == sorted(pieces)
    with_one_more = validation_pieces([*pieces, Piece(music / "z.flac", "z.flac")])[1]
    assert len(set(validation) & set(with_one_more)) >= 1
    with pytest.raises(TmgcError, match="at least two pieces of music"):
        validation_pieces(pieces[:1])


def albums(*sizes: int) -> list[Piece]:
    """Albums with so many pieces each, in folders of their own."""
    names = [f"music/{album}/{number}.ogg" for album, size in enumerate(sizes) for number in range(size)]
    return [Piece(Path(name), name) for name in names]


@pytest.mark.parametrize(("sizes", "expected"), [([10] * 30, 10), ([3, 4] * 40, 14), ([500, *[10] * 60], 50)])
def test_whole_albums_are_kept_for_validation(sizes: list[int], expected: int) -> None:
    pieces = albums(*sizes)
    train, validation = validation_pieces(pieces)
    assert sorted([*train, *validation]) == sorted(pieces)
    assert len(validation) == pytest.approx(expected, abs=3)
    assert {piece.path.parent for piece in train}.isdisjoint(piece.path.parent for piece in validation)


def test_the_smallest_album_is_kept_where_each_is_more_than_a_twentieth() -> None:
    assert {piece.path.parent.name for piece in validation_pieces(albums(*[20] * 9, 15))[1]} == {"9"}


def test_pieces_are_kept_alone_where_there_are_few_albums() -> None:
    assert len(validation_pieces(albums(*[20] * 9))[1]) == 9

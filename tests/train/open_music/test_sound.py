from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime.errors import TmgcError
from tests.train.open_music.conftest import RATE, tone
from train.open_music.programs import Program
from train.open_music.sound import Synth, collect, seconds_of, write_ogg

SILENT = Synth(Program(("true",)), Path("none.sf2"))
"""Plays nothing, as FluidSynth does from a file that is no MIDI file."""


def test_songs_are_copied_under_names_of_their_own_and_short_sounds_are_left_out(tmp_path: Path) -> None:
    unpacked, folder = tmp_path / "unpacked", tmp_path / "collected"
    for name in ("a/Theme.ogg", "b/theme.ogg", "b/shot.ogg"):
        (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
        write_ogg(unpacked / name, tone(1.0 if "shot" in name else 21.0), RATE)
    (unpacked / "noise.mp3").write_bytes(b"no audio")
    folder.mkdir()
    collect(unpacked, folder, "game-1.5", SILENT)
    assert {path.name for path in folder.iterdir()} == {"game-1-5-theme.ogg", "game-1-5-theme-2.ogg"}


def test_the_stems_of_a_song_are_mixed(tmp_path: Path) -> None:
    song = tmp_path / "unpacked/My Song"
    song.mkdir(parents=True)
    write_ogg(song / "song.ogg", tone(22), RATE)
    write_ogg(song / "guitar.ogg", tone(20, hz=880.0), RATE)
    (tmp_path / "collected").mkdir()
    collect(tmp_path / "unpacked", tmp_path / "collected", "game", SILENT)
    samples, rate = soundfile.read(tmp_path / "collected/game-my-song.ogg")
    spectrum = np.abs(np.fft.rfft(samples[: 10 * rate]))
    assert len(samples) == 22 * RATE
    assert spectrum[4400] > 100 * np.median(spectrum)
    assert spectrum[8800] > 100 * np.median(spectrum)


def test_a_midi_file_that_cannot_be_played_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked/tune.mid").write_bytes(b"MThd")
    (tmp_path / "collected").mkdir()
    collect(tmp_path / "unpacked", tmp_path / "collected", "game", SILENT)
    assert not list((tmp_path / "collected").iterdir())
    assert "tune.mid cannot be decoded and is left out (FluidSynth plays nothing" in caplog.text


def test_a_tracker_module_that_is_none_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked/tune.xm").write_bytes(b"no module")
    (tmp_path / "collected").mkdir()
    collect(tmp_path / "unpacked", tmp_path / "collected", "game", SILENT)
    assert "tune.xm cannot be decoded and is left out (ffmpeg failed" in caplog.text


def test_a_file_that_cannot_be_read_is_no_second_long(tmp_path: Path) -> None:
    assert seconds_of(tmp_path / "missing.ogg") == 0.0


def test_a_program_that_fails_is_named_with_its_reason() -> None:
    with pytest.raises(TmgcError, match=r"ls failed \(.*no-such-folder.*\): see that it runs by itself"):
        Program(("ls",)).run("/no-such-folder")


def test_the_environment_of_a_program_reaches_it() -> None:
    assert Program(("printenv",), {"TMGC_TEST": "yes"}).run("TMGC_TEST") == b"yes\n"
    assert subprocess.run(["printenv", "TMGC_TEST"], check=False, capture_output=True).stdout == b""

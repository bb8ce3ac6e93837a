"""A song of any format becomes a row; one that cannot be read becomes a row with the reason."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import soundfile

from edge_runtime import AudioFile, GenreClassifier, TmgcError
from edge_runtime.archive.results import NOT_READ, stored_path
from edge_runtime.archive.song import MOST_WINDOWS, ModelError, Row, Song, Tagger, TagSettings
from edge_runtime.decoding.ffmpeg import has_ffmpeg
from edge_runtime.decoding.file_end import frame_bytes
from edge_runtime.errors import InvalidAnswerError
from tests.edge_runtime.archive.tagged import RATE, write_song

Tagged = Callable[..., Row]


@pytest.fixture
def tagged(models: dict[str, Path]) -> Tagged:
    """The row of a file."""

    def tag(path: Path, windows: int | None = 4) -> Row:
        song = Song(0, path.name, str(path.parent), 1, 1)
        return Tagger.of(models["tflite"], TagSettings(windows))(song, lambda: None)

    return tag


def raising(error: Exception) -> Callable[..., NoReturn]:
    def fail(*arguments: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".wav", ".opus", ".m4a"])
def test_windows_are_spread_over_a_song_of_any_format(suffix: str, tmp_path: Path, tagged: Tagged) -> None:
    song = write_song(tmp_path / "song.wav", seconds=21.0)
    if suffix in (".opus", ".m4a"):
        if not shutil.which("ffmpeg"):
            pytest.skip("no ffmpeg, which makes this format")
        made = song.with_suffix(suffix)
        subprocess.run(["ffmpeg", "-v", "error", "-i", str(song), str(made)], check=True)
        song = made
    elif suffix != ".wav":
        song = write_song(song.with_suffix(suffix), seconds=21.0)
    row = tagged(song)
    assert (row.error, row.warning, row.windows) == (None, None, 4)
    assert row.duration == pytest.approx(21.0, abs=0.1)
    assert row.genre in ("Halk", "Caz", "Rock")
    assert row.probabilities is not None
    assert sum(row.probabilities) == pytest.approx(1.0)
    assert max(row.probabilities) == row.confidence
    assert row.agreement == 1.0
    assert row.level_dbfs == pytest.approx(-13.4, abs=0.5)
    assert row.decode_ms > 0
    assert row.model_ms > 0


def test_windows_lie_in_the_middles_of_equal_parts(tmp_path: Path, tagged: Tagged, models: dict[str, Path]) -> None:
    """Sound only where windows are expected, and silence between them."""
    sound = np.zeros(40 * RATE, np.float32)
    for middle in (5, 15, 25, 35):
        sound[(middle - 1) * RATE : (middle + 1) * RATE] = 0.3 * np.sin(np.arange(2 * RATE) / 10)
    soundfile.write(tmp_path / "song.wav", sound, RATE)
    assert tagged(tmp_path / "song.wav", 4).silent_share == 0
    assert tagged(tmp_path / "song.wav", 2).silent_share == 1
    assert tagged(tmp_path / "song.wav", None).silent_share == pytest.approx(0.6, abs=0.21)


def test_all_windows_of_a_song_give_what_the_classifier_gives(
    tmp_path: Path, tagged: Tagged, models: dict[str, Path]
) -> None:
    song = write_song(tmp_path / "song.flac", seconds=7.0)
    row = tagged(song, None)
    classifier = GenreClassifier.open(models["tflite"], threads=1)
    with AudioFile(song, sample_rate=RATE) as file:
        samples = np.concatenate(list(file.blocks()))
    expected = [classifier.classify(samples[k * 2 * RATE : (k + 1) * 2 * RATE]).probabilities for k in range(3)]
    assert row.windows == 3
    np.testing.assert_allclose(row.probabilities or (), np.mean(expected, axis=0), atol=1e-6)


def test_a_song_with_room_for_fewer_windows_has_fewer(tmp_path: Path, tagged: Tagged) -> None:
    assert tagged(write_song(tmp_path / "song.mp3", seconds=7.0), MOST_WINDOWS).windows == 3
    assert tagged(write_song(tmp_path / "brief.mp3", seconds=2.1), 8).windows == 1


def test_a_song_that_is_cut_has_its_windows_in_what_is_left(tmp_path: Path, tagged: Tagged) -> None:
    whole = write_song(tmp_path / "whole.flac", seconds=40.0)
    cut = tmp_path / "cut.flac"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    row = tagged(cut)
    assert row.windows == 4
    assert row.error is None
    assert row.warning is not None
    assert row.warning.startswith("is truncated: ")
    assert row.duration == pytest.approx(20.0, abs=2.0)


def test_silence_is_no_genre(tmp_path: Path, tagged: Tagged) -> None:
    row = tagged(write_song(tmp_path / "song.wav", level=1e-4))
    assert (row.genre, row.confidence, row.silent_share, row.probabilities) == ("silence", 0.0, 1.0, None)
    assert (row.agreement, row.unknown_share) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an audio file must contain samples: this song is empty"),
        (b"no sound" * 100, "an audio file must be one that can be decoded: this song is not"),
        (None, "not read: an audio file must exist: there is no this song"),
    ],
)
def test_what_cannot_be_read_has_the_reason_in_one_line(
    content: bytes | None, reason: str, tmp_path: Path, tagged: Tagged
) -> None:
    song = tmp_path / "a\nsong.mp3"
    if content is not None:
        song.write_bytes(content)
    row = tagged(song)
    assert row.error is not None
    assert row.error.startswith(reason)
    assert str(tmp_path) not in row.error
    assert row.error.isprintable()
    assert row == Row(error=row.error)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file whose content the system refuses")
def test_a_song_that_the_system_does_not_give_is_not_read(tmp_path: Path, tagged: Tagged) -> None:
    """The beginning of a process's memory cannot be read: EIO, as from a disk that fails."""
    (tmp_path / "song.wav").symlink_to("/proc/self/mem")
    assert (tagged(tmp_path / "song.wav").error or "").startswith(NOT_READ)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_what_the_machine_lacks_says_nothing_about_a_song(
    error: Exception, tmp_path: Path, tagged: Tagged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AudioFile, "__enter__", raising(error))
    assert (tagged(write_song(tmp_path / "song.wav")).error or "").startswith(NOT_READ)


def test_a_model_that_fails_ends_the_run(tmp_path: Path, tagged: Tagged, monkeypatch: pytest.MonkeyPatch) -> None:
    song = write_song(tmp_path / "song.wav")
    monkeypatch.setattr(GenreClassifier, "classify", raising(RuntimeError("Node 3 failed")))
    with pytest.raises(ModelError, match="the model fails: Node 3 failed"):
        tagged(song)
    monkeypatch.setattr(GenreClassifier, "classify", raising(InvalidAnswerError("no numbers")))
    assert tagged(song).error == "no numbers", "of this song, and always"


def test_a_song_shorter_than_a_window_says_so(tmp_path: Path, tagged: Tagged) -> None:
    for windows in (4, None):
        row = tagged(write_song(tmp_path / "song.wav", seconds=1.0), windows)
        assert row.error is not None
        assert row.error.startswith("a song must hold at least one window of 2 s: this song holds 1.0")


def test_settings_out_of_range_are_refused() -> None:
    for windows in (0, -1, MOST_WINDOWS + 1):
        with pytest.raises(TmgcError, match="--windows must be 1 to 50, or all"):
            TagSettings(windows)


def test_a_model_that_changes_meanwhile_is_refused(tmp_path: Path, models: dict[str, Path]) -> None:
    model = Path(shutil.copy(models["tflite"], tmp_path / "model.tflite"))
    tagger = Tagger.of(model, TagSettings())
    model.write_bytes(models["tflite"].read_bytes() + b"x")
    with pytest.raises(TmgcError, match="a model stays as it is while songs are classified"):
        tagger(Song(0, "song.mp3", str(tmp_path), 1, 1), lambda: None)


def test_it_says_that_it_is_at_work_in_every_part_of_a_long_song(tmp_path: Path, models: dict[str, Path]) -> None:
    song = write_song(tmp_path / "song.wav", seconds=21.0)
    beats = list[int]()
    for windows in (3, None):
        Tagger.of(models["tflite"], TagSettings(windows))(
            Song(0, song.name, str(tmp_path), 1, 1), lambda: beats.append(1)
        )
    decoded, classified = 3 * 3, 3  # of a window two blocks, and what the resampler still holds at its end
    assert len(beats) == decoded + classified + 10


def mp3_without_header(path: Path, *, loud_seconds: float, seconds: float) -> Path:
    """Noise and then silence at a variable bit rate, so that the first frames suggest too short a song."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    sound[: round(loud_seconds * RATE)] = np.random.default_rng(0).uniform(-0.5, 0.5, round(loud_seconds * RATE))
    soundfile.write(path, sound, RATE, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    path.write_bytes(content[frame_bytes(content[:4]) :])
    return path


@pytest.mark.skipif(not has_ffmpeg(), reason="no ffmpeg, which decodes what libsndfile takes for the end")
def test_a_song_whose_header_states_no_length_has_its_windows_all_over_it(tmp_path: Path, tagged: Tagged) -> None:
    song = mp3_without_header(tmp_path / "song.mp3", loud_seconds=10.0, seconds=40.0)
    assert soundfile.info(song).duration < 30, "libsndfile guesses"
    row = tagged(song, 4)
    assert (row.error, row.warning, row.windows, row.silent_share) == (None, None, 4, 0.75)
    assert row.duration == pytest.approx(40.0, abs=0.1)


@pytest.mark.skipif(not has_ffmpeg(), reason="no ffmpeg")
def test_it_is_at_work_on_the_way_to_a_window_to_which_nothing_can_seek(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    song = mp3_without_header(tmp_path / "song.mp3", loud_seconds=10.0, seconds=300.0)
    beats = list[int]()
    Tagger.of(models["tflite"], TagSettings(1))(Song(0, song.name, str(tmp_path), 1, 1), lambda: beats.append(1))
    assert len(beats) > 100


def test_a_song_is_fetched_by_a_name_that_is_no_text(tmp_path: Path, models: dict[str, Path]) -> None:
    pytest.importorskip("fsspec", reason="no fsspec")
    folder = tmp_path / os.fsdecode(b"m\xfczik")
    folder.mkdir()
    write_song(tmp_path / "song.wav").rename(folder / os.fsdecode(b"\xfeark\xfd.wav"))
    root, name = (stored_path(os.fsdecode(text)) for text in (b"file://" + os.fsencode(folder), b"\xfeark\xfd.wav"))
    row = Tagger.of(models["tflite"], TagSettings(2))(Song(0, name, root, 1, 1), lambda: None)
    assert (row.error, row.windows) == (None, 2)

"""Damaged files are heard as far as they decode, and that is told; what is no sound is refused in one line."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edge_runtime import AudioFile, TmgcError, read_audio
from tests.conftest import tone
from tests.edge_runtime.test_audio_file import RATE, encoded, ffmpeg, mp3_with_xing, needs_ffmpeg, read_with_warnings

TRUNCATED: dict[str, dict[str, Any]] = {
    "wav": {"form": "WAV"},
    "rf64": {"form": "RF64"},
    "w64": {"form": "W64"},
    "aiff": {"form": "AIFF"},
    "au": {"form": "AU"},
    "flac": {"form": "FLAC"},
    "vorbis": {"form": "OGG"},
    "opus": {"form": "OGG", "subtype": "OPUS"},
    "mp3 of variable bit rate": {"form": "MP3", "bitrate_mode": "VARIABLE"},
    "mp3 of constant bit rate": {"form": "MP3", "bitrate_mode": "CONSTANT"},
}


@pytest.mark.parametrize("what", TRUNCATED)
def test_a_truncated_file_is_read_as_far_as_it_decodes_with_a_warning(tmp_path: Path, what: str) -> None:
    content = encoded(**TRUNCATED[what], seconds=10, rate=48_000)
    path = tmp_path / "song"
    path.write_bytes(content[: len(content) * 6 // 10])
    samples, warnings = read_with_warnings(path)
    assert 2 * RATE < len(samples) < 8 * RATE
    assert warnings == [f"is truncated: {len(samples) / RATE:.2f} s could be decoded"]


@needs_ffmpeg
@pytest.mark.parametrize("form", ["FLAC", "MP3"])
def test_what_stands_behind_a_damaged_part_is_heard(tmp_path: Path, form: str) -> None:
    content = bytearray(encoded(form, 20, rate=44_100, channels=2))
    middle = len(content) // 2
    content[middle : middle + 20_000] = np.random.default_rng(0).bytes(20_000)
    path = tmp_path / "song"
    path.write_bytes(content)
    samples, warnings = read_with_warnings(path)
    assert 15 * RATE < len(samples) < 21 * RATE
    assert warnings[0].startswith("is damaged at ")


def test_a_part_missing_from_an_ogg_file_is_told(tmp_path: Path) -> None:
    content = encoded("OGG", 30)
    pages = [found.start() for found in re.finditer(b"OggS", content)]
    path = tmp_path / "song.ogg"
    path.write_bytes(content[: pages[len(pages) // 2]] + content[pages[-2] :])
    _, warnings = read_with_warnings(path)
    assert len(warnings) == 1
    assert re.fullmatch(r"is damaged: \d+\.\d\d s are missing", warnings[0])


@pytest.mark.parametrize("form", ["WAV", "FLAC", "AIFF"])
@pytest.mark.parametrize("rate", [1, 999, 384_001, 600_000])
def test_a_rate_that_is_not_one_of_music_is_refused(tmp_path: Path, form: str, rate: int) -> None:
    if form == "FLAC" and rate > 384_000:
        pytest.skip("libsndfile writes no such FLAC")
    path = tmp_path / "song"
    soundfile.write(path, np.zeros(5000), rate, format=form)
    with pytest.raises(TmgcError, match=f"between 1000 and 384000 Hz, got {rate}"):
        AudioFile(path, sample_rate=RATE)


@pytest.mark.parametrize(("form", "warned"), [("MP3", True), ("OGG", True), ("FLAC", False)])
def test_nothing_is_looked_for_in_the_blank_rest_of_a_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str, warned: bool
) -> None:
    monkeypatch.setattr(AudioFile, "_continued", lambda *_: pytest.fail("another decoder reads the rest"))
    path = tmp_path / "reserved"
    path.write_bytes(encoded(form))
    os.truncate(path, 5_000_000)
    samples, warnings = read_with_warnings(path)
    assert len(samples) / RATE == pytest.approx(4, abs=0.1)
    assert [warning.partition(": ")[0] for warning in warnings] == ["is truncated"] * warned


@needs_ffmpeg
def test_a_video_without_sound_is_refused_in_plain_words(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=size=16x16:duration=0.2", tmp_path / "a.mp4")
    with pytest.raises(TmgcError, match="contains no sound"):
        AudioFile(tmp_path / "a.mp4", sample_rate=RATE)


def test_no_decoder_writes_to_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    junk = np.random.default_rng(0).bytes(3000)
    contents = [
        encoded("MP3") + encoded("MP3"),
        junk + encoded("MP3"),
        mp3_with_xing(3),
        encoded("MP3")[:9000] + junk,
        junk,
    ]
    for content in contents:
        (tmp_path / "song.mp3").write_bytes(content)
        with suppress(TmgcError):
            read_audio(tmp_path / "song.mp3", sample_rate=RATE)
    assert capfd.readouterr().err == ""


def test_invalid_samples_become_silence_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    sound = tone(1, sample_rate=8_000)
    sound[100:200] = np.nan
    sound[300:302] = np.inf, 1e38
    soundfile.write(path, sound, 8_000, subtype="FLOAT")
    with AudioFile(path, sample_rate=8_000) as file:
        samples = np.concatenate(list(file.blocks()))
    assert np.isfinite(samples).all()
    assert np.abs(samples[100:200]).max() < 0.02
    assert file.warnings == [
        f"{path} holds invalid samples (not a number, or far above full scale), which are replaced by silence"
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp3", b"", "is empty"),
        ("text.wav", b"no music\n" * 500, "must be one that can be decoded"),
        ("zeros.mp3", bytes(5_000), "must be one that can be decoded"),
    ],
)
def test_what_is_not_audio_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TmgcError, match=message) as caught:
        read_audio(tmp_path / name, sample_rate=44_100)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="there is no"):
        read_audio(tmp_path / "none.wav", sample_rate=44_100)
    with pytest.raises(TmgcError, match="is a folder"):
        read_audio(tmp_path, sample_rate=44_100)

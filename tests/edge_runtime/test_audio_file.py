"""Audio files of every kind become mono float32 at the requested rate, to their end."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import AudioFile, read_audio
from edge_runtime.audio import mono_recording
from edge_runtime.decoding.file_end import frame_bytes
from tests.conftest import tone

RATE = 22_050

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")


def loudest_hz(samples: np.ndarray, sample_rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * sample_rate / len(samples))


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_tone_keeps_its_pitch_and_length_from_every_rate_and_format(tmp_path: Path, rate: int, suffix: str) -> None:
    if suffix == "mp3" and rate > 48_000:
        pytest.skip("MP3 has no such rate")
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(3, sample_rate=rate), rate)
    samples = read_audio(path, sample_rate=44_100)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(3 * 44_100, abs=44_100 * 0.06 if suffix == "mp3" else 1)
    assert loudest_hz(samples, 44_100) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    path = tmp_path / "channels.wav"
    sound = np.random.default_rng(0).uniform(-1, 1, (30_000, channels)).astype(np.float32)
    soundfile.write(path, sound, 44_100, subtype="FLOAT")
    mean = mono_recording(sound.mean(axis=1, keepdims=True), rate=44_100, sample_rate=44_100)
    np.testing.assert_allclose(read_audio(path, sample_rate=44_100), mean, atol=1e-6)


def test_every_recording_is_read_at_its_length(recordings: list[Path]) -> None:
    for path in recordings:
        with AudioFile(path, sample_rate=22_050) as file:
            samples = np.concatenate(list(file.blocks()))
            assert len(samples) / 22_050 == pytest.approx(file.seconds, abs=0.01), path
            assert not file.warnings


def test_a_stretch_is_what_the_whole_file_holds_there(tmp_path: Path) -> None:
    path = tmp_path / "noise.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 200_000), 44_100)
    whole = read_audio(path, sample_rate=44_100)
    stretch = read_audio(path, sample_rate=44_100, start_seconds=1.0, seconds=0.5)
    assert len(stretch) == 22_050
    expected = whole[44_100 : 44_100 + 22_050]
    np.testing.assert_allclose(stretch, expected, atol=0.02)
    settled = 44_100 // 4  # the filter that removes an offset begins anew with the stretch
    np.testing.assert_allclose(stretch[settled:], expected[settled:], atol=1e-5)


@pytest.mark.parametrize("suffix", [".ogg", ".mp3", ".flac", ".wav"])
def test_stretches_of_an_open_file_are_what_the_whole_file_holds_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"noise{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 20 * 44_100), 44_100)
    whole = read_audio(path, sample_rate=44_100)
    with AudioFile(path, sample_rate=44_100) as file:
        assert file.stated_seconds == pytest.approx(20, abs=0.1)
        for start in (2, 6, 9.4, 13.4, 17.2, 3.1):
            stretch = np.concatenate(list(file.blocks(start_seconds=start, seconds=2)))
            settled = slice(44_100 // 2, 88_200)
            np.testing.assert_allclose(stretch[settled], whole[round(start * 44_100) :][settled], atol=1e-4)


def test_a_stretch_beyond_the_end_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, tone(1, sample_rate=8_000), 8_000)
    assert not len(read_audio(path, sample_rate=8_000, start_seconds=5, seconds=2))


def read_with_warnings(path: Path | str, *, sample_rate: int = RATE) -> tuple[NDArray[np.float32], list[str]]:
    with AudioFile(path, sample_rate=sample_rate) as file:
        samples = np.concatenate([np.zeros(0, np.float32), *file.blocks()])
    return samples, [warning.removeprefix(f"{file.name} ") for warning in file.warnings]


def encoded(form: str, seconds: float = 4.0, *, rate: int = RATE, channels: int = 1, **options: Any) -> bytes:
    """A noise that becomes a tone after half a second, so that the first frames of a variable bit rate mislead."""
    sound = np.repeat(tone(seconds, sample_rate=rate)[:, None], channels, axis=1)
    sound[: rate // 2] = np.random.default_rng(0).uniform(-0.9, 0.9, (rate // 2, channels))
    content = io.BytesIO()
    soundfile.write(content, sound, rate, format=form, **options)
    return content.getvalue()


def mp3_without_xing(seconds: float = 4.0) -> bytes:
    content = encoded("MP3", seconds, bitrate_mode="VARIABLE")
    return content[frame_bytes(content[:4]) :]


def mp3_with_xing(frames: float, *, seconds: float = 4.0) -> bytes:
    """An MP3 whose header states another count of frames."""
    content = bytearray(encoded("MP3", seconds, bitrate_mode="VARIABLE"))
    at = content.index(b"Xing") + 8
    stated = round(int.from_bytes(content[at : at + 4], "big") * frames)
    content[at : at + 4] = stated.to_bytes(4, "big")
    return bytes(content)


def wav_with(length: int, *, riff: int | None = None) -> bytes:
    """A WAV of four seconds whose header states another length, bytes."""
    content = encoded("WAV")
    return (
        content[:4]
        + (riff or length).to_bytes(4, "little")
        + content[8:40]
        + length.to_bytes(4, "little")
        + content[44:]
    )


def id3(kilobytes: int) -> bytes:
    size = kilobytes * 1000
    return b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


def ape_tag(kilobytes: int) -> bytes:
    content = bytes(kilobytes * 1000)
    return content + b"APETAGEX" + (2000).to_bytes(4, "little") + (len(content) + 32).to_bytes(4, "little") + bytes(16)


def flac_of_unknown_length() -> bytes:
    content = bytearray(encoded("FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return bytes(content)


LYRICS = b"LYRICSBEGININD0000200000021LYRICS200"
ID3V1 = b"TAG" + b"A" * 125

WHOLE: dict[str, Callable[[], bytes]] = {
    "an mp3 without a Xing header": mp3_without_xing,
    "an mp3 whose header states too few frames": lambda: mp3_with_xing(0.3),
    "an mp3 whose header states too many frames": lambda: mp3_with_xing(3),
    "an mp3 whose header states no frames": lambda: mp3_with_xing(0),
    "an mp3 of constant bit rate": lambda: encoded("MP3", bitrate_mode="CONSTANT"),
    "an mp3 after a large tag": lambda: id3(1500) + encoded("MP3"),
    "an mp3 with an ID3v1 tag behind it": lambda: encoded("MP3") + ID3V1,
    "an mp3 with lyrics behind it": lambda: encoded("MP3") + LYRICS + ID3V1,
    "an mp3 with a large APE tag behind it": lambda: encoded("MP3", bitrate_mode="CONSTANT") + ape_tag(300) + ID3V1,
    "an mp3 behind 200 kB of zeros": lambda: bytes(200_000) + encoded("MP3"),
    "an mp3 with a tag in the middle": lambda: mp3_without_xing(2) + id3(1) + mp3_without_xing(2),
    "two mp3s": lambda: encoded("MP3", 2) + encoded("MP3", 2),
    "two mp3s without headers": lambda: mp3_without_xing(2) + mp3_without_xing(2),
    "two mp3s of different rates and channels": lambda: encoded("MP3", 2) + encoded("MP3", 2, rate=44_100, channels=2),
    "two Vorbis files": lambda: encoded("OGG", 2) + encoded("OGG", 2),
    "two Vorbis files of different rates": lambda: encoded("OGG", 2, channels=2) + encoded("OGG", 2, rate=8_000),
    "two Opus files": lambda: (
        encoded("OGG", 2, rate=48_000, subtype="OPUS") + encoded("OGG", 2, rate=16_000, subtype="OPUS")
    ),
    "a FLAC of unknown length": flac_of_unknown_length,
    "a WAV of length 0": lambda: wav_with(0),
    "a WAV of unknown length": lambda: wav_with(0xFFFFFFFF),
    "a WAV of a length like sox writes to a pipe": lambda: wav_with(0x7FFFF000, riff=0x7FFFF024),
    "a WAV whose length is too small": lambda: wav_with(20_000),
    "a WAV with a chunk behind it": lambda: encoded("WAV") + b"LIST" + (5000).to_bytes(4, "little") + bytes(5000),
    "two WAVs": lambda: encoded("WAV", 2) + encoded("WAV", 2, channels=2),
    "two WAVs of different rates": lambda: encoded("WAV", 2) + encoded("WAV", 2, rate=44_100, subtype="FLOAT"),
    "two WAVs of unknown length": lambda: wav_with(0)[:100_044] + encoded("WAV", 4 - 100_000 / 2 / RATE, channels=2),
}
"""Files of four seconds, all of which is there."""


@needs_ffmpeg
@pytest.mark.parametrize("what", WHOLE)
def test_a_file_is_heard_to_its_end_whatever_its_header_states(tmp_path: Path, what: str) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(WHOLE[what]())
    samples, warnings = read_with_warnings(path)
    assert len(samples) / RATE == pytest.approx(4, abs=0.15)
    assert loudest_hz(samples[-RATE:], RATE) == pytest.approx(440, abs=2)
    assert not warnings


COUNTED = [what for what in WHOLE if "mp3" in what and "header states too" not in what and "zeros" not in what]
"""But what ffmpeg decodes from the beginning, and where a header misleads."""

UNHEARD_SECONDS = 4 * 1152 / RATE
"""In two files: the frames of their headers, and the silence that an encoder has added and says so."""


@needs_ffmpeg
@pytest.mark.parametrize("what", COUNTED)
def test_the_length_of_an_mp3_is_known_before_it_is_decoded(tmp_path: Path, what: str) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(WHOLE[what]())
    with AudioFile(path, sample_rate=RATE) as file:
        assert file.stated_seconds == pytest.approx(file.seconds, abs=UNHEARD_SECONDS)


@needs_ffmpeg
@pytest.mark.parametrize("what", WHOLE)
def test_a_stretch_is_what_decoding_from_the_beginning_gives(tmp_path: Path, what: str) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(WHOLE[what]())
    whole = read_audio(path, sample_rate=RATE)
    with AudioFile(path, sample_rate=RATE) as file:
        for start in (2.5, 1.0, 3.0, 9.0):
            stretch = np.concatenate([np.zeros(0, np.float32), *file.blocks(start_seconds=start, seconds=0.5)])
            expected = whole[round(start * RATE) :][: RATE // 2]
            assert len(stretch) == pytest.approx(len(expected), abs=2)
            inner = slice(1000, len(stretch) - 1000)  # a resampler begins and ends otherwise
            np.testing.assert_allclose(stretch[inner], expected[: len(stretch)][inner], atol=2e-3)
        assert not file.warnings
        assert file.end_seconds == pytest.approx(len(whole) / RATE, abs=0.01)


@pytest.mark.parametrize("seconds", [0.5, 2.2])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_a_short_mp3_is_whole(tmp_path: Path, mode: str, seconds: float) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(encoded("MP3", seconds, bitrate_mode=mode))
    samples, warnings = read_with_warnings(path)
    assert len(samples) / RATE == pytest.approx(seconds, abs=0.08)
    assert not warnings


FFMPEG_FORMATS = ("aac", "ac3", "caf", "m4a", "mka", "mp2", "mp4", "oga", "spx", "tta", "webm", "wma", "wv")


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", FFMPEG_FORMATS)
def test_what_libsndfile_does_not_know_is_decoded_by_content_and_its_truncation_told(
    tmp_path: Path, suffix: str
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(10, sample_rate=16_000), 16_000)
    codec = {"spx": ["-c:a", "speex"], "webm": ["-c:a", "libopus"], "oga": ["-c:a", "flac"]}.get(suffix, [])
    encoded = tmp_path / f"a.{suffix}"
    ffmpeg("-i", tmp_path / "a.wav", *codec, "-movflags", "+faststart", encoded)
    path = tmp_path / "-50% söz: a\udcfe.mp3"
    path.write_bytes(encoded.read_bytes())
    samples, warnings = read_with_warnings(path)
    assert len(samples) / RATE == pytest.approx(10, abs=0.15)
    assert loudest_hz(samples, RATE) == pytest.approx(440, abs=2)
    assert not warnings
    path.write_bytes(encoded.read_bytes()[: encoded.stat().st_size * 6 // 10])
    samples, warnings = read_with_warnings(path)
    assert 2 * RATE < len(samples) < 8 * RATE
    if suffix not in ("aac", "ac3"):  # they state no length, and each frame stands alone
        assert "is truncated" in warnings[0]


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["adpcm_ms", "pcm_mulaw", "libmp3lame"])
def test_a_compressed_wav_is_whole(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(tmp_path / "pcm.wav", tone(4, sample_rate=RATE), RATE)
    ffmpeg("-i", tmp_path / "pcm.wav", "-c:a", codec, path)
    samples, warnings = read_with_warnings(path)
    assert len(samples) / RATE == pytest.approx(4, abs=0.15)
    assert not warnings


@pytest.mark.parametrize("what", ["an mp3 without a Xing header", "two Vorbis files"])
def test_without_ffmpeg_it_is_told_what_was_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "song.mp3"
    path.write_bytes(WHOLE[what]())
    samples, warnings = read_with_warnings(path)
    assert len(samples) < 3 * RATE
    assert warnings == [
        f"goes on after {len(samples) / RATE:.2f} s, which needs ffmpeg: install it (sudo apt install ffmpeg)"
    ]


@pytest.mark.parametrize("what", [what for what in WHOLE if "WAV" in what or "FLAC" in what])
def test_wav_and_flac_need_no_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "song"
    path.write_bytes(WHOLE[what]())
    samples, warnings = read_with_warnings(path)
    assert len(samples) / RATE == pytest.approx(4, abs=0.01)
    assert not warnings


def test_the_sound_does_not_depend_on_the_length_of_blocks(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(encoded("MP3"))  # of so low a bit rate that a frame needs many before it
    with AudioFile(path, sample_rate=RATE) as file:
        whole = np.concatenate(list(file.blocks(block_seconds=10)))
        np.testing.assert_array_equal(np.concatenate(list(file.blocks(block_seconds=0.1))), whole)


def test_the_length_is_that_of_what_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "song"
    for content in (
        encoded("WAV"),
        encoded("FLAC"),
        encoded("MP3"),
        encoded("OGG"),
        encoded("OGG", subtype="OPUS", rate=48_000),
    ):
        path.write_bytes(content)
        with AudioFile(path, sample_rate=8_000) as file:
            assert file.seconds == pytest.approx(4, abs=0.05)

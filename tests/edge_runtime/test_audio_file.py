"""Audio files of every kind become mono float32 at the requested rate, or one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_runtime import AudioFile, TmgcError, read_audio
from edge_runtime.audio import to_mono
from tests.conftest import tone


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
    mean = to_mono(sound.mean(axis=1, keepdims=True), rate=44_100, sample_rate=44_100)
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


def test_a_stretch_beyond_the_end_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, tone(1, sample_rate=8_000), 8_000)
    assert not len(read_audio(path, sample_rate=8_000, start_seconds=5, seconds=2))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_truncated_file_is_read_as_far_as_it_decodes_with_a_warning(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 10 * 22_050), 22_050)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with AudioFile(path, sample_rate=22_050) as file:
        samples = np.concatenate(list(file.blocks()))
    assert 2 * 22_050 < len(samples) < 8 * 22_050
    assert len(file.warnings) == 1
    assert file.read_seconds == pytest.approx(len(samples) / 22_050)


def test_a_wav_that_was_written_to_a_pipe_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "streamed.wav"
    soundfile.write(path, tone(3, sample_rate=8_000), 8_000)
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff\xff\xff\xff" + content[8:])
    with AudioFile(path, sample_rate=8_000) as file:
        assert sum(map(len, file.blocks())) == 24_000
    assert not file.warnings


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

"""Each degradation has its measured effect, and a model is evaluated under each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import Spectrogram, SpectrogramSettings, TmgcError
from edge_runtime.audio import Samples
from edge_runtime.audio_file import read_audio
from tests.conftest import tone
from train.dataset.dataset import Clip, Dataset
from train.demo_corpus import SAMPLE_RATE, synthesize_song
from train.evaluation import robustness
from train.evaluation.rejection import Predict
from train.evaluation.robustness import (
    DEGRADATIONS,
    MP3_SAMPLE_RATE,
    Degradation,
    change_speed,
    clipping_distortion,
    degrade_clip,
    encode_mp3,
    evaluate_robustness,
    mp3_roundtrip,
    quiet_with_offset,
    reverberate,
    room_response,
    telephone_band,
)
from train.progress import Reporter
from train.run import Run
from train.synthesis.dsp import PINK, add_noise

Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def music() -> Sound:
    return synthesize_song("Halk", song=3, seconds=3.0)


def noise(seconds: float, *, sample_rate: int, level: float = 0.2) -> Sound:
    samples = np.random.default_rng(5).normal(0.0, level, round(seconds * sample_rate))
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def power(samples: Sound, sample_rate: int, *, low: float, high: float) -> float:
    """Power between two frequencies in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    return float(spectrum[(hz >= low) & (hz < high)].sum())


def decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))


def noisy(samples: Sound, snr_db: float) -> Sound:
    return add_noise(samples, snr_db=snr_db, slope=PINK, random=np.random.default_rng(0))


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 5.0])
def test_noise_has_the_signal_to_noise_ratio_of_its_name(snr_db: float, music: Sound) -> None:
    added = noisy(music, snr_db) - music
    measured = decibels(np.mean(np.square(music, dtype=float)) / np.mean(np.square(added, dtype=float)))
    assert measured == pytest.approx(snr_db, abs=0.1)


def test_noise_has_equal_power_in_every_octave(music: Sound) -> None:
    added = noisy(music, 0.0) - music
    octaves = [power(added, SAMPLE_RATE, low=low, high=2 * low) for low in (200.0, 800.0, 3200.0, 10_000.0)]
    assert max(decibels(octave / octaves[0]) for octave in octaves) < 1.0
    assert min(decibels(octave / octaves[0]) for octave in octaves) > -1.0


def test_an_encode_mp3_32_kbit_is_as_small_as_that(music: Sound) -> None:
    coded = encode_mp3(music[: 2 * MP3_SAMPLE_RATE])
    assert len(coded) * 8 / 2 / 1000 == pytest.approx(32.0, rel=0.05)


@pytest.mark.parametrize("sample_rate", [8000, 11_025, 22_050, 44_100, 96_000])
def test_mp3_at_any_rate_is_lossy_and_in_time(sample_rate: int, music: Sound) -> None:
    import soxr

    original = soxr.resample(music, SAMPLE_RATE, sample_rate)
    coded = mp3_roundtrip(original, sample_rate)
    assert coded.shape == original.shape
    assert 0.95 < np.corrcoef(coded, original)[0, 1] < 0.99999


def test_mp3_of_real_recordings_is_in_time(recordings: list[Path]) -> None:
    for path in recordings:
        original = read_audio(path, sample_rate=44_100, start_seconds=1.0, seconds=3.0)
        assert np.corrcoef(mp3_roundtrip(original, 44_100), original)[0, 1] > 0.9, path.name


@pytest.mark.parametrize("sample_rate", [8000, 22_050, 44_100])
def test_a_telephone_carries_its_band_and_nothing_else(sample_rate: int) -> None:
    sent = noise(3.0, sample_rate=sample_rate)
    degraded = telephone_band(sent, sample_rate)
    bands = {"inside": (400.0, 3200.0), "below": (0.0, 250.0), "above": (3600.0, sample_rate / 2)}
    kept = {
        name: decibels(power(degraded, sample_rate, low=low, high=high) / power(sent, sample_rate, low=low, high=high))
        for name, (low, high) in bands.items()
    }
    assert kept["inside"] == pytest.approx(0.0, abs=0.6)
    assert kept["below"] < -30.0
    assert kept["above"] < -30.0


def test_reverberation_decays_by_60_db_in_half_a_second() -> None:
    response = room_response(44_100, np.random.default_rng(0))
    remaining = np.cumsum(response[::-1] ** 2)[::-1]  # Schroeder's backward integration (1965)
    curve = 10 * np.log10(remaining / remaining[0])
    falling = (curve < -5.0) & (curve > -25.0)
    slope = np.polyfit(np.flatnonzero(falling) / 44_100, curve[falling], 1)[0]
    assert -60.0 / slope == pytest.approx(0.5, rel=0.1)


def test_the_direct_sound_comes_first_and_its_reverberation_has_the_same_energy() -> None:
    click = np.zeros(44_100, np.float32)
    click[1000] = 0.5
    degraded = reverberate(click, 44_100, np.random.default_rng(0))
    assert not np.abs(degraded[:1000]).max() > 1e-6
    assert degraded[1000] == pytest.approx(0.5, abs=1e-5)
    assert np.sum(degraded[1001:] ** 2) == pytest.approx(0.25, rel=0.01)


def test_a_sine_whose_peak_is_12_db_too_high_is_clipped_for_most_of_its_time() -> None:
    degraded = clipping_distortion(tone(1.0, sample_rate=44_100, hz=441.7), excess_db=12.0)
    share = float(np.mean(np.abs(degraded) >= np.abs(degraded).max() * 0.9999))
    assert share == pytest.approx(1 - 2 / np.pi * np.arcsin(10 ** (-12 / 20)), abs=0.01)
    assert np.abs(degraded).max() == pytest.approx(0.5 * 10 ** (-12 / 20), rel=1e-3)


@pytest.mark.parametrize("speed", [1.03, 0.97])
def test_a_wrong_speed_changes_pitch_and_length(speed: float) -> None:
    degraded = change_speed(tone(3.0, sample_rate=22_050, hz=1000.0), 22_050, speed=speed)
    assert len(degraded) / 22_050 == pytest.approx(3.0 / speed, abs=1e-3)
    loudest = np.abs(np.fft.rfft(degraded * np.hanning(len(degraded)))).argmax() * 22_050 / len(degraded)
    assert loudest == pytest.approx(1000.0 * speed, abs=0.4)


@pytest.mark.parametrize("kind", DEGRADATIONS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("sample_rate", [8000, 44_100])
def test_silence_stays_silent(kind: Degradation, sample_rate: int) -> None:
    silence = np.zeros(3 * sample_rate, np.float32)
    degraded = kind.apply(silence, sample_rate, np.random.default_rng(0))
    assert degraded.dtype == np.float32
    assert np.abs(degraded).max() < 1e-3


def test_the_report_has_these_degradations() -> None:
    assert [kind.name for kind in DEGRADATIONS] == [
        "none",
        "pink noise, SNR 20 dB",
        "pink noise, SNR 10 dB",
        "pink noise, SNR 5 dB",
        "MP3, 32 kbit/s",
        "telephone band",
        "reverberation",
        "clipping, 12 dB",
        "speed +3 %",
        "speed -3 %",
        "-40 dBFS, offset 0.03",
    ]


@pytest.mark.parametrize("sample_rate", [8000, 44_100])
def test_quiet_music_with_an_offset_is_the_quiet_music(sample_rate: int) -> None:
    loud = noise(2.0, sample_rate=sample_rate)
    quiet = quiet_with_offset(loud, sample_rate)
    assert abs(quiet.mean()) < 1e-5
    assert 20 * np.log10(quiet.std()) == pytest.approx(-40.0, abs=0.1)
    assert np.corrcoef(quiet, loud)[0, 1] > 0.999


RATE = 22_050


def write_dataset(folder: Path, colormap: NDArray[np.uint8], *, margin_seconds: float = 0.5) -> Dataset:
    """Pure tones in the one genre, tones in noise in the other: ten songs, a clip each."""
    run, clips, rng = Run(folder), [], np.random.default_rng(0)
    run.clips.mkdir(parents=True)
    for number in range(10):
        genre = ("Klasik", "Rock")[number % 2]
        clip = Clip(
            f"{genre}{number}",
            f"{genre}/{number}.wav",
            genre,
            "test",
            1.0,
            margin_seconds,
            -15.0,
            f"{genre}/{number}.wav",
        )
        sound = tone(2.0 + 2 * margin_seconds, sample_rate=RATE, hz=400.0 + 50 * number)
        if genre == "Rock":
            sound += rng.normal(0.0, 0.3, len(sound)).astype(np.float32)
        soundfile.write(clip.audio_path(run), np.clip(sound, -1.0, 1.0), RATE)
        clips.append(clip)
    settings = SpectrogramSettings(sample_rate=RATE, image_height=32, image_width=32)
    return Dataset(run, ("Klasik", "Rock"), settings, colormap, demonstration=True, clips=tuple(clips))


@pytest.fixture
def dataset(tmp_path: Path, colormap: NDArray[np.uint8]) -> Dataset:
    return write_dataset(tmp_path / "run", colormap)


def rock_is_noisy(dataset: Dataset) -> Predict:
    """A model that detects noise; red is the index itself in the colormap of these tests."""
    spectrogram = Spectrogram(dataset.spectrogram, dataset.colormap)

    def predict(windows: Sequence[Samples]) -> NDArray[np.float32]:
        images = np.stack([spectrogram.image(samples) for samples in windows])
        noisy = np.median(images[..., 0], axis=(1, 2)) > 80
        return np.stack([~noisy, noisy], axis=1).astype(np.float32)

    return predict


def test_noise_fools_a_model_that_detects_noise_and_speed_does_not(dataset: Dataset) -> None:
    rows = {
        row.name: row for row in evaluate_robustness(dataset, dataset.of("test"), rock_is_noisy(dataset), Reporter())
    }
    assert list(rows) == [kind.name for kind in DEGRADATIONS]
    assert rows["none"].clip_accuracy == rows["speed +3 %"].clip_accuracy == 1.0
    assert rows["pink noise, SNR 5 dB"].clip_accuracy == 0.5, "all of it is classified as rock"
    low, high = rows["pink noise, SNR 5 dB"].clip_accuracy_ci
    assert 0.0 < low < 0.5 < high < 1.0
    assert {row.clips for row in rows.values()} == {10}


def test_without_degradation_the_windows_are_those_that_the_model_was_trained_on(dataset: Dataset) -> None:
    batches: list[NDArray[np.float32]] = []

    def watched(windows: Sequence[Samples]) -> NDArray[np.float32]:
        batches.append(np.stack(windows))
        return rock_is_noisy(dataset)(windows)

    evaluate_robustness(dataset, dataset.of("test"), watched, Reporter())
    expected = np.stack([dataset.samples(clip) for clip in dataset.clips])
    np.testing.assert_array_equal(batches[0], expected)
    assert all((other != expected).any() for other in batches[1:])


def test_only_some_clips_are_in_memory_at_a_time_and_no_score_depends_on_how_many(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counting(windows: Sequence[Samples]) -> NDArray[np.float32]:
        sizes.append(len(windows))
        return rock_is_noisy(dataset)(windows)

    at_once = evaluate_robustness(dataset, dataset.of("test"), counting, Reporter())
    monkeypatch.setattr(robustness, "_BATCH", 4)
    assert evaluate_robustness(dataset, dataset.of("test"), counting, Reporter()) == at_once
    assert set(sizes) == {10, 4, 2}


@pytest.mark.parametrize("margin_seconds", [0.0, 0.5])
@pytest.mark.parametrize("kind", DEGRADATIONS, ids=lambda kind: kind.name)
def test_a_degrade_clip_is_whole_and_the_same_each_time(
    kind: Degradation, margin_seconds: float, tmp_path: Path, colormap: NDArray[np.uint8]
) -> None:
    dataset = write_dataset(tmp_path / "run", colormap, margin_seconds=margin_seconds)
    clip = dataset.clips[0]
    sound = dataset.audio(clip)
    first, second = (degrade_clip(dataset, clip, sound, kind) for _ in range(2))
    assert first.shape == (dataset.spectrogram.window_samples,)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    for part in np.array_split(first, 40):
        assert np.abs(part).max() > 0.1 * np.abs(first).max(), "no stretch of it is empty"


@pytest.mark.parametrize("kind", DEGRADATIONS, ids=lambda kind: kind.name)
def test_a_degrade_clip_begins_at_the_same_moment_of_the_music(kind: Degradation, dataset: Dataset) -> None:
    clip = dataset.clips[0]
    sound = np.zeros_like(dataset.audio(clip))
    beat = round(1.0 * RATE)  # half a second into the clip, after a margin of half a second
    sound[beat : beat + 2000] = tone(2000 / RATE, sample_rate=RATE, hz=1000.0)
    degraded = np.abs(degrade_clip(dataset, clip, sound, kind))
    begin = np.flatnonzero(degraded > 0.5 * degraded.max())[0] / RATE
    expected = 0.5 / {"speed +3 %": 1.03, "speed -3 %": 0.97}.get(kind.name, 1.0)
    assert begin == pytest.approx(expected, abs=0.01)


def test_a_clip_whose_audio_is_too_short_is_named(dataset: Dataset) -> None:
    file = dataset.clips[3].audio_path(dataset.run)
    soundfile.write(file, tone(1.0, sample_rate=RATE), RATE)
    with pytest.raises(TmgcError, match=r"Rock3\.flac is too short\. Run: tmgc-train prepare"):
        evaluate_robustness(dataset, dataset.of("test"), rock_is_noisy(dataset), Reporter())

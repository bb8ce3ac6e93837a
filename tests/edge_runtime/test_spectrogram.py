"""The spectrogram is librosa's, and the image follows the settings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import Spectrogram, SpectrogramSettings, TmgcError, read_audio
from edge_runtime.spectrogram import mel_weights, periodic_hann, stretch_weights

DECIBEL_TOLERANCE = 1e-3
"""Float32 Fourier transforms of different libraries differ by less than this, which no image shows."""

LARGEST_MEGABYTES = 200
"""For an image of the largest allowed settings."""


def by_librosa(samples: NDArray[np.float32], settings: SpectrogramSettings) -> NDArray[np.float32]:
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples,
        sr=settings.sample_rate,
        n_fft=settings.n_fft,
        hop_length=settings.hop_length,
        n_mels=settings.n_mels,
        pad_mode="constant",
    )
    decibels: NDArray[np.float32] = librosa.power_to_db(power, ref=np.max, top_db=settings.top_db)
    return decibels


@pytest.mark.parametrize("sample_rate", [11_025, 22_050, 44_100])
def test_the_decibels_of_real_recordings_are_those_of_librosa(
    sample_rate: int, recordings: list[Path], colormap: NDArray[np.uint8]
) -> None:
    settings = SpectrogramSettings(sample_rate=sample_rate)
    spectrogram = Spectrogram(settings, colormap)
    for path in recordings:
        sound = read_audio(path, sample_rate=sample_rate, seconds=20)
        for start in range(0, len(sound) - settings.window_samples, 3 * settings.window_samples):
            samples = sound[start : start + settings.window_samples]
            expected = by_librosa(samples, settings)
            found = spectrogram.decibels(samples)
            assert found.dtype == np.float32
            assert found.shape == expected.shape == (settings.n_mels, settings.frame_count)
            np.testing.assert_allclose(found, expected, atol=DECIBEL_TOLERANCE, err_msg=f"{path.name} at {start}")


@pytest.mark.parametrize("sample_rate", [11_025, 22_050, 44_100])
@pytest.mark.parametrize("sound", ["noise", "tone", "click", "silence", "almost silence", "full scale"])
def test_the_decibels_of_synthetic_sound_are_those_of_librosa(
    sample_rate: int, sound: str, colormap: NDArray[np.uint8]
) -> None:
    settings = SpectrogramSettings(sample_rate=sample_rate)
    length = settings.window_samples
    noise = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    click = np.zeros(length, np.float32)
    click[length // 3] = 1.0
    samples = {
        "noise": noise * 0.1,
        "tone": np.sin(2 * np.pi * 1000 * np.arange(length) / sample_rate).astype(np.float32),
        "click": click,
        "silence": np.zeros(length, np.float32),
        "almost silence": noise * 1e-6,
        "full scale": np.sign(noise),
    }[sound]
    found = Spectrogram(settings, colormap).decibels(samples)
    tolerance = DECIBEL_TOLERANCE
    loud = by_librosa(samples, settings) > -70 if sound == "tone" else slice(None)
    np.testing.assert_allclose(found[loud], by_librosa(samples, settings)[loud], atol=tolerance)


@pytest.mark.parametrize("sample_rate", [11_025, 22_050, 44_100])
def test_the_mel_filters_are_those_of_librosa(sample_rate: int) -> None:
    from librosa.filters import mel

    expected = mel(sr=sample_rate, n_fft=512, n_mels=64)
    np.testing.assert_allclose(mel_weights(SpectrogramSettings(sample_rate=sample_rate)), expected, atol=1e-8)


def test_two_seconds_at_44100_hz_are_345_frames() -> None:
    settings = SpectrogramSettings()
    assert (settings.window_samples, settings.frame_count) == (88_200, 345)


def test_an_image_has_low_frequencies_at_the_bottom_and_early_ones_at_the_left(colormap: NDArray[np.uint8]) -> None:
    settings = SpectrogramSettings()
    samples = np.zeros(settings.window_samples, np.float32)
    first_half = np.arange(settings.window_samples // 2)
    samples[: len(first_half)] = np.sin(2 * np.pi * 200 * first_half / settings.sample_rate)
    index_image = Spectrogram(settings, colormap).index_image(samples)
    row, column = np.unravel_index(np.argmax(index_image), index_image.shape)
    assert index_image.shape == (224, 224)
    assert row > 200
    assert column < 112
    assert index_image[row, 200] == 0


def test_the_image_is_the_index_image_with_the_colormap_applied(colormap: NDArray[np.uint8]) -> None:
    settings = SpectrogramSettings(image_height=40, image_width=60)
    spectrogram = Spectrogram(settings, colormap)
    samples = np.random.default_rng(1).uniform(-1, 1, settings.window_samples).astype(np.float32)
    image = spectrogram.image(samples)
    assert image.shape == (40, 60, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, colormap[spectrogram.index_image(samples)])


@pytest.mark.parametrize("levels", [range(256), range(255, -1, -1)])
@pytest.mark.parametrize("width", [173, 344, 345])
def test_an_image_of_one_channel_has_the_levels_of_its_colormap(levels: range, width: int) -> None:
    settings = SpectrogramSettings(image_height=64, image_width=width)
    spectrogram = Spectrogram(settings, np.array(levels, np.uint8)[:, None])
    samples = np.random.default_rng(1).uniform(-1, 1, settings.window_samples).astype(np.float32)
    image = spectrogram.image(samples)
    assert image.shape == (64, width, 1)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 0], np.array(levels)[spectrogram.index_image(samples)])


def test_an_image_with_a_row_a_band_and_a_column_a_frame_is_the_decibels_themselves() -> None:
    settings = SpectrogramSettings(image_height=64, image_width=345)
    spectrogram = Spectrogram(settings, np.arange(256, dtype=np.uint8)[:, None])
    samples = np.random.default_rng(1).uniform(-1, 1, settings.window_samples).astype(np.float32)
    brightness = spectrogram.decibels(samples)[::-1] / settings.top_db + 1.0
    np.testing.assert_allclose(spectrogram.image(samples)[..., 0], brightness * 255, atol=0.51)


@pytest.mark.parametrize(("shape", "kind"), [((256, 2), np.uint8), ((256,), np.uint8), ((256, 1), np.int64)])
def test_a_colormap_of_another_kind_is_refused(shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(TmgcError, match="a colormap is 256 levels or RGB triples of uint8"):
        Spectrogram(SpectrogramSettings(), np.zeros(shape, kind))


def test_scaling_is_bilinear_with_half_pixel_centres(colormap: NDArray[np.uint8]) -> None:
    from PIL import Image

    settings = SpectrogramSettings(image_height=200, image_width=700)
    spectrogram = Spectrogram(settings, colormap)
    samples = np.random.default_rng(2).uniform(-1, 1, settings.window_samples).astype(np.float32)
    brightness = spectrogram.decibels(samples)[::-1] / settings.top_db + 1.0
    enlarged = Image.fromarray(brightness).resize((700, 200), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(spectrogram.index_image(samples), np.asarray(enlarged) * 255, atol=0.51)


def test_louder_sound_makes_the_same_image(colormap: NDArray[np.uint8]) -> None:
    settings = SpectrogramSettings()
    spectrogram = Spectrogram(settings, colormap)
    samples = np.random.default_rng(3).uniform(-0.4, 0.4, settings.window_samples).astype(np.float32)
    np.testing.assert_array_equal(spectrogram.index_image(samples), spectrogram.index_image(samples * np.float32(2)))


def test_a_window_of_another_length_is_refused(colormap: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="expected 88200 mono samples"):
        Spectrogram(SpectrogramSettings(), colormap).image(np.zeros(88_199, np.float32))


@pytest.mark.parametrize("n_fft", [256, 512, 1024])
def test_the_window_is_librosas(n_fft: int) -> None:
    from librosa.filters import get_window

    assert np.abs(periodic_hann(n_fft) - get_window("hann", n_fft)).max() < 1e-12


@pytest.mark.parametrize(("size", "target"), [(64, 224), (345, 224), (64, 64), (5, 3)])
def test_scaling_as_a_matrix_is_bilinear_with_half_pixel_centres(size: int, target: int) -> None:
    centres = (np.arange(target) + 0.5) * size / target - 0.5
    weights = stretch_weights(size, target)
    curve = np.random.default_rng(4).uniform(0, 1, size).astype(np.float32)
    np.testing.assert_allclose(weights @ curve, np.interp(centres, np.arange(size), curve), atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_settings_survive_json() -> None:
    settings = SpectrogramSettings(sample_rate=22_050, image_width=96)
    assert SpectrogramSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize("change", [{"n_mels": None}, {"colour": 1}])
def test_settings_with_missing_or_unknown_names_are_refused(change: dict[str, int | None]) -> None:
    document = SpectrogramSettings().to_json() | change
    document = {name: value for name, value in document.items() if value is not None}
    with pytest.raises(TmgcError, match="missing or unknown"):
        SpectrogramSettings.from_json(document)


@pytest.mark.parametrize("name", ["sample_rate", "n_fft", "top_db", "image_width"])
def test_settings_of_zero_or_less_are_refused(name: str) -> None:
    with pytest.raises(TmgcError, match=name):
        replace(SpectrogramSettings(), **{name: 0})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", 999),
        ("sample_rate", 192_001),
        ("window_seconds", 0.05),
        ("window_seconds", 61),
        ("window_seconds", float("nan")),
        ("window_seconds", float("inf")),
        ("n_fft", 10_000),
        ("n_mels", 10_000),
        ("hop_length", -1),
        ("image_height", 1025),
        ("image_width", 10**4000),
        ("n_fft", 512.0),
        ("n_mels", True),
        ("n_mels", "9" * 100_000),
        ("top_db", [[[[]]]] * 1000),
    ],
)
def test_a_setting_out_of_its_range_is_refused_in_one_short_line(name: str, value: Any) -> None:
    with pytest.raises(TmgcError, match=f"spectrogram setting {name} must be a") as caught:
        replace(SpectrogramSettings(), **{name: value})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sample_rate": 192_000, "window_seconds": 60, "hop_length": 1},
            "11520000 samples in a window, at most 3000000",
        ),
        (
            {"window_seconds": 60, "n_fft": 16, "hop_length": 1, "n_mels": 1},
            "2646001 frames in a window, at most 12000",
        ),
        ({"n_fft": 8_192, "hop_length": 20}, "410 frames that share a sample .*, at most 64"),
    ],
)
def test_settings_that_are_absurd_together_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(TmgcError, match=message):
        replace(SpectrogramSettings(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"sample_rate": 48_000, "window_seconds": 60, "n_fft": 2_048, "n_mels": 128},
        {"sample_rate": 96_000, "window_seconds": 30, "n_fft": 4_096, "hop_length": 512, "n_mels": 256},
        {"sample_rate": 192_000, "window_seconds": 10, "n_fft": 8_192, "hop_length": 1_024},
        {"sample_rate": 22_050, "n_fft": 2_048, "hop_length": 64, "n_mels": 512},
        {"sample_rate": 8_000, "window_seconds": 0.5, "image_height": 16, "image_width": 16},
    ],
)
def test_sensible_settings_are_accepted(changes: dict[str, float]) -> None:
    assert replace(SpectrogramSettings(), **changes).frame_count > 1  # type: ignore[arg-type]


_LARGEST = """
import resource, sys
import numpy as np
from edge_runtime import Spectrogram, SpectrogramSettings
settings = SpectrogramSettings(48_000, 60, 8_192, 241, 512, 80.0, 1_024, 1_024)
samples = np.random.default_rng(0).uniform(-1, 1, settings.window_samples).astype(np.float32)
spectrogram = Spectrogram(settings, np.zeros((256, 3), np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
inner = spectrogram.frame_power(samples)[: settings.inner_frames]
spectrogram.image(samples)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.full
def test_the_largest_allowed_settings_need_bounded_memory() -> None:
    done = subprocess.run([sys.executable, "-c", _LARGEST], capture_output=True, text=True, check=True)
    assert int(done.stdout) < LARGEST_MEGABYTES

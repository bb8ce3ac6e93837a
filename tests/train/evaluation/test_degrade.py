"""A model is judged on degraded sound as on any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import SpectrogramSettings, TmgcError
from tests.conftest import tone
from train.dataset.dataset import Clip, Dataset
from train.evaluation import robustness as module
from train.evaluation.evaluate import evaluate
from train.evaluation.robustness import DEGRADATIONS, Degradation, degrade, degraded_clip
from train.progress import Reporter
from train.run import Run

RATE = 22_050


def write_corpus(folder: Path, colormap: NDArray[np.uint8], *, margin_seconds: float = 0.5) -> Dataset:
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
    return write_corpus(tmp_path / "run", colormap)


def rock_is_noisy(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A model that knows one thing; red is the index itself in the colormap of these tests."""
    noisy = np.median(pictures[..., 0], axis=(1, 2)) > 80
    return np.stack([~noisy, noisy], axis=1).astype(np.float32)


def test_noise_fools_a_model_that_goes_by_noise_and_speed_does_not(dataset: Dataset) -> None:
    rows = {row.name: row for row in degrade(dataset, dataset.of("test"), rock_is_noisy, Reporter())}
    assert list(rows) == [kind.name for kind in DEGRADATIONS]
    assert rows["as it is"].clip_accuracy == rows["3 % too fast"].clip_accuracy == 1.0
    assert rows["noise at 5 dB SNR"].clip_accuracy == 0.5, "all of it is taken for rock"
    low, high = rows["noise at 5 dB SNR"].clip_interval
    assert 0.0 < low < 0.5 < high < 1.0
    assert {row.clips for row in rows.values()} == {10}


def test_sound_as_it_is_makes_the_pictures_that_the_model_was_trained_on(
    dataset: Dataset, colormap: NDArray[np.uint8]
) -> None:
    from edge_runtime.spectrogram import Spectrogram

    shown: list[NDArray[np.uint8]] = []

    def watched(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        shown.append(pictures)
        return rock_is_noisy(pictures)

    degrade(dataset, dataset.of("test"), watched, Reporter())
    spectrogram = Spectrogram(dataset.spectrogram, colormap)
    expected = np.stack([spectrogram.image(dataset.samples(clip)) for clip in dataset.clips])
    np.testing.assert_array_equal(shown[0], expected)
    assert all((other != expected).any() for other in shown[1:])


def test_only_some_clips_are_in_memory_at_a_time_and_no_figure_depends_on_how_many(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def counting(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        sizes.append(len(pictures))
        return rock_is_noisy(pictures)

    at_once = degrade(dataset, dataset.of("test"), counting, Reporter())
    monkeypatch.setattr(module, "_BATCH", 4)
    assert degrade(dataset, dataset.of("test"), counting, Reporter()) == at_once
    assert set(sizes) == {10, 4, 2}


@pytest.mark.parametrize("margin_seconds", [0.0, 0.5])
@pytest.mark.parametrize("kind", DEGRADATIONS, ids=lambda kind: kind.name)
def test_a_degraded_clip_is_whole_and_the_same_each_time(
    kind: Degradation, margin_seconds: float, tmp_path: Path, colormap: NDArray[np.uint8]
) -> None:
    dataset = write_corpus(tmp_path / "run", colormap, margin_seconds=margin_seconds)
    clip = dataset.clips[0]
    sound = dataset.sound(clip)
    first, second = (degraded_clip(dataset, clip, sound, kind) for _ in range(2))
    assert first.shape == (dataset.spectrogram.window_samples,)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    for part in np.array_split(first, 40):
        assert np.abs(part).max() > 0.02, "no stretch of it is empty"


@pytest.mark.parametrize("kind", DEGRADATIONS, ids=lambda kind: kind.name)
def test_a_degraded_clip_begins_at_the_same_moment_of_the_music(kind: Degradation, dataset: Dataset) -> None:
    clip = dataset.clips[0]
    sound = np.zeros_like(dataset.sound(clip))
    beat = round(1.0 * RATE)  # half a second into the clip, after a margin of half a second
    sound[beat : beat + 2000] = tone(2000 / RATE, sample_rate=RATE, hz=1000.0)
    heard = np.abs(degraded_clip(dataset, clip, sound, kind))
    begins = np.flatnonzero(heard > 0.5 * heard.max())[0] / RATE
    expected = 0.5 / {"3 % too fast": 1.03, "3 % too slow": 0.97}.get(kind.name, 1.0)
    assert begins == pytest.approx(expected, abs=0.01)


def test_an_evaluation_holds_the_table_and_the_baseline_where_they_are_asked_for(
    small_dataset: Dataset, copy_of: Callable[[Dataset], Dataset]
) -> None:
    found = evaluate(copy_of(small_dataset), "test", degrade=True, baseline=True)
    assert [row.name for row in found.degraded] == [kind.name for kind in DEGRADATIONS]
    assert found.degraded[0].clip_accuracy == pytest.approx(found.clip_accuracy)
    assert found.baseline is not None
    document = json.loads(found.to_json())
    assert len(document["degraded"]) == len(DEGRADATIONS)
    assert document["baseline"]["verdict"] == found.baseline.verdict
    assert found.baseline.verdict in found.as_text()


def test_a_clip_without_its_sound_is_named(dataset: Dataset) -> None:
    file = dataset.clips[3].audio_path(dataset.run)
    soundfile.write(file, tone(1.0, sample_rate=RATE), RATE)
    with pytest.raises(TmgcError, match=r"Rock3\.flac is too short\. Run: tmgc-train prepare"):
        degrade(dataset, dataset.of("test"), rock_is_noisy, Reporter())

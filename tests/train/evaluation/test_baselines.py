"""The baseline learns what MFCC can tell, and is compared with the network fairly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_runtime import SpectrogramSettings
from tests.conftest import tone
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import Dataset
from train.evaluation.baselines import Baseline, baseline_methods, fit_baselines, mfcc_statistics
from train.progress import Reporter
from train.run import Run

RATE = 22_050
SONGS = 20
"""Of each genre."""


def write_songs(folder: Path, genres: tuple[str, ...], *, alike: bool = False) -> Path:
    """Genres of noise in bands of their own, or all in one."""
    rng = np.random.default_rng(0)
    for number, genre in enumerate(genres):
        (folder / genre).mkdir(parents=True)
        hz = 600.0 if alike else 300.0 * 2.5**number
        for song in range(SONGS):
            beat = tone(4.5, sample_rate=RATE, hz=hz * rng.uniform(0.9, 1.1)) * rng.normal(0.5, 0.1, round(4.5 * RATE))
            soundfile.write(folder / genre / f"{song}.wav", np.clip(beat, -1, 1), RATE)
    return folder


def prepared(folder: Path, genres: tuple[str, ...] = ("Caz", "Halk", "Rap"), *, alike: bool = False) -> Dataset:
    settings = DatasetConfig(
        offsets_seconds=(0.0, 2.2),
        spectrogram=SpectrogramSettings(sample_rate=RATE, image_height=32, image_width=32),
        split_ratios=(0.4, 0.2, 0.4),
    )
    dataset, _ = prepare(write_songs(folder / "songs", genres, alike=alike), Run(folder / "run"), settings, workers=1)
    return dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepared(tmp_path_factory.mktemp("baseline"))


def network(dataset: Dataset, *, correct: float, split: str = "test") -> NDArray[np.float32]:
    """Probabilities of a network with this accuracy."""
    clips = dataset.of(split)
    labels = dataset.labels(clips)
    wrong = np.random.default_rng(1).permutation(len(clips)) >= correct * len(clips)
    return np.eye(len(dataset.genres), dtype=np.float32)[(labels + wrong) % len(dataset.genres)]


def test_genres_that_sound_different_are_classified_correctly_by_clip_and_by_song(dataset: Dataset) -> None:
    (found,) = fit_baselines(dataset, "test", network(dataset, correct=1.0), Reporter())
    assert found.clip_accuracy > 0.9
    assert found.song_accuracy > 0.9
    assert found.song_accuracy_ci[0] > 0.7
    assert found.name.startswith("SVM on MFCC statistics (C=")


@pytest.mark.parametrize(
    ("correct", "verdict"),
    [
        (0.3, "the baseline is significantly better than the network"),
        (1.0, "no significant difference between network and baseline on 24 songs"),
    ],
)
def test_a_network_that_is_not_better_gets_that_verdict(correct: float, verdict: str, dataset: Dataset) -> None:
    predictions = network(dataset, correct=correct)
    (found,) = fit_baselines(dataset, "test", predictions, Reporter())
    assert found.verdict == verdict
    accuracy = float((predictions.argmax(axis=1) == dataset.labels(dataset.of("test"))).mean())
    assert found.difference == pytest.approx(accuracy - found.clip_accuracy)
    assert found.difference_ci[0] <= found.difference <= found.difference_ci[1]


def test_a_network_that_knows_what_mfcc_do_not_tell_is_better(tmp_path: Path) -> None:
    alike = prepared(tmp_path, ("Caz", "Halk"), alike=True)
    (found,) = fit_baselines(alike, "test", network(alike, correct=1.0), Reporter())
    assert found.clip_accuracy < 0.8, "the genres sound alike"
    assert found.verdict == "the network is significantly better than the baseline"
    assert found.difference_ci[0] > 0.0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_any_split_can_be_evaluated(split: str, dataset: Dataset) -> None:
    (found,) = fit_baselines(dataset, split, network(dataset, correct=1.0, split=split), Reporter())
    assert isinstance(found, Baseline)
    assert found.clip_accuracy > 0.8


def test_hyperparameters_are_selected_on_validation_songs_and_nothing_is_fitted_to_them() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    features = (rng.normal(0.0, 1.0, (80, 5)) + labels[:, None]).astype(np.float32)
    train, validation = (features[::2], labels[::2]), (features[1::2], labels[1::2])
    svm, logistic = baseline_methods(RATE, LoudnessTeacher())
    machine, chosen = svm.fit(train, validation, Reporter())
    assert len(machine[-1].shape_fit_) == 2
    assert machine[-1].shape_fit_[0] == 40
    flipped, _ = svm.fit(train, (validation[0], 1 - validation[1]), Reporter())
    assert machine.score(*validation) > 0.7
    assert flipped.score(*validation) > 0.7, "labels of the validation songs teach nothing"
    assert set(chosen) == {"C"}
    regression, chosen = logistic.fit(train, validation, Reporter())
    assert regression.score(*validation) > 0.7
    assert set(chosen) == {"C"}


class LoudnessTeacher:
    """Hears the level in eight parts of the spectrum, at a rate of its own."""

    name, weights_sha256, licence, sample_rate, target_names = "loudness", "", "", 8_000, tuple("12345678")

    def __init__(self) -> None:
        self.heard: list[tuple[int, ...]] = []

    def targets(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        self.heard.append(windows.shape)
        power = np.abs(np.fft.rfft(windows)) ** 2
        parts = np.array_split(power, 8, axis=1)
        return np.stack([np.log10(part.mean(axis=1) + 1e-9) for part in parts], axis=1).astype(np.float32)


def test_a_teacher_is_a_second_baseline_and_hears_windows_at_its_own_rate(dataset: Dataset) -> None:
    teacher = LoudnessTeacher()
    mfcc, loudness = fit_baselines(dataset, "test", network(dataset, correct=1.0), Reporter(), teacher=teacher)
    assert mfcc.name.startswith("SVM on MFCC")
    assert loudness.name.startswith("logistic regression on loudness (C=")
    assert loudness.clip_accuracy > 0.5, "three genres in bands of their own"
    assert {shape[1] for shape in teacher.heard} == {16_000}
    assert sum(shape[0] for shape in teacher.heard) == len(dataset.clips)


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_mfcc_statistics_are_finite_even_of_silence(seconds: float) -> None:
    for samples in (np.zeros(round(seconds * RATE), np.float32), tone(seconds, sample_rate=RATE)):
        statistics = mfcc_statistics(samples, RATE)
        assert statistics.shape == (120,)
        assert np.isfinite(statistics).all()


@pytest.mark.full
def test_on_real_recordings_it_is_as_good_as_such_baselines_are(labelled_music: Path, tmp_path: Path) -> None:
    settings = DatasetConfig(
        offsets_seconds=(0.0,),
        spectrogram=SpectrogramSettings(image_height=32, image_width=32),
        split_ratios=(0.6, 0.1, 0.3),
    )
    dataset, _ = prepare(labelled_music, Run(tmp_path / "run"), settings)
    (found,) = fit_baselines(dataset, "test", network(dataset, correct=0.0), Reporter())
    assert 0.45 < found.clip_accuracy < 0.75

"""The whole InceptionResNetV2: every export answers as Keras does, on songs that neither has heard."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import AudioFile, GenreClassifier, Spectrogram, Summarizer, listen
from edge_runtime.audio import Samples, read_audio
from export.recipes import FORMATS
from export.tolerances import PARITY_WINDOWS, TOLERANCES, UNDECIDED_MARGIN, tolerance_of
from train.corpus import read_corpus
from train.run import Run

ROOT = Path(__file__).parents[2]
EVERYTHING = [(form, recipe.name) for form, made in FORMATS.items() for recipe in made.recipes]
MOST_MEMORY_MB = 8000

Reports = dict[tuple[str, str], dict[str, Any]]
"""By format and recipe."""


def exported(run: Run, folder: Path, *options: str) -> Reports:
    """What the command makes of a run, in a process of its own."""
    command = [sys.executable, "-c", "from export.cli import main; main()", str(run.folder), "--format", "all"]
    command += ["--output", str(folder), "--calibration", "100", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {(report["format"], report["recipe"]): report for report in json.loads(done.stdout)["reports"]}


@pytest.fixture(scope="module")
def int8_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported(trained_run, tmp_path_factory.mktemp("int8"), "--quantize", "int8")


@pytest.fixture(scope="module")
def all_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported(trained_run, tmp_path_factory.mktemp("all"), "--quantize", "all")


@pytest.fixture(scope="module")
def waveform_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported(trained_run, tmp_path_factory.mktemp("waveform"), "--quantize", "all", "--input", "waveform")


@pytest.fixture(scope="module")
def real_windows(labelled_music: Path) -> list[Samples]:
    """Two seconds of every other real clip."""
    sounds = (read_audio(path, sample_rate=44_100) for path in sorted(labelled_music.glob("*/*.flac"))[::2])
    return [sound[:88_200] for sound in sounds if len(sound) >= 88_200]


@pytest.fixture(scope="module")
def keras_on_real_windows(trained_run: Run, real_windows: list[Samples]) -> NDArray[np.float32]:
    card = trained_run.card()
    spectrogram = Spectrogram(card.spectrogram, card.palette_array)
    return asked(trained_run, np.stack([spectrogram.image(samples) for samples in real_windows]))


def asked(run: Run, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What Keras says."""
    import keras

    said: NDArray[np.float32] = keras.models.load_model(run.model, compile=False).predict(pictures, verbose=0)
    return said


def check_agreement(
    keras: NDArray[np.float32], file: NDArray[np.float32], recipe: str, *, most_undecided: float
) -> None:
    best, next_best = np.sort(keras, axis=1)[:, :-3:-1].T
    undecided = best - next_best < UNDECIDED_MARGIN
    agreed = (keras.argmax(axis=1) == file.argmax(axis=1)) | undecided
    assert undecided.mean() < most_undecided
    assert agreed.mean() >= TOLERANCES[recipe].top1_agreement


def check_real_recordings(report: dict[str, Any], windows: Sequence[Samples], keras: NDArray[np.float32]) -> None:
    """A network that knows synthesised music only, asked about real music: its file must say what it says."""
    classifier = GenreClassifier.open(report["file"])
    said = np.stack([classifier.classify(samples).probabilities for samples in windows])
    check_agreement(keras, said, report["recipe"], most_undecided=0.3)


def check_tolerances(report: dict[str, Any]) -> None:
    parity, tolerance = report["parity"], tolerance_of(report["recipe"], report["input"])
    assert parity["held"], parity["misses"]
    assert parity["windows"] >= PARITY_WINDOWS
    assert parity["top1_agreement"] >= tolerance.top1_agreement
    if tolerance.probability_difference is not None:
        assert parity["max_probability_difference"] <= tolerance.probability_difference
    assert parity["accuracy"]["accuracy_file"] >= parity["accuracy"]["accuracy_keras"] - 0.01


@pytest.mark.parametrize("form", FORMATS)
def test_the_int8_file_is_within_its_tolerances(form: str, int8_exports: Reports) -> None:
    check_tolerances(int8_exports[form, "int8"])


@pytest.mark.parametrize("form", FORMATS)
def test_the_file_alone_answers_as_keras_does(form: str, int8_exports: Reports, trained_run: Run) -> None:
    corpus = read_corpus(trained_run)
    pictures = corpus.pictures(corpus.of("test"))
    classifier = GenreClassifier.open(int8_exports[form, "int8"]["file"])
    said = np.stack([classifier.classify_picture(picture) for picture in pictures])
    check_agreement(asked(trained_run, pictures), said, "int8", most_undecided=0.05)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("form", FORMATS)
def test_it_names_songs_that_the_network_has_not_heard(form: str, int8_exports: Reports, trained_run: Run) -> None:
    classifier = GenreClassifier.open(int8_exports[form, "int8"]["file"])
    songs = sorted({(clip.genre, clip.song) for clip in read_corpus(trained_run).of("test")})
    right = 0
    for genre, song in songs:
        path = trained_run.folder.parent / "songs" / song
        with AudioFile(path, sample_rate=44_100) as file:
            summarizer = Summarizer(file.name)
            for answer in listen(file, classifier):
                summarizer.add(answer)
        right += summarizer.summary().genre == genre
    assert right >= 0.8 * len(songs)


@pytest.mark.parametrize("form", FORMATS)
def test_the_int8_file_hears_real_recordings_as_keras_does(
    form: str, int8_exports: Reports, real_windows: list[Samples], keras_on_real_windows: NDArray[np.float32]
) -> None:
    check_real_recordings(int8_exports[form, "int8"], real_windows, keras_on_real_windows)


@pytest.mark.full
@pytest.mark.parametrize(("form", "recipe"), EVERYTHING)
def test_every_format_and_recipe_is_within_its_tolerances(form: str, recipe: str, all_exports: Reports) -> None:
    check_tolerances(all_exports[form, recipe])


@pytest.mark.full
@pytest.mark.parametrize(("form", "recipe"), EVERYTHING)
def test_every_file_that_takes_the_sound_is_within_its_tolerances(
    form: str, recipe: str, waveform_exports: Reports
) -> None:
    check_tolerances(waveform_exports[form, recipe])


@pytest.mark.full
@pytest.mark.parametrize(("form", "recipe"), EVERYTHING)
def test_every_file_hears_real_recordings_as_keras_does(
    form: str,
    recipe: str,
    all_exports: Reports,
    waveform_exports: Reports,
    real_windows: list[Samples],
    keras_on_real_windows: NDArray[np.float32],
) -> None:
    for reports in (all_exports, waveform_exports):
        check_real_recordings(reports[form, recipe], real_windows, keras_on_real_windows)


@pytest.mark.full
def test_it_takes_less_memory_than_is_promised(all_exports: Reports, waveform_exports: Reports) -> None:
    for reports in (all_exports, waveform_exports):
        assert max(report["peak_memory_mb"] for report in reports.values()) < MOST_MEMORY_MB

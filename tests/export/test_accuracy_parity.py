"""The whole InceptionResNetV2: every export answers as Keras does, on songs that neither has heard."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import AudioFile, GenreClassifier, SpectrogramSettings, Summarizer, listen
from export.recipes import FORMATS, PARITY_WINDOWS, TOLERANCES, UNDECIDED_MARGIN, tolerance_of
from train.dataset.dataset import read_dataset
from train.run import Run

ROOT = Path(__file__).parents[2]
EVERYTHING = [(form, recipe.name) for form, made in FORMATS.items() for recipe in made.recipes]
MOST_MEMORY_MB = 8000

Reports = dict[tuple[str, str], dict[str, Any]]
"""By format and recipe."""


def exported(model: Path, folder: Path, *options: str) -> Reports:
    """What the command makes of a run or of a bare model, in a process of its own."""
    command = [sys.executable, "-c", "from export.cli import main; main()", str(model), "--format", "all"]
    command += ["--output", str(folder), "--calibration", "100", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {(report["format"], report["recipe"]): report for report in json.loads(done.stdout)["reports"]}


@pytest.fixture(scope="module")
def int8_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported(trained_run.folder, tmp_path_factory.mktemp("int8"), "--quantize", "int8")


@pytest.fixture(scope="module")
def all_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported(trained_run.folder, tmp_path_factory.mktemp("all"), "--quantize", "all")


@pytest.fixture(scope="module")
def waveform_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported(trained_run.folder, tmp_path_factory.mktemp("waveform"), "--quantize", "all", "--input", "waveform")


@pytest.fixture(scope="session")
def real_run(labelled_music: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Real recordings, prepared to calibrate and to prove."""
    from train.dataset import DatasetConfig, prepare

    settings = DatasetConfig(
        offsets_seconds=(0.0,),
        spectrogram=SpectrogramSettings(image_height=75, image_width=75),
        split_ratios=(0.5, 0.1, 0.4),
    )
    dataset, _ = prepare(labelled_music, Run(tmp_path_factory.mktemp("real") / "real"), settings)
    return dataset.run


def exported_for_real_music(trained: Run, real: Run, folder: Path, *options: str) -> Reports:
    """The same network, calibrated and proved on real recordings; it calls them by names that mean nothing to it."""
    genres = ",".join(read_dataset(real).genres)
    bare = ("--genres", genres, "--settings", str(trained.dataset_json), "--dataset", str(real.folder))
    return exported(trained.model, folder, *bare, *options)


@pytest.fixture(scope="module")
def real_int8_exports(trained_run: Run, real_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported_for_real_music(trained_run, real_run, tmp_path_factory.mktemp("real_int8"), "--quantize", "int8")


@pytest.fixture(scope="module")
def all_real_exports(trained_run: Run, real_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return exported_for_real_music(trained_run, real_run, tmp_path_factory.mktemp("real_all"), "--quantize", "all")


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
    import keras

    dataset = read_dataset(trained_run)
    pictures = dataset.images(dataset.of("test"))
    asked = keras.models.load_model(trained_run.model, compile=False).predict(pictures, verbose=0)
    classifier = GenreClassifier.open(int8_exports[form, "int8"]["file"])
    said = np.stack([classifier.classify_image(picture) for picture in pictures])
    best, next_best = np.sort(asked, axis=1)[:, :-3:-1].T
    undecided = best - next_best < UNDECIDED_MARGIN
    agreed = (asked.argmax(axis=1) == said.argmax(axis=1)) | undecided
    assert undecided.mean() < 0.05
    assert agreed.mean() >= TOLERANCES["int8"].top1_agreement
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("form", FORMATS)
def test_it_names_songs_that_the_network_has_not_heard(form: str, int8_exports: Reports, trained_run: Run) -> None:
    classifier = GenreClassifier.open(int8_exports[form, "int8"]["file"])
    songs = sorted({(clip.genre, clip.song) for clip in read_dataset(trained_run).of("test")})
    right = 0
    for genre, song in songs:
        path = trained_run.folder.parent / "songs" / song
        with AudioFile(path, sample_rate=44_100) as file:
            summarizer = Summarizer(file.name, threshold=0.0)
            for prediction in listen(file, classifier):
                summarizer.add(prediction)
        right += summarizer.summary().genre == genre
    assert right >= 0.8 * len(songs)


@pytest.mark.parametrize("form", FORMATS)
def test_the_int8_file_is_within_its_tolerances_on_real_recordings(form: str, real_int8_exports: Reports) -> None:
    check_tolerances(real_int8_exports[form, "int8"])


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
def test_every_format_and_recipe_is_within_its_tolerances_on_real_recordings(
    form: str, recipe: str, all_real_exports: Reports
) -> None:
    check_tolerances(all_real_exports[form, recipe])


@pytest.mark.full
def test_it_takes_less_memory_than_is_promised(all_exports: Reports, waveform_exports: Reports) -> None:
    for reports in (all_exports, waveform_exports):
        assert max(report["peak_memory_mb"] for report in reports.values()) < MOST_MEMORY_MB

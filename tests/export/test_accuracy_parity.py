"""The whole InceptionResNetV2: every export predicts what Keras does, on songs that were not used in training.

Everything here is ``full``. The fast tests hold the same tolerances, for every format and recipe, on a tiny network:
``test_parity.py`` and ``test_frontend.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import AudioFile, GenreClassifier, SpectrogramSettings, Summarizer, listen
from export.parity import PARITY_WINDOWS, TOLERANCES, UNDECIDED_MARGIN, find_tolerance
from export.recipes import FORMATS
from train.dataset.dataset import read_dataset
from train.run import Run

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
FORMS = pytest.mark.parametrize("form", FORMATS)
EVERYTHING = pytest.mark.parametrize(
    ("form", "recipe"), [(form, recipe.name) for form, format_ in FORMATS.items() for recipe in format_.recipes]
)
MAX_MEMORY_MB = 8000

Exports = dict[tuple[str, str], dict[str, Any]]
"""Reports by format and recipe."""


def export(model: Path, folder: Path, *options: str) -> Exports:
    """Every format and recipe of a run or of a bare model, by the command in a process of its own."""
    command = [sys.executable, "-c", "from export.cli import main; main()", str(model), "--format", "all"]
    command += ["--quantize", "all", "--output", str(folder), "--calibration", "100", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {(report["format"], report["recipe"]): report for report in json.loads(done.stdout)["reports"]}


@pytest.fixture(scope="module")
def image_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return export(trained_run.folder, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def waveform_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return export(trained_run.folder, tmp_path_factory.mktemp("waveform"), "--input", "waveform")


@pytest.fixture(scope="module")
def real_run(labelled_music: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Real recordings, prepared for calibration and comparison."""
    from train.dataset import DatasetConfig, prepare

    settings = DatasetConfig(
        offsets_seconds=(0.0,),
        spectrogram=SpectrogramSettings(image_height=75, image_width=75),
        split_ratios=(0.5, 0.1, 0.4),
    )
    dataset, _ = prepare(labelled_music, Run(tmp_path_factory.mktemp("real") / "real"), settings)
    return dataset.run


@pytest.fixture(scope="module")
def real_exports(trained_run: Run, real_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """The same network, calibrated and compared on real recordings; their genres are arbitrary names to it."""
    genres = ",".join(read_dataset(real_run).genres)
    bare = ("--genres", genres, "--settings", str(trained_run.dataset_json), "--dataset", str(real_run.folder))
    return export(trained_run.model, tmp_path_factory.mktemp("real_exports"), *bare)


def check_tolerances(report: dict[str, Any]) -> None:
    parity, tolerance = report["parity"], find_tolerance(report["recipe"], report["input_kind"])
    assert parity["passed"], parity["failures"]
    assert parity["windows"] >= PARITY_WINDOWS
    assert parity["top1_agreement"] >= tolerance.top1_agreement
    if tolerance.probability_difference is not None:
        assert parity["max_probability_difference"] <= tolerance.probability_difference
    assert parity["accuracy"]["accuracy_file"] >= parity["accuracy"]["accuracy_keras"] - 0.01


@EVERYTHING
def test_every_format_and_recipe_is_within_its_tolerances(form: str, recipe: str, image_exports: Exports) -> None:
    check_tolerances(image_exports[form, recipe])


@FORMS
def test_the_int8_file_alone_predicts_what_keras_does(form: str, image_exports: Exports, trained_run: Run) -> None:
    import keras

    dataset = read_dataset(trained_run)
    images = dataset.images(dataset.of("test"))
    expected = keras.models.load_model(trained_run.model, compile=False).predict(images, verbose=0)
    classifier = GenreClassifier.open(image_exports[form, "int8"]["file"])
    predictions = np.stack([classifier.classify_image(image) for image in images])
    best, next_best = np.sort(expected, axis=1)[:, :-3:-1].T
    undecided = best - next_best < UNDECIDED_MARGIN
    agreed = (expected.argmax(axis=1) == predictions.argmax(axis=1)) | undecided
    assert undecided.mean() < 0.05
    assert agreed.mean() >= TOLERANCES["int8"].top1_agreement
    np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-3)


@FORMS
def test_the_int8_file_classifies_songs_of_the_test_split(form: str, image_exports: Exports, trained_run: Run) -> None:
    classifier = GenreClassifier.open(image_exports[form, "int8"]["file"])
    songs = sorted({(clip.genre, clip.song) for clip in read_dataset(trained_run).of("test")})
    correct = 0
    for genre, song in songs:
        path = trained_run.folder.parent / "songs" / song
        with AudioFile(path, sample_rate=44_100) as file:
            summarizer = Summarizer(file.name, threshold=0.0)
            for prediction in listen(file, classifier):
                summarizer.add(prediction)
        correct += summarizer.summary().genre == genre
    assert correct >= 0.8 * len(songs)


@EVERYTHING
def test_every_file_with_waveform_input_is_within_its_tolerances(
    form: str, recipe: str, waveform_exports: Exports
) -> None:
    check_tolerances(waveform_exports[form, recipe])


@EVERYTHING
def test_every_format_and_recipe_is_within_its_tolerances_on_real_recordings(
    form: str, recipe: str, real_exports: Exports
) -> None:
    check_tolerances(real_exports[form, recipe])


def test_an_export_needs_less_memory_than_is_promised(image_exports: Exports, waveform_exports: Exports) -> None:
    for reports in (image_exports, waveform_exports):
        assert max(report["peak_memory_mb"] for report in reports.values()) < MAX_MEMORY_MB

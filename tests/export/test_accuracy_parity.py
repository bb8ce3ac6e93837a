"""The whole InceptionResNetV2: every export predicts what Keras does, on songs that were not used in training.

Everything here is ``full``. The fast tests hold the same tolerances, for every format and recipe, on a tiny network:
``test_parity.py`` and ``test_frontend.py``. Files that take waveforms have tests of their own, which another worker
runs: ``test_accuracy_parity_of_waveforms.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from edge_runtime import AudioFile, GenreClassifier, SpectrogramSettings, Summarizer, listen
from edge_runtime.interpreters import open_interpreter
from export import onnx, tflite
from export.calibration import calibration_clips, calibration_inputs
from export.frontend import KerasModel
from export.metadata import write_with_card
from export.parity import PARITY_WINDOWS, TOLERANCES, UNDECIDED_MARGIN, ParityReport, find_tolerance
from export.parity_reference import collect_reference
from export.recipes import FORMATS, INT8
from train.dataset.dataset import read_dataset
from train.libraries import silence
from train.run import Run

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
FORMS = pytest.mark.parametrize("form", FORMATS)
EVERYTHING = pytest.mark.parametrize(
    ("form", "recipe"), [(form, recipe.name) for form, format_ in FORMATS.items() for recipe in format_.recipes]
)
CONVERTERS: dict[str, Any] = {"tflite": tflite, "onnx": onnx}
MAX_MEMORY_MB = 8000

Exports = dict[tuple[str, str], dict[str, Any]]
"""Reports by format and recipe."""


def export(run: Run, folder: Path, *options: str) -> Exports:
    """Every format and recipe of a run, by the command in a process of its own.

    It exports a copy, since one command at a time changes a run, and another worker may export it, too: with one
    thread, since two of ONNX Runtime would spin while the other workers have the cores.
    """
    copy = copytree(run.folder, folder / run.name, copy_function=os.link)
    command = [sys.executable, "-c", "from export.cli import main; main()", str(copy), "--format", "all"]
    command += ["--quantize", "all", "--output", str(folder), "--calibration", "100", "--threads", "1"]
    done = subprocess.run([*command, "--json", *options], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {(report["format"], report["recipe"]): report for report in json.loads(done.stdout)["reports"]}


@pytest.fixture(scope="module")
def image_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return export(trained_run, tmp_path_factory.mktemp("image"))


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
def real_reports(
    image_exports: Exports, trained_run: Run, real_run: Run, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], ParityReport]:
    """The same network, calibrated and compared on real recordings, whose genres are arbitrary classes to it.

    Only int8 depends on the calibration: it is quantised anew, from the float32 files.
    """
    folder, dataset, card = tmp_path_factory.mktemp("real_int8"), read_dataset(real_run), trained_run.card()
    calibration = calibration_inputs(dataset, calibration_clips(dataset, 100), input_kind="image")
    with silence():
        reference = collect_reference(KerasModel(trained_run.model), dataset, "test", input_kind="image")
    reports = {}
    for (form, recipe), report in image_exports.items():
        file = Path(report["file"])
        if recipe == "int8":
            graph, file = folder / f"graph.{form}", folder / f"int8.{form}"
            with silence():
                CONVERTERS[form].quantize(Path(image_exports[form, "float32"]["file"]), INT8, calibration, graph)
            write_with_card(graph, card.replace(export={"format": form, "recipe": recipe}), file)
        reports[form, recipe] = reference.report(file, card, recipe=recipe, input_kind="image", threads=1)
    return reports


def check_tolerances(parity: dict[str, Any]) -> None:
    tolerance = find_tolerance(parity["recipe"], parity["input_kind"])
    assert parity["passed"], parity["failures"]
    assert parity["windows"] >= PARITY_WINDOWS
    assert parity["top1_agreement"] >= tolerance.top1_agreement
    if tolerance.probability_difference is not None:
        assert parity["max_probability_difference"] <= tolerance.probability_difference
    assert parity["accuracy"]["accuracy_file"] >= parity["accuracy"]["accuracy_keras"] - 0.01


def test_the_network_has_learned_its_genres(trained_run: Run) -> None:
    """Parity of a network that guesses would prove little."""
    assert json.loads(trained_run.evaluation_json("test").read_text("utf-8"))["song_accuracy"] >= 0.8


@EVERYTHING
def test_every_format_and_recipe_is_within_its_tolerances(form: str, recipe: str, image_exports: Exports) -> None:
    check_tolerances(image_exports[form, recipe]["parity"])


@FORMS
def test_the_int8_file_alone_predicts_what_keras_does(form: str, image_exports: Exports, trained_run: Run) -> None:
    import keras

    dataset = read_dataset(trained_run)
    images = dataset.images(dataset.of("test"))
    expected = keras.models.load_model(trained_run.model, compile=False).predict(images, verbose=0)
    interpreter = open_interpreter(image_exports[form, "int8"]["file"])
    predictions = np.stack([interpreter.invoke(image) for image in images])
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
def test_every_format_and_recipe_is_within_its_tolerances_on_real_recordings(
    form: str, recipe: str, real_reports: dict[tuple[str, str], ParityReport]
) -> None:
    check_tolerances(real_reports[form, recipe].to_json())


def test_an_export_needs_less_memory_than_is_promised(image_exports: Exports) -> None:
    assert max(report["peak_memory_mb"] for report in image_exports.values()) < MAX_MEMORY_MB

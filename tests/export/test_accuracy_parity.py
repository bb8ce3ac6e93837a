"""The whole InceptionResNetV2: every export answers as Keras does, on songs that neither has heard."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import AudioFile, GenreClassifier, Summarizer, listen
from export.exporting import ExportSettings, export_model
from export.progress import Steps
from export.recipes import FORMATS
from export.source import source_of_run
from export.tolerances import PARITY_WINDOWS, TOLERANCES, UNDECIDED_MARGIN
from train.corpus import read_corpus
from train.run import Run

EVERYTHING = [(form, recipe.name) for form, made in FORMATS.items() for recipe in made.recipes]


def exported(run: Run, folder: Path, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    settings = ExportSettings(tuple(FORMATS.values()), words, output=folder, calibration_clips=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reports = export_model(source_of_run(run), settings, Steps())
    return {(report["format"], report["recipe"]): report for report in reports}


@pytest.fixture(scope="module")
def int8_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    return exported(trained_run, tmp_path_factory.mktemp("int8"), "int8")


@pytest.fixture(scope="module")
def all_exports(trained_run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    return exported(trained_run, tmp_path_factory.mktemp("all"), "all")


def check_tolerances(report: dict[str, Any]) -> None:
    parity, tolerance = report["parity"], TOLERANCES[report["recipe"]]
    assert parity["held"], parity["misses"]
    assert parity["windows"] >= PARITY_WINDOWS
    assert parity["top1_agreement"] >= tolerance.top1_agreement
    if tolerance.probability_difference is not None:
        assert parity["max_probability_difference"] <= tolerance.probability_difference
    assert parity["accuracy"]["accuracy_file"] >= parity["accuracy"]["accuracy_keras"] - 0.01


@pytest.mark.parametrize("form", FORMATS)
def test_the_int8_file_is_within_its_tolerances(form: str, int8_exports: dict[tuple[str, str], dict[str, Any]]) -> None:
    check_tolerances(int8_exports[form, "int8"])


@pytest.mark.parametrize("form", FORMATS)
def test_the_file_alone_answers_as_keras_does(
    form: str, int8_exports: dict[tuple[str, str], dict[str, Any]], trained_run: Run
) -> None:
    import keras

    corpus = read_corpus(trained_run)
    pictures = corpus.pictures(corpus.of("test"))
    asked = keras.models.load_model(trained_run.model, compile=False).predict(pictures, verbose=0)
    classifier = GenreClassifier.open(int8_exports[form, "int8"]["file"])
    said = np.stack([classifier.classify_picture(picture) for picture in pictures])
    best, next_best = np.sort(asked, axis=1)[:, :-3:-1].T
    undecided = best - next_best < UNDECIDED_MARGIN
    agreed = (asked.argmax(axis=1) == said.argmax(axis=1)) | undecided
    assert undecided.mean() < 0.05
    assert agreed.mean() >= TOLERANCES["int8"].top1_agreement
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("form", FORMATS)
def test_it_names_songs_that_the_network_has_not_heard(
    form: str, int8_exports: dict[tuple[str, str], dict[str, Any]], trained_run: Run
) -> None:
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


@pytest.mark.full
@pytest.mark.parametrize(("form", "recipe"), EVERYTHING)
def test_every_format_and_recipe_is_within_its_tolerances(
    form: str, recipe: str, all_exports: dict[tuple[str, str], dict[str, Any]]
) -> None:
    check_tolerances(all_exports[form, recipe])

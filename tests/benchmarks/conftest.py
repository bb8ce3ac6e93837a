"""A run with a tiny network, one benchmark of it for the tests of the whole way, and a report without any measuring."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from benchmarks.report import CaseFailure, Report
from edge_runtime.model_card import METADATA_KEY, ModelCard
from edge_runtime.model_file import CARD_ENTRY, read_card
from edge_runtime.models import SMALL_MODEL
from edge_runtime.spectrogram import SpectrogramSettings
from train.dataset.dataset import Clip, Dataset, write_dataset
from train.run import Run

GENRES = ("Caz", "Halk", "Rock")
SETTINGS = SpectrogramSettings(image_height=24, image_width=32)
COLORMAP = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
LEAD_SECONDS = 0.25

KEPT = Path(__file__).parents[2] / "benchmarks" / "reports" / "inception_resnet_v2_224.json"
SAMPLE_CASES = ("reference", "keras-predict", "tflite-float32", "tflite-int8", "onnx-int8")


@dataclass(frozen=True)
class Benched:
    """The result of ``tmgc-bench`` on a run."""

    run: Run
    exit_code: int
    stdout: str
    stderr: str
    report: Report
    markdown: str
    html: str


@pytest.fixture(scope="session")
def kept() -> Report:
    """The report of a whole benchmark that the repository keeps."""
    return Report.read(KEPT)


@pytest.fixture(scope="session")
def report(kept: Report) -> Report:
    """Five cases of it with two threads, and one that failed."""
    return replace(
        kept,
        method=replace(kept.method, threads=(2,)),
        cases=tuple(case for case in kept.with_threads(2) if case.name in SAMPLE_CASES),
        failures=(CaseFailure("tflite-dynamic", 2, "runs/full/exports/full.dynamic.tflite", "its process ended"),),
        speedups=tuple(each for each in kept.speedups if each.threads == 2 and each.case in SAMPLE_CASES),
    )


@pytest.fixture(scope="session")
def tiny_card() -> ModelCard:
    return ModelCard(name="tiny", genres=GENRES, spectrogram=SETTINGS, colormap=tuple(map(tuple, COLORMAP.tolist())))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_card: ModelCard) -> Run:
    """A run with test clips, three exports that work, one that does not, one that failed parity; no ``model.keras``."""
    run = _run_with_clips(tmp_path_factory.mktemp("runs") / "tiny", tiny_card)
    packaged = read_card(SMALL_MODEL)
    with zipfile.ZipFile(SMALL_MODEL) as archive:
        graph = SMALL_MODEL.read_bytes()[: min(entry.header_offset for entry in archive.infolist())]
    for recipe in ("float32", "dynamic"):
        write_tflite(run.exports / f"tiny.{recipe}.tflite", graph, packaged, recipe)
    write_onnx(run.exports / "tiny.float32.onnx", tiny_card, "float32")
    _write_broken_exports(run, tiny_card)
    return run


@pytest.fixture(scope="session")
def keras_run(tmp_path_factory: pytest.TempPathFactory, tiny_card: ModelCard) -> Run:
    """The same with a tiny Keras network, and TFLite files that were converted from it."""
    run = _run_with_clips(tmp_path_factory.mktemp("runs") / "tiny", tiny_card)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the converters warn about is not tested here
        _write_keras_models(run, tiny_card)
    write_onnx(run.exports / "tiny.float32.onnx", tiny_card, "float32")
    _write_broken_exports(run, tiny_card)
    return run


@pytest.fixture
def light_run(tmp_path: Path, tiny_run: Run) -> Run:
    """A copy of the tiny run that a test may change."""
    shutil.copytree(tiny_run.folder, tmp_path / "tiny")
    return Run(tmp_path / "tiny")


@pytest.fixture(scope="session")
def bench() -> Callable[..., Any]:
    """``tmgc-bench`` with these arguments."""
    from benchmarks.cli import main

    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def benched(tiny_run: Run, bench: Callable[..., Any]) -> Benched:
    """The exports of the tiny run, measured once for all tests."""
    return _measure(tiny_run, bench, only="tflite,onnx")


@pytest.fixture(scope="session")
def benched_with_keras(keras_run: Run, bench: Callable[..., Any]) -> Benched:
    """Cases of every kind, measured once for all tests."""
    return _measure(keras_run, bench, only="reference,keras,tflite,onnx")


def _measure(run: Run, bench: Callable[..., Any], *, only: str) -> Benched:
    result = bench(run.folder, "--quick", "--only", only, "--runs", 12, "--threads", 1)
    report = Report.read(run.bench / "bench.json")
    markdown, html = ((run.bench / name).read_text("utf-8") for name in ("bench.md", "report.html"))
    return Benched(run, result.exit_code, result.stdout, result.stderr, report, markdown, html)


def _run_with_clips(folder: Path, card: ModelCard) -> Run:
    run = Run(folder)
    run.exports.mkdir(parents=True)
    run.clips.mkdir()
    run.card_json.write_text(card.to_json(), "utf-8")
    _write_clips(run)
    return run


def _write_broken_exports(run: Run, card: ModelCard) -> None:
    write_tflite(run.exports / "tiny.int8.tflite", b"\x1c\0\0\0TFL3" + bytes(1000), card, "int8")
    (run.exports / "tiny.int8.FAILED.onnx").write_bytes(b"")


def noise(seconds: float, *, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * SETTINGS.sample_rate)).astype(np.float32)


def _write_clips(run: Run) -> None:
    clips = []
    for number, genre in enumerate(GENRES * 2):
        split = "test" if number < 5 else "train"
        clip = Clip(f"clip{number}", f"song{number}", genre, split, 60.0, LEAD_SECONDS, -20.0, f"song{number}")
        soundfile.write(clip.audio_path(run), noise(2.5, seed=number), SETTINGS.sample_rate)
        clips.append(clip)
    dataset = Dataset(run, GENRES, SETTINGS, COLORMAP, True, tuple(clips))
    write_dataset(dataset)


def _write_keras_models(run: Run, card: ModelCard) -> None:
    import keras
    import tensorflow

    keras.utils.set_random_seed(0)
    image = keras.Input((SETTINGS.image_height, SETTINGS.image_width, 3), dtype="uint8", name="image")
    pixels = keras.layers.Rescaling(1 / 127.5, -1.0)(image)
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, strides=4, activation="relu")(pixels))
    network = keras.Model(image, keras.layers.Dense(len(GENRES), activation="softmax")(features))
    network.save(run.model)
    saved = run.folder / "saved"
    network.export(saved, verbose=False)
    for recipe, optimizations in (("float32", []), ("dynamic", [tensorflow.lite.Optimize.DEFAULT])):
        converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = optimizations
        write_tflite(run.exports / f"tiny.{recipe}.tflite", converter.convert(), card, recipe)
    shutil.rmtree(saved)


def write_tflite(path: Path, model: bytes, card: ModelCard, recipe: str) -> None:
    """A TFLite file with the card of an export."""
    path.write_bytes(model)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD_ENTRY, replace(card, export={"format": "tflite", "recipe": recipe}).to_json())


def write_onnx(path: Path, card: ModelCard, recipe: str) -> None:
    """The mean over the pixels, then one layer, with the card of an export."""
    import onnx
    from onnx import TensorProto, helper

    weights = np.random.default_rng(0).normal(size=(3, len(GENRES))).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["genres"]),
    ]
    shape = (1, SETTINGS.image_height, SETTINGS.image_width, 3)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("genres", TensorProto.FLOAT, (1, len(GENRES)))],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: replace(card, export={"format": "onnx", "recipe": recipe}).to_json()})
    onnx.save(model, path)

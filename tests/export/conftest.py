"""A tiny trained run, exported once for all the tests that look at the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.interpreters import ModelInput
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import Spectrogram, SpectrogramSettings
from export import tflite
from export.calibration import calibration_clips, calibration_inputs
from export.exporter import ConversionCache, ExportSettings, export_model
from export.frontend import KerasModel
from export.parity import ParityInputs, ParityReport, Probabilities
from export.parity_reference import ParityReference, collect_reference
from export.recipes import FLOAT16, FORMATS, GraphOptions
from export.sources import open_run
from train.dataset.dataset import Clip, Dataset, read_dataset, write_dataset
from train.libraries import silence
from train.run import SPLITS, Run

SETTINGS = SpectrogramSettings(
    sample_rate=8000, window_seconds=0.5, n_fft=256, hop_length=128, n_mels=32, image_height=32, image_width=32
)
GENRES = ("Halk", "Klasik", "Rap", "Rock")
SONGS = {"train": 24, "validation": 12, "test": 12}
"""Songs of each genre; a song is one clip."""
MARGIN_SECONDS = 0.8

NAMES = [f"tiny.{recipe.name}{format_.suffix}" for format_ in FORMATS.values() for recipe in format_.recipes]
"""Files of the tiny run's export."""

Reports = dict[str, dict[str, Any]]
"""By file name."""


def _waveform(genre: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A chord in noise, whose register depends on the genre."""
    seconds = np.arange(round((0.5 + 2 * MARGIN_SECONDS) * SETTINGS.sample_rate)) / SETTINGS.sample_rate
    lowest = 180.0 * 2.1**genre * rng.uniform(0.9, 1.1)
    tones = [np.sin(2 * np.pi * (lowest * step * seconds + rng.uniform())) for step in (1.0, 1.19, 1.5)]
    beat = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(2.0, 5.0) * seconds)
    samples = 0.15 * beat * sum(tones) + rng.normal(0.0, 0.04, len(seconds))
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def _write_clips(run: Run, colormap: NDArray[np.uint8]) -> list[Clip]:
    import soundfile
    from PIL import Image

    spectrogram, rng, clips = Spectrogram(SETTINGS, colormap), np.random.default_rng(7), []
    run.clips.mkdir(parents=True)
    for split in SPLITS:
        for index, genre in enumerate(GENRES):
            for number in range(SONGS[split]):
                name = f"{genre.lower()}_{split}_{number:02d}"
                clip = Clip(
                    name, f"{genre}/{name}.wav", genre, split, 0.0, MARGIN_SECONDS, -15.0, f"{genre}/{name}.wav"
                )
                samples = _waveform(index, rng)
                soundfile.write(clip.audio_path(run), samples, SETTINGS.sample_rate)
                start = round(MARGIN_SECONDS * SETTINGS.sample_rate)
                clip.image_path(run).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(spectrogram.index_image(samples[start : start + SETTINGS.window_samples])).save(
                    clip.image_path(run)
                )
                clips.append(clip)
    return clips


def _network(keras: Any) -> Any:
    layers = keras.layers
    inputs = hidden = keras.Input((32, 32, 3))
    for filters in (16, 32):
        hidden = layers.Conv2D(filters, 3, use_bias=False, padding="same")(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(hidden))
        beside = layers.Conv2D(filters, 1, padding="same")(hidden)
        hidden = layers.MaxPooling2D(4)(layers.Concatenate()([hidden, beside]))
    backbone = keras.Model(inputs, layers.GlobalAveragePooling2D()(hidden), name="backbone")
    pixels = keras.Input((32, 32, 3), dtype="uint8", name="image")
    features = layers.Dropout(0.1)(backbone(layers.Rescaling(1 / 127.5, -1)(pixels)))
    hidden = layers.Dense(32, activation="relu")(features)
    return keras.Model(pixels, layers.Dense(len(GENRES), activation="softmax", dtype="float32")(hidden))


def _train(run: Run, dataset: Dataset) -> None:
    with silence():
        import keras

        keras.utils.set_random_seed(1)
        clips = dataset.of("train")
        spectrogram = Spectrogram(SETTINGS, dataset.colormap)
        windows = list(dataset.windows(clips, hop_seconds=0.25))
        images = np.stack([spectrogram.image(samples) for _, samples in windows])
        model = _network(keras)
        model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
        model.fit(images, dataset.labels([clip for clip, _ in windows]), epochs=6, batch_size=32, verbose=0)
        model.save(run.model)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of four genres with a network of seven layers. Do not write into it."""
    from matplotlib import colormaps

    run = Run(tmp_path_factory.mktemp("runs") / "tiny")
    colormap = (colormaps["magma"](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    clips = tuple(_write_clips(run, colormap))
    dataset = Dataset(run, GENRES, SETTINGS, colormap, demonstration=True, clips=clips)
    write_dataset(dataset)
    _train(run, dataset)
    trained_on = {"dataset_sha256": dataset.fingerprint()}
    triples = tuple((int(red), int(green), int(blue)) for red, green, blue in colormap)
    card = ModelCard(
        "tiny",
        GENRES,
        SETTINGS,
        triples,
        demonstration=True,
        threshold=0.1,
        training=trained_on,
        versions={"python": "3"},
    )
    run.card_json.write_text(card.to_json(), "utf-8")
    return run


@pytest.fixture(scope="session")
def exports(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """The reports of every format and recipe."""
    settings = ExportSettings(
        tuple(FORMATS.values()), ("all",), tmp_path_factory.mktemp("exports"), calibration_clips=40
    )
    with open_run(tiny_run) as source:
        reports = export_model(source, settings)
    return {Path(report["file"]).name: report for report in reports}


@dataclass(frozen=True)
class ParityKit:
    """What a test needs to make a file of its own and compare it with Keras."""

    dataset: Dataset
    card: ModelCard
    reference: ParityReference
    calibration: ModelInput
    cache: ConversionCache

    @property
    def inputs(self) -> ParityInputs:
        return self.reference.inputs

    @property
    def keras(self) -> Probabilities:
        return self.reference.keras

    def report(self, file: Path, recipe: str) -> ParityReport:
        """Parity of any file."""
        return self.reference.report(file, self.card, recipe=recipe, input_kind=self.card.input_kind, threads=1)


def _parity_kit(run: Run, folder: Path, input_kind: str) -> ParityKit:
    dataset, card = read_dataset(run), run.card().replace(input_kind=input_kind)
    with silence():
        model = KerasModel(run.model)
        reference = collect_reference(model, dataset, "test", input_kind=input_kind)
        model.save(folder / "saved_model", card)
    calibration = calibration_inputs(dataset, calibration_clips(dataset, 40), input_kind=input_kind)
    options = GraphOptions(input_kind=input_kind, batch="1" if input_kind == "waveform" else "dynamic")
    cache = ConversionCache(folder, folder / "saved_model", calibration, options)
    return ParityKit(dataset, card, reference, calibration, cache)


@pytest.fixture(scope="session")
def image_kit(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> ParityKit:
    """The tiny network, with image input."""
    return _parity_kit(tiny_run, tmp_path_factory.mktemp("image"), "image")


@pytest.fixture(scope="session")
def waveform_kit(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> ParityKit:
    """The tiny network, with waveform input."""
    return _parity_kit(tiny_run, tmp_path_factory.mktemp("waveform"), "waveform")


@pytest.fixture(scope="session")
def large_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float16 file of 6 MB: the quantiser leaves the buffers of such files behind the flatbuffer."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    with silence():
        import tensorflow

        inner = rng.normal(0, 0.02, (32 * 32 * 3, 1000)).astype(np.float32)
        outer = rng.normal(0, 0.02, (1000, 4)).astype(np.float32)

        def network(image: Any) -> Any:
            pixels = tensorflow.reshape(tensorflow.cast(image, tensorflow.float32) / 255.0, (1, -1))
            return tensorflow.nn.softmax(tensorflow.nn.relu(pixels @ inner) @ outer)

        signature = [tensorflow.TensorSpec((1, 32, 32, 3), tensorflow.uint8, name="image")]
        traced = tensorflow.function(network, input_signature=signature).get_concrete_function()
        converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([traced])
        (folder / "float.tflite").write_bytes(converter.convert())
        tflite.quantize(folder / "float.tflite", FLOAT16, np.zeros(0, np.uint8), folder / "float16.tflite")
    return folder / "float16.tflite"


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Run], Run]:
    """Makes a run of the same files in another folder, which a test may write into."""

    def copied(run: Run) -> Run:
        copy = replace(run, folder=tmp_path / "copy")
        copy.folder.mkdir()
        for path in run.folder.iterdir():
            if path != run.parity_json:  # what other tests have exported is no part of it
                (copy.folder / path.name).symlink_to(path)
        return copy

    return copied

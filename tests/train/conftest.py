"""A small trained run: tones of ten genres in small images, and a network of one layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import soundfile

from edge_runtime.errors import TmgcError
from edge_runtime.model_card import ModelCard
from edge_runtime.spectrogram import SpectrogramSettings
from tests.conftest import tone
from train.dataset import DatasetConfig, prepare
from train.dataset.dataset import Dataset, read_dataset
from train.demo_corpus import GENRES, MARKER
from train.evaluation.evaluate import evaluate
from train.evaluation.results import Evaluation
from train.libraries import silence
from train.progress import Reporter
from train.run import Run

RATE = 16_000

HISTORY = """phase,epoch,accuracy,loss,val_accuracy,val_loss,seconds,learning_rate
head,1,0.3,2.1,0.2,2.2,1.0,0.001
head,2,0.5,1.6,0.4,1.9,1.0,
fine-tuning,1,0.7,1.0,0.5,,1.0,0.0001
"""


def _write_songs(folder: Path) -> None:
    """Six songs of each genre: tones in noise, so near to those of other genres that a network makes errors."""
    rng = np.random.default_rng(0)
    for number, genre in enumerate(GENRES):
        (folder / genre).mkdir(parents=True)
        for song in range(6):
            sound = tone(2.5, sample_rate=RATE, hz=200.0 * 1.4 ** (number + rng.uniform(-0.8, 0.8)), level=0.2)
            soundfile.write(folder / genre / f"{song}.flac", sound + rng.normal(0.0, 0.1, len(sound)), RATE)
    (folder / MARKER).touch()


def _train(dataset: Dataset) -> None:
    import keras

    keras.utils.set_random_seed(1)
    settings = dataset.spectrogram
    network = keras.Sequential(
        [
            keras.Input((settings.image_height, settings.image_width, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 127.5, -1),
            keras.layers.Flatten(),
            keras.layers.Dense(len(dataset.genres), activation="softmax"),
        ]
    )
    network.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    clips = dataset.of("train")
    network.fit(dataset.images(clips), dataset.labels(clips), epochs=15, batch_size=8, verbose=0)
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([4 * kernel, 4 * bias])  # overconfident, so that its calibration needs a temperature
    network.save(dataset.run.model)


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A trained run of ten genres that has not been evaluated. Do not write into it."""
    folder = tmp_path_factory.mktemp("small")
    _write_songs(folder / "songs")
    settings = DatasetConfig(
        offsets_seconds=(0.0, 1.2),
        spectrogram=SpectrogramSettings(sample_rate=RATE, window_seconds=1.0, image_height=32, image_width=24),
        split_ratios=(0.5, 0.25, 0.25),
    )
    dataset, _ = prepare(folder / "songs", Run(folder / "small"), settings, workers=1)
    with silence():
        _train(dataset)
    colormap = tuple((int(red), int(green), int(blue)) for red, green, blue in dataset.colormap)
    card = ModelCard(
        "small",
        dataset.genres,
        dataset.spectrogram,
        colormap,
        demonstration=True,
        training={"dataset_sha256": dataset.fingerprint()},
    )
    dataset.run.card_json.write_text(card.to_json(), "utf-8")
    dataset.run.history_csv.write_text(HISTORY, "utf-8")
    return dataset


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Dataset], Dataset]:
    """Copies a run into a folder that the test may write into."""

    def copied(dataset: Dataset) -> Dataset:
        return read_dataset(Run(Path(copytree(dataset.run.folder, tmp_path / "copy"))))

    return copied


@pytest.fixture(scope="session")
def evaluated(
    small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Dataset, Evaluation, Sequence[str]]:
    """The run evaluated on its test split, and the phases in which the run was locked. Do not write into it."""
    folder = tmp_path_factory.mktemp("evaluated") / "small"
    dataset = read_dataset(Run(Path(copytree(small_dataset.run.folder, folder))))
    locked: list[str] = []

    class OtherCommand(Reporter):
        def phase(self, name: str, steps: int) -> None:
            with pytest.raises(TmgcError, match="one command at a time changes a run"), dataset.run.lock():
                pass
            locked.append(name)

    return dataset, evaluate(dataset, "test", reporter=OtherCommand()), locked

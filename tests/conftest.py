"""What all tests share: folders of real sound where there are any, and small files made on the spot."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import ModelCard, SpectrogramSettings
from train.run import Run

MUSIC = Path(os.environ.get("TMGC_MUSIC", Path(__file__).parents[2] / "shared" / "music"))
"""Optional folder of real music; tests that need it are skipped where it is missing."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Under ``--dist loadgroup`` a file's tests share a worker, and so do all of the whole network, trained once."""
    item.add_marker(pytest.mark.xdist_group(TRAINED if _is_of_the_trained_run(item) else item.path.name))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: not _is_of_the_trained_run(item))


TRAINED = "trained_run"
"""The fixture that trains the whole network."""


def _is_of_the_trained_run(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
    return TRAINED in getattr(item, "fixturenames", ()) or any(value == TRAINED for value in map(str, parameters))


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    """Python waits at its end for threads that are no daemons: one that never ends would hold up the whole run."""
    before = set(threading.enumerate())
    yield
    until(lambda: not [thread for thread in set(threading.enumerate()) - before if not thread.daemon])


@pytest.fixture(scope="session")
def recordings() -> list[Path]:
    """Real recordings of many formats, rates and channel counts."""
    found = sorted(path for path in (MUSIC / "recordings").glob("*") if path.suffix in (".ogg", ".mp3", ".wav"))
    if not found:
        pytest.skip(f"no recordings in {MUSIC}: set TMGC_MUSIC to a folder that holds some")
    return found


@pytest.fixture(scope="session")
def labelled_music() -> Path:
    """A folder of real, labelled music: ``<genre>/<song>``."""
    folder = MUSIC / "gtzan_short"
    if not folder.is_dir():
        pytest.skip(f"no labelled music in {MUSIC}: set TMGC_MUSIC to a folder that holds gtzan_short")
    return folder


@pytest.fixture(scope="session")
def colormap() -> NDArray[np.uint8]:
    """A colormap whose colours are all different."""
    grey = np.arange(256, dtype=np.uint8)
    return np.stack([grey, grey[::-1], (grey * 7).astype(np.uint8)], axis=1)


@pytest.fixture(scope="session")
def card(colormap: NDArray[np.uint8]) -> ModelCard:
    """The card of a model of three genres with small pictures."""
    return ModelCard(
        name="tiny",
        genres=("Halk", "Caz", "Rock"),
        spectrogram=SpectrogramSettings(sample_rate=22_050, image_height=32, image_width=48),
        colormap=tuple(map(tuple, colormap.tolist())),
        export={"format": "tflite", "recipe": "float32"},
    )


def tone(seconds: float, *, sample_rate: int, hz: float = 440.0, level: float = 0.5) -> NDArray[np.float32]:
    """A sine, ``[shape=(round(seconds * sample_rate),)], float32``."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (level * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def until(what: Callable[[], object]) -> None:
    """Wait for what another thread or process does."""
    for _ in range(1000):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen in 20 s")


TRAINED_EPOCHS = 9
"""Of fine-tuning: after 6, a song or so is near enough to the edge for 8 bits to push it over."""


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The whole InceptionResNetV2, trained for minutes on the demonstration corpus: for tests marked ``full`` only."""
    from train.dataset import DatasetConfig, prepare
    from train.demo_corpus import write_demo_corpus
    from train.evaluation.evaluate import evaluate
    from train.progress import Reporter
    from train.training import Augmentation, TrainingConfig, fit

    folder = tmp_path_factory.mktemp("trained")
    write_demo_corpus(folder / "songs", songs_per_genre=20)
    settings = DatasetConfig(
        offsets_seconds=(0.5, 3.0, 5.5),
        spectrogram=SpectrogramSettings(image_height=75, image_width=75),  # the smallest that the network takes
        split_ratios=(0.75, 0.1, 0.15),  # more songs to compare on than a user would keep back
    )
    dataset, _ = prepare(folder / "songs", Run(folder / "trained"), settings)
    short = TrainingConfig(
        weights="none",
        head_epochs=10,
        epochs=TRAINED_EPOCHS,
        learning_rate=3e-4,
        batch_normalization="frozen",  # a step takes half the time, and an easy dataset is learned all the same
        augmentation=Augmentation.only(()),
    )
    fit(dataset, short, Reporter())
    evaluate(dataset, "test")
    return dataset.run

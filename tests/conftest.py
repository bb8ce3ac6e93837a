"""What all tests share: folders of real sound where there are any, and small files made on the spot."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import ModelCard, SpectrogramSettings
from train.run import Run

MUSIC = Path(os.environ.get("TMGC_MUSIC", Path(__file__).parents[2] / "shared" / "music"))
"""Optional folder of real music; tests that need it are skipped where it is missing."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that needs the whole trained network most, and end with the others that need it.

    pytest-xdist gives a worker a file: one trains meanwhile, and the other has something to do.
    """
    needing = Counter(item.path for item in items if "trained_run" in _fixtures_of(item))
    first = max(needing, key=needing.__getitem__, default=None)
    items.sort(key=lambda item: 0 if item.path == first else 2 if item.path in needing else 1)


def _fixtures_of(item: pytest.Item) -> set[str]:
    parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
    return {*getattr(item, "fixturenames", ()), *(value for value in parameters if isinstance(value, str))}


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what is remembered of engines, also by the processes that tests start."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


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
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end, "it did not happen in 120 s"
        time.sleep(0.02)


@contextmanager
def mounted_tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A new file system in memory on a folder that is made; ``size`` as ``mount`` takes it, such as ``500k``."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("only root mounts a file system")
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


TRAINED_EPOCHS = 8
"""Of fine-tuning: after fewer, a song or so is near enough to the edge for 8 bits to push it over."""


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Run:
    """The whole InceptionResNetV2, trained for minutes on the demonstration corpus: for tests marked ``full`` only.

    All workers of pytest-xdist share it: whoever comes first trains it.
    """
    with shared_folder("trained", tmp_path_factory, request.config) as folder:
        run = Run(folder / "trained")
        if not run.evaluation_json("test").is_file():
            _train(folder / "songs", run)
    return run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """This distribution as a wheel, built once: pip builds in the project's folder, where two would meet."""
    with shared_folder("wheel", tmp_path_factory, request.config) as folder:
        if not list(folder.glob("tmgc-*.whl")):
            options = ["--quiet", "--no-deps", "--wheel-dir", str(folder), str(Path(__file__).parents[1])]
            subprocess.run([sys.executable, "-m", "pip", "wheel", *options], check=True)
    (built,) = folder.glob("tmgc-*.whl")
    return built


@contextmanager
def shared_folder(name: str, factory: pytest.TempPathFactory, config: pytest.Config) -> Iterator[Path]:
    """A folder that all workers of pytest-xdist share, locked for one of them meanwhile."""
    base = factory.getbasetemp()
    folder = (base.parent if hasattr(config, "workerinput") else base) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _train(songs: Path, run: Run) -> None:
    from train.dataset import DatasetConfig, prepare
    from train.demo_corpus import write_demo_corpus
    from train.evaluation.evaluate import evaluate
    from train.training import Augmentation, TrainingConfig, fit

    write_demo_corpus(songs, songs_per_genre=30)
    settings = DatasetConfig(
        offsets_seconds=(1.0, 5.0),
        spectrogram=SpectrogramSettings(image_height=75, image_width=75),  # the smallest that the network takes
        split_ratios=(0.75, 0.1, 0.15),  # more songs to compare on than a user would keep back
    )
    dataset, _ = prepare(songs, run, settings)
    short = TrainingConfig(
        weights="none",
        head_epochs=8,
        epochs=TRAINED_EPOCHS,
        batch_size=16,
        learning_rate=3e-4,
        batch_normalization="frozen",  # a step takes half the time, and an easy dataset is learned all the same
        augmentation=Augmentation.only(("negatives",)),
    )
    fit(dataset, short)
    evaluate(dataset, "test")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have counted; a worker of pytest-xdist has no terminal."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "counts":
                    terminalreporter.write_line(str(value))

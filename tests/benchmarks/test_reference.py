from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.inputs import Excerpt
from benchmarks.reference import OriginalPipeline, original_decibels

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:audioread")

MAGMA_DARKEST = (0, 0, 4)
MAGMA_BRIGHTEST = (252, 253, 191)


class Network:
    """What the original needs of a network."""

    input_shape = (None, 96, 128, 3)

    def __init__(self) -> None:
        self.pictures: list[np.ndarray[Any, Any]] = []

    def predict(self, pictures: np.ndarray[Any, Any], *, verbose: int) -> np.ndarray[Any, Any]:
        self.pictures.append(pictures)
        return np.array([[0.1, 0.7, 0.2]], np.float32)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr("benchmarks.reference.load_network", lambda model, threads: (network, "a network"))
    return network


def tone(path: Path) -> Path:
    time = np.arange(3 * 44_100) / 44_100
    soundfile.write(path, (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), 44_100)
    return path


def test_sound_is_read_at_librosas_default_rate(network: Network, tmp_path: Path) -> None:
    samples = OriginalPipeline(tmp_path, threads=1).read(Excerpt(tone(tmp_path / "tone.wav"), 0.5))
    assert samples.shape == (2 * 22_050,)
    assert samples.dtype == np.float32


def test_the_network_gets_a_coloured_figure_with_white_margins_at_its_size(network: Network, tmp_path: Path) -> None:
    pipeline = OriginalPipeline(tmp_path, threads=1)
    answered = pipeline.prediction(pipeline.read(Excerpt(tone(tmp_path / "tone.wav"), 0.0)))
    picture = network.pictures[0][0]
    assert picture.shape == (96, 128, 3)
    assert picture.dtype == np.uint8
    assert picture[0].min() == 255
    colours = set(map(tuple, picture[20:76, 30:100].reshape(-1, 3).tolist()))
    assert {MAGMA_DARKEST, MAGMA_BRIGHTEST} <= colours
    assert answered.genre == 1
    assert list(answered.stages_ms) == ["spectrogram", "figure", "resize", "model", "decision"]


def test_its_power_is_squared_twice_so_that_it_hears_40_decibels_where_it_says_80(
    network: Network, tmp_path: Path
) -> None:
    import librosa

    pipeline = OriginalPipeline(tmp_path, threads=1)
    samples = pipeline.read(Excerpt(tone(tmp_path / "tone.wav"), 0.0))
    power = librosa.feature.melspectrogram(y=samples, sr=44_100, n_fft=512, hop_length=256, n_mels=64)
    once = librosa.power_to_db(power, ref=np.max, top_db=40.0, amin=1e-20)
    np.testing.assert_allclose(original_decibels(samples), 2 * once, atol=0.05)


def test_no_figure_is_left_open(network: Network, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    pipeline = OriginalPipeline(tmp_path, threads=1)
    pipeline.prediction(np.zeros(44_100, np.float32))
    assert plt.get_fignums() == []

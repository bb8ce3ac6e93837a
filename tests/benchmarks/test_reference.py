from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.inputs import Excerpt
from benchmarks.reference import ReferencePipeline, reference_decibels

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:audioread")

MAGMA_DARKEST = (0, 0, 4)
MAGMA_BRIGHTEST = (252, 253, 191)


class Network:
    """What the reference needs of a network."""

    input_shape = (None, 96, 128, 3)

    def __init__(self) -> None:
        self.images: list[np.ndarray[Any, Any]] = []

    def predict(self, images: np.ndarray[Any, Any], *, verbose: int) -> np.ndarray[Any, Any]:
        self.images.append(images)
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


def test_audio_is_read_at_librosas_default_rate(network: Network, tmp_path: Path) -> None:
    samples = ReferencePipeline(tmp_path, threads=1).read(Excerpt(tone(tmp_path / "tone.wav"), 0.5))
    assert samples.shape == (2 * 22_050,)
    assert samples.dtype == np.float32


def test_a_network_of_one_channel_gets_the_luminance_of_the_figure(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "input_shape", (None, 96, 128, 1))
    pipeline = ReferencePipeline(tmp_path, threads=1)
    pipeline.predict(pipeline.read(Excerpt(tone(tmp_path / "tone.wav"), 0.0)))
    image = network.images[0][0]
    assert image.shape == (96, 128, 1)
    assert image.dtype == np.uint8
    assert image[0].min() == 255
    assert image[20:76, 30:100].min() < 5


def test_the_network_gets_a_coloured_figure_with_white_margins_at_its_size(network: Network, tmp_path: Path) -> None:
    pipeline = ReferencePipeline(tmp_path, threads=1)
    prediction = pipeline.predict(pipeline.read(Excerpt(tone(tmp_path / "tone.wav"), 0.0)))
    image = network.images[0][0]
    assert image.shape == (96, 128, 3)
    assert image.dtype == np.uint8
    assert image[0].min() == 255
    colours = set(map(tuple, image[20:76, 30:100].reshape(-1, 3).tolist()))
    assert {MAGMA_DARKEST, MAGMA_BRIGHTEST} <= colours
    assert prediction.class_index == 1
    assert list(prediction.stages_ms) == ["spectrogram", "figure", "resize", "model", "decision"]


def test_its_power_is_squared_twice_so_that_its_range_is_40_decibels_and_not_80(
    network: Network, tmp_path: Path
) -> None:
    import librosa

    pipeline = ReferencePipeline(tmp_path, threads=1)
    samples = pipeline.read(Excerpt(tone(tmp_path / "tone.wav"), 0.0))
    power = librosa.feature.melspectrogram(y=samples, sr=44_100, n_fft=512, hop_length=256, n_mels=64)
    once = librosa.power_to_db(power, ref=np.max, top_db=40.0, amin=1e-20)
    np.testing.assert_allclose(reference_decibels(samples), 2 * once, atol=0.05)


def test_no_figure_is_left_open(network: Network, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    pipeline = ReferencePipeline(tmp_path, threads=1)
    pipeline.predict(np.zeros(44_100, np.float32))
    assert plt.get_fignums() == []

from pathlib import Path
from typing import Any

import pytest

from benchmarks.macs import macs_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution, a depthwise one, and a dense layer, whose MACs are known."""
    import keras
    import tensorflow

    layers: Any = keras.layers
    picture = keras.Input((8, 8, 2), batch_size=1)
    hidden = layers.Conv2D(5, 3, padding="same")(picture)
    hidden = layers.DepthwiseConv2D(3, strides=2, padding="same")(hidden)
    network = keras.Model(picture, layers.Dense(7)(layers.Flatten()(hidden)))
    path = tmp_path_factory.mktemp("macs") / "model.tflite"
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(network)
    path.write_bytes(converter.convert())
    return path


@pytest.mark.filterwarnings("ignore")
def test_convolutions_and_dense_layers_are_counted(model: Path) -> None:
    convolution, depthwise, dense = 8 * 8 * 5 * 3 * 3 * 2, 4 * 4 * 5 * 3 * 3, 4 * 4 * 5 * 7
    assert macs_of(model) == convolution + depthwise + dense

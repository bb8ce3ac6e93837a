"""Any backbone of keras.applications, with the pixels that it was made for."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from edge_runtime import TmgcError
from train.training.model import RECOMMENDED, find_architecture


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "MobileNetV3Small", "mobilenetv3small", "MOBILENET_V3_SMALL"])
def test_a_name_may_be_spelt_as_keras_does_or_in_lower_case(name: str) -> None:
    found = find_architecture(name)
    assert found.name == "mobilenet_v3_small"
    assert found.make is keras.applications.MobileNetV3Small


@pytest.mark.parametrize("name", RECOMMENDED)
def test_what_is_recommended_exists_under_its_own_name(name: str) -> None:
    assert find_architecture(name).name == name


@pytest.mark.parametrize(
    ("name", "module"), [("inception_resnet_v2", "inception_resnet_v2"), ("densenet121", "densenet")]
)
def test_pixels_become_what_keras_own_preprocessing_makes_of_them(name: str, module: str) -> None:
    found = find_architecture(name)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(pixels.copy())
    scaled = np.asarray(keras.layers.Rescaling(found.scale, found.offset)(pixels))
    np.testing.assert_allclose(scaled, expected, atol=1e-5)


def test_a_network_that_scales_inside_gets_the_pixels_as_they_are() -> None:
    found = find_architecture("mobilenet_v3_small")
    assert (found.scale, found.offset) == ((1, 1, 1), (0, 0, 0))


def test_a_typing_error_gets_the_nearest_name() -> None:
    with pytest.raises(TmgcError, match="did you mean efficientnet_v2_b0"):
        find_architecture("efficientnet_v2b00")
    with pytest.raises(TmgcError, match=r"keras\.applications, got transformer"):
        find_architecture("transformer")


def test_a_network_that_wants_blue_first_is_refused() -> None:
    with pytest.raises(TmgcError, match="BGR"):
        find_architecture("vgg16")

"""Backbones are found by their names, with the pixels, the widths and the weights that are theirs."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edge_runtime import TmgcError
from tests.factories import SIDE
from train.training.architectures import (
    RECOMMENDED,
    Architecture,
    _of_one_channel,
    check_weights,
    find_architecture,
    find_weights,
    register_architecture,
)


def test_a_registered_architecture_is_found_before_those_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.training.architectures._REGISTERED", {})
    mine = Architecture("mobilenet", keras.Sequential)
    register_architecture(mine)
    assert find_architecture("mobilenet") is mine
    with pytest.raises(TmgcError, match="--weights none"):
        check_weights(mine, "imagenet")


def test_initial_weights_may_be_a_run_and_are_the_pretrained_ones_unless_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").mkdir()
    (tmp_path / "model.keras").touch()
    known, unknown = (Architecture("mine", keras.Sequential, pretrained=name) for name in ("imagenet", None))
    assert find_weights(unknown, str(tmp_path)) == str(tmp_path / "model.keras")
    assert (find_weights(known, None), find_weights(known, "imagenet")) == ("imagenet", "imagenet")
    assert find_weights(unknown, None) == "none"


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "MobileNetV3Small", "mobilenetv3small", "MOBILENET_V3_SMALL"])
def test_a_name_may_be_spelt_as_keras_does_or_in_lower_case(name: str) -> None:
    found = find_architecture(name)
    assert found.name == "mobilenet_v3_small"
    assert found.make.args == (keras.applications.MobileNetV3Small,)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", RECOMMENDED)
def test_recommended_architectures_exist_under_their_own_names(name: str) -> None:
    assert find_architecture(name).name == name


@pytest.mark.parametrize(
    ("name", "module"), [("inception_resnet_v2", "inception_resnet_v2"), ("densenet121", "densenet")]
)
def test_pixels_are_scaled_as_by_keras_own_preprocessing(name: str, module: str) -> None:
    found = find_architecture(name)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(pixels.copy())
    scaled = np.asarray(keras.layers.Rescaling(found.scale, found.offset)(pixels))
    np.testing.assert_allclose(scaled, expected, atol=1e-5)


def test_a_network_that_rescales_inside_gets_unscaled_pixels() -> None:
    found = find_architecture("mobilenet_v3_small")
    assert (found.scale, found.offset) == ((1, 1, 1), (0, 0, 0))


def test_a_typing_error_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(TmgcError, match="did you mean efficientnet_v2_b0"):
        find_architecture("efficientnet_v2b00")
    with pytest.raises(TmgcError, match=r"keras\.applications, got transformer"):
        find_architecture("transformer")


def test_a_network_of_one_channel_answers_as_that_of_three_to_a_gray_image() -> None:
    found = find_architecture("mobilenet_v2")
    keras.utils.set_random_seed(0)
    rgb = found.make(input_shape=(SIDE, SIDE + 8, 3), weights=None)
    keras.utils.set_random_seed(0)
    gray = found.make(input_shape=(SIDE, SIDE + 8, 1), weights=None)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE + 8, 1)).astype(np.float32)
    answer = np.asarray(rgb(np.repeat(pixels, 3, axis=-1)))
    np.testing.assert_allclose(gray(pixels), answer, atol=1e-5 * np.abs(answer).max())
    assert rgb.count_params() - gray.count_params() == 2 * 3 * 3 * 32


def test_constants_that_scale_red_green_and_blue_are_averaged_for_one_channel() -> None:
    layers = keras.layers
    pixels = keras.Input((8, 8, 3))
    hidden = layers.Normalization(mean=(1.0, 2.0, 3.0), variance=(4.0, 4.0, 4.0))(layers.Rescaling((1, 2, 3))(pixels))
    gray = _of_one_channel(keras.Model(pixels, layers.Conv2D(2, 3)(hidden)))
    assert gray.input_shape == (None, 8, 8, 1)
    (rescaling,) = (layer for layer in gray.layers if isinstance(layer, layers.Rescaling))
    (normalization,) = (layer for layer in gray.layers if isinstance(layer, layers.Normalization))
    np.testing.assert_allclose(normalization(rescaling(np.full((1, 8, 8, 1), 5.0))), (5 * 2 - 2) / 2)


def test_a_network_that_expects_bgr_is_refused() -> None:
    with pytest.raises(TmgcError, match="BGR"):
        find_architecture("vgg16")


def test_the_pixels_of_efficientnet_lite0_are_scaled_as_it_was_trained() -> None:
    found = find_architecture("efficientnet_lite0")
    scaled = keras.layers.Rescaling(found.scale, found.offset)(np.array([[127, 255, 0]], np.float32))
    np.testing.assert_allclose(scaled, [[0, 1, -127 / 128]], atol=1e-6)


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite0"])
def test_a_narrower_network_has_fewer_weights(name: str) -> None:
    whole, half = (
        find_architecture(name, width=width).make(input_shape=(32, 32, 3), weights=None) for width in (1.0, 0.5)
    )
    assert half.count_params() < 0.5 * whole.count_params()


@pytest.mark.parametrize("name", ["inception_resnet_v2", "musicnn"])
def test_a_network_of_one_width_refuses_others(name: str) -> None:
    with pytest.raises(TmgcError, match=f"--width is for networks .*: {name} has one width. Leave it out"):
        find_architecture(name, width=0.5)


def test_a_narrower_efficientnet_lite0_begins_with_random_weights() -> None:
    half = find_architecture("efficientnet_lite0", width=0.5)
    assert find_weights(half, None) == "none"
    with pytest.raises(TmgcError, match=r"are not of efficientnet_lite0 with --width 0\.5: use --weights none"):
        check_weights(half, "imagenet")

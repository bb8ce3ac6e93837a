"""Backbones are found by name and built with the pixels, the head and the weights that they should have."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edge_runtime import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings
from tests.factories import SIDE, square, tiny_backbone
from train.training.architectures import Architecture, register_architecture
from train.training.model import (
    BACKBONE,
    FRONT_END,
    HEAD,
    batch_normalizations,
    build_network,
    calibrate_batch_normalization,
    feature_extractor,
    freeze,
)

SMALLEST_SIDE = 75
"""Pixels, of InceptionResNetV2."""


def build(weights: str = "none", n_genres: int = 10) -> keras.Model:
    return build_network("tiny", square(SIDE), n_genres=n_genres, weights=weights)


def build_whole(weights: str = "none") -> keras.Model:
    side = SMALLEST_SIDE
    return build_network("inception_resnet_v2", square(side), n_genres=10, weights=weights)


@pytest.fixture
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build()


@pytest.fixture(scope="module")
def whole_network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_whole()


def random_images(side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, side, side, 3), np.uint8)


def test_the_default_is_the_whole_inception_resnet_v2_with_a_head_of_two_dense_layers(
    whole_network: keras.Model,
) -> None:
    assert whole_network.get_layer(BACKBONE).count_params() == 54_336_736
    head = [type(layer).__name__ for layer in whole_network.get_layer(HEAD).layers]
    assert head == ["Dropout", "Dense", "Dropout", "Dense", "Dense"]
    assert [layer.units for layer in whole_network.get_layer(HEAD).layers if hasattr(layer, "units")] == [256, 128, 10]
    layers = batch_normalizations(whole_network)
    assert len(layers) == 204
    freeze(whole_network, unfreeze=1.0, batch_normalization=False)
    assert not any(layer.trainable_variables for layer in layers)
    assert len(whole_network.get_layer(BACKBONE).trainable_variables) > 204
    freeze(whole_network, unfreeze=1.0, batch_normalization=True)
    assert all(layer.trainable_variables for layer in layers)


def test_a_share_of_the_backbone_is_trainable_from_the_top(whole_network: keras.Model) -> None:
    freeze(whole_network, unfreeze=0.25, batch_normalization=True)
    trainable = [layer.trainable for layer in whole_network.get_layer(BACKBONE).layers if layer.weights]
    assert trainable == sorted(trainable)
    assert sum(trainable) / len(trainable) == pytest.approx(0.25, abs=0.01)
    assert whole_network.get_layer(HEAD).trainable_variables
    freeze(whole_network, unfreeze=1.0, batch_normalization=True)


def check_input_and_output(network: keras.Model, images: np.ndarray) -> None:
    assert network.input.dtype == "uint8"
    probabilities = np.asarray(network(images))
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (8, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    scaled = np.asarray(network.get_layer(FRONT_END)(np.array([[0, 255, 0]], np.uint8)))
    np.testing.assert_allclose(scaled, [[-1, 1, -1]], atol=1e-6)


def check_calibration(network: keras.Model, images: np.ndarray) -> None:
    calibrate_batch_normalization(network, images[:4], earlier_batches=0)
    calibrate_batch_normalization(network, images[4:], earlier_batches=1)
    first = batch_normalizations(network)[0]
    convolution = keras.Model(network.get_layer(BACKBONE).input, first.input)
    seen = np.asarray(convolution(np.asarray(network.get_layer(FRONT_END)(images)))).astype(np.float64)
    np.testing.assert_allclose(first.moving_mean, seen.mean(axis=(0, 1, 2)), atol=1e-4)
    halves = np.mean([half.var(axis=(0, 1, 2)) for half in (seen[:4], seen[4:])], axis=0)
    np.testing.assert_allclose(first.moving_variance, halves, rtol=1e-3)


def check_features(network: keras.Model, images: np.ndarray, width: int) -> None:
    features = feature_extractor(network)(images)
    assert features.shape == (8, width)
    np.testing.assert_allclose(network.get_layer(HEAD)(features), network(images), atol=1e-6)


def check_loaded(network: keras.Model, loaded: keras.Model, images: np.ndarray, part: str) -> None:
    np.testing.assert_array_equal(feature_extractor(loaded)(images), feature_extractor(network)(images))
    same_head = np.array_equal(np.asarray(loaded(images)), np.asarray(network(images)))
    assert same_head is (part == "network")


def test_it_takes_uint8_pixels_scales_them_and_returns_float32_probabilities(network: keras.Model) -> None:
    check_input_and_output(network, random_images())


def test_calibration_is_the_mean_over_all_batches(network: keras.Model) -> None:
    check_calibration(network, random_images())


def test_the_features_are_the_input_of_the_head(network: keras.Model) -> None:
    check_features(network, random_images(), 64)


@pytest.mark.parametrize("part", ["network", "backbone"])
def test_weights_of_a_file_are_loaded(part: str, network: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "kept.weights.h5"
    (network if part == "network" else network.get_layer(BACKBONE)).save_weights(path)
    check_loaded(network, build(str(path)), random_images(), part)


@pytest.mark.full
@pytest.mark.parametrize("part", ["network", "backbone"])
def test_all_of_this_holds_for_the_whole_inception_resnet_v2(
    part: str, whole_network: keras.Model, tmp_path: Path
) -> None:
    images = random_images(SMALLEST_SIDE)
    check_calibration(whole_network, images)
    check_input_and_output(whole_network, images)
    check_features(whole_network, images, 1536)
    path = tmp_path / "kept.weights.h5"
    (whole_network if part == "network" else whole_network.get_layer(BACKBONE)).save_weights(path)
    check_loaded(whole_network, build_whole(str(path)), images, part)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_v2_b0"])
def test_small_backbones_have_the_same_three_parts(name: str) -> None:
    small, images = (
        build_network(name, square(SIDE), n_genres=4, weights="none"),
        random_images(),
    )
    calibrate_batch_normalization(small, images)
    probabilities = np.asarray(small(images))
    assert probabilities.shape == (8, 4)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(small.get_layer(HEAD)(feature_extractor(small)(images)), probabilities, atol=1e-5)
    assert small.count_params() < 7_000_000


def test_pixels_of_one_channel_are_scaled_by_the_mean_over_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.training.architectures._REGISTERED", {})
    register_architecture(Architecture("uneven", tiny_backbone, scale=(1.0, 2.0, 3.0), offset=(0.0, 1.0, 5.0)))
    network = build_network("uneven", square(SIDE), n_genres=4, channels=1, weights="none")
    assert network.input_shape == (None, SIDE, SIDE, 1)
    np.testing.assert_allclose(network.get_layer(FRONT_END)(np.array([[0], [10]], np.uint8)), [[2], [22]])


def test_the_backbone_of_a_run_in_colour_is_refused_for_images_of_one_channel(tmp_path: Path) -> None:
    build().save(tmp_path / "model.keras")
    with pytest.raises(TmgcError, match="the same --colormap"):
        build_network("tiny", square(SIDE), n_genres=4, channels=1, weights=str(tmp_path / "model.keras"))


def test_the_reference_recipe_scales_its_pixels_to_0_to_1() -> None:
    small = build_network(
        "tiny",
        square(SIDE),
        n_genres=4,
        weights="none",
        rescale_to_unit=True,
    )
    np.testing.assert_allclose(small.get_layer(FRONT_END)(np.array([[0, 255]], np.uint8)), [[0, 1]], atol=1e-6)


def test_the_backbone_of_an_earlier_run_is_loaded_whatever_its_genres(tmp_path: Path) -> None:
    earlier = build(n_genres=10)
    earlier.save(tmp_path / "model.keras")
    later = build(str(tmp_path / "model.keras"), n_genres=4)
    for kept, same in zip(
        earlier.get_layer(BACKBONE).get_weights(), later.get_layer(BACKBONE).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(kept, same)
    (tmp_path / "damaged.keras").write_bytes(b"PK damaged")
    with pytest.raises(TmgcError, match="same architecture"):
        build(str(tmp_path / "damaged.keras"), n_genres=4)


def test_weights_that_are_missing_or_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="existing weights file"):
        build(str(tmp_path / "none.weights.h5"))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(TmgcError, match="must hold the weights"):
        build(str(tmp_path / "other.weights.h5"))


def test_pretrained_weights_of_a_width_that_keras_has_not_are_refused() -> None:
    with pytest.raises(TmgcError, match=r"exist for some widths only \(.*0\.35.*1\.4.*\): choose one as --width"):
        build_network("mobilenet_v2", square(SIDE), n_genres=4, width=0.4, weights="imagenet")


def test_images_that_are_too_small_are_refused() -> None:
    with pytest.raises(TmgcError, match="at least 75x75"):
        build_network(
            "inception_resnet_v2", SpectrogramSettings(image_height=64, image_width=96), n_genres=10, weights="none"
        )


def test_musicnn_takes_waveforms_of_any_level_and_its_parts_can_be_frozen() -> None:
    settings = SpectrogramSettings(sample_rate=16_000)
    network = build_network("musicnn", settings, n_genres=4, weights="none")
    assert network.input_shape == (None, 32_000)
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 32_000)).astype(np.float32)
    np.testing.assert_allclose(network(sound), network(sound / 50), atol=1e-4)
    assert feature_extractor(network)(sound).shape == (2, 400)
    freeze(network, unfreeze=0.0, batch_normalization=False)
    assert {variable.path.partition("/")[0] for variable in network.trainable_variables} == {"head"}
    assert not network.get_layer(FRONT_END).trainable_variables


def test_musicnn_hears_one_sample_rate_alone() -> None:
    with pytest.raises(TmgcError, match=r"hears 16000 Hz, the run has 44100 Hz: prepare it again with --sample-rate"):
        build_network("musicnn", SpectrogramSettings(), n_genres=4, weights="none")

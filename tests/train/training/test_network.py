"""The whole InceptionResNetV2 between the picture's scaling and the seed's head."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edge_runtime import TmgcError
from train.training.model import (
    BACKBONE,
    HEAD,
    SCALING,
    batch_normalizations,
    build_network,
    calibrate_batch_normalization,
    feature_extractor,
    freeze,
)

SIDE = 75


def build(weights: str = "none", n_genres: int = 10) -> keras.Model:
    return build_network("inception_resnet_v2", image_height=SIDE, image_width=SIDE, n_genres=n_genres, weights=weights)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build()


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8)


def test_it_is_the_network_at_its_full_depth_with_the_head_of_the_seed(network: keras.Model) -> None:
    whole = keras.applications.InceptionResNetV2(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    assert network.get_layer(BACKBONE).count_params() == whole.count_params() == 54_336_736
    head = [type(layer).__name__ for layer in network.get_layer(HEAD).layers]
    assert head == ["Dropout", "Dense", "Dropout", "Dense", "Dense"]
    assert [layer.units for layer in network.get_layer(HEAD).layers if hasattr(layer, "units")] == [256, 128, 10]


def test_it_takes_uint8_pixels_and_gives_float32_probabilities(network: keras.Model, pictures: np.ndarray) -> None:
    assert network.input.dtype == "uint8"
    probabilities = np.asarray(network(pictures))
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (8, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_pixels_are_scaled_to_minus_1_to_1_inside(network: keras.Model) -> None:
    scaled = np.asarray(network.get_layer(SCALING)(np.array([[0, 255, 0]], np.uint8)))
    np.testing.assert_allclose(scaled, [[-1, 1, -1]], atol=1e-6)


def test_calibration_is_the_mean_over_all_batches(network: keras.Model, pictures: np.ndarray) -> None:
    calibrate_batch_normalization(network, pictures[:4], earlier_batches=0)
    calibrate_batch_normalization(network, pictures[4:], earlier_batches=1)
    first = batch_normalizations(network)[0]
    backbone = network.get_layer(BACKBONE)
    convolution = keras.Model(backbone.input, first.input)
    seen = np.asarray(convolution(np.asarray(network.get_layer(SCALING)(pictures)))).astype(np.float64)
    np.testing.assert_allclose(first.moving_mean, seen.mean(axis=(0, 1, 2)), atol=1e-4)
    halves = np.mean([half.var(axis=(0, 1, 2)) for half in (seen[:4], seen[4:])], axis=0)
    np.testing.assert_allclose(first.moving_variance, halves, rtol=1e-3)


def test_batch_normalisation_can_be_kept_from_learning(network: keras.Model) -> None:
    layers = batch_normalizations(network)
    assert len(layers) == 204
    freeze(network, unfreeze=1.0, batch_normalization=False)
    assert not any(layer.trainable_variables for layer in layers)
    assert len(network.get_layer(BACKBONE).trainable_variables) > 204
    freeze(network, unfreeze=1.0, batch_normalization=True)
    assert all(layer.trainable_variables for layer in layers)


def test_a_share_of_the_backbone_learns_from_the_top(network: keras.Model) -> None:
    freeze(network, unfreeze=0.25, batch_normalization=True)
    learning = [layer.trainable for layer in network.get_layer(BACKBONE).layers if layer.weights]
    assert learning == sorted(learning)
    assert sum(learning) / len(learning) == pytest.approx(0.25, abs=0.01)
    assert network.get_layer(HEAD).trainable_variables
    freeze(network, unfreeze=1.0, batch_normalization=True)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_v2_b0"])
def test_small_backbones_have_the_same_three_parts(name: str, pictures: np.ndarray) -> None:
    small = build_network(name, image_height=SIDE, image_width=SIDE, n_genres=4, weights="none")
    calibrate_batch_normalization(small, pictures)
    probabilities = np.asarray(small(pictures))
    assert probabilities.shape == (8, 4)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(small.get_layer(HEAD)(feature_extractor(small)(pictures)), probabilities, atol=1e-5)
    assert small.count_params() < 7_000_000


def test_the_original_scales_its_pixels_to_0_to_1() -> None:
    small = build_network(
        "mobilenet", image_height=32, image_width=32, n_genres=4, weights="none", rescale_to_unit=True
    )
    np.testing.assert_allclose(small.get_layer(SCALING)(np.array([[0, 255]], np.uint8)), [[0, 1]], atol=1e-6)


def test_the_features_are_what_the_head_sees(network: keras.Model, pictures: np.ndarray) -> None:
    features = feature_extractor(network)(pictures)
    assert features.shape == (8, 1536)
    np.testing.assert_allclose(network.get_layer(HEAD)(features), network(pictures), atol=1e-6)


@pytest.mark.parametrize("part", ["network", "backbone"])
def test_weights_of_a_file_are_loaded(part: str, network: keras.Model, pictures: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "kept.weights.h5"
    (network if part == "network" else network.get_layer(BACKBONE)).save_weights(path)
    loaded = build(str(path))
    np.testing.assert_array_equal(feature_extractor(loaded)(pictures), feature_extractor(network)(pictures))
    same_head = np.array_equal(np.asarray(loaded(pictures)), np.asarray(network(pictures)))
    assert same_head is (part == "network")


def test_the_backbone_of_an_earlier_run_is_taken_whatever_its_genres(tmp_path: Path) -> None:
    def small(weights: str, n_genres: int) -> keras.Model:
        return build_network("mobilenet", image_height=32, image_width=32, n_genres=n_genres, weights=weights)

    earlier = small("none", 10)
    earlier.save(tmp_path / "model.keras")
    later = small(str(tmp_path / "model.keras"), 4)
    for kept, same in zip(
        earlier.get_layer(BACKBONE).get_weights(), later.get_layer(BACKBONE).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(kept, same)
    (tmp_path / "damaged.keras").write_bytes(b"PK damaged")
    with pytest.raises(TmgcError, match="same architecture"):
        small(str(tmp_path / "damaged.keras"), 4)


def test_weights_that_are_missing_or_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match="existing weights file"):
        build(str(tmp_path / "none.weights.h5"))
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(TmgcError, match="must hold the weights"):
        build(str(tmp_path / "other.weights.h5"))


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(TmgcError, match="at least 75x75"):
        build_network("inception_resnet_v2", image_height=64, image_width=96, n_genres=10, weights="none")

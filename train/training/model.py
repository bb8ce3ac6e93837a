"""The network: a front end, a backbone and the classification head.

The front end rescales pixels, or computes a spectrogram from the waveform. See :mod:`train.training.architectures` for
backbones.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line
from edge_runtime.spectrogram import SpectrogramSettings
from train.training.architectures import NAMED_WEIGHTS, PRETRAINED, Architecture, check_weights, find_architecture
from train.training.distillation import target_head

if TYPE_CHECKING:
    import keras

FRONT_END, BACKBONE, HEAD = "front_end", "backbone", "head"
"""Names of the network's three layers after its input, in their order."""


def build_network(
    architecture: str,
    settings: SpectrogramSettings,
    *,
    n_genres: int,
    width: float = 1.0,
    channels: int = 3,
    weights: str = "imagenet",
    rescale_to_unit: bool = False,
) -> keras.Model:
    """Build an untrained head on a backbone.

    Parameters
    ----------
    architecture : str
        See :func:`find_architecture`.
    settings : SpectrogramSettings
        Size of the images, or length of the waveform.
    n_genres : int >= 2
    width : float > 0
        See :func:`find_architecture`.
    channels : int
        Of the images, 1 or 3: as many as the colormap has.
    weights : str
        Initial weights: the name of the architecture's pre-trained ones, ``none`` (random), or the path of a file with
        the weights of the backbone, with those of a network that this function built, or of an earlier run's
        ``model.keras``, whose backbone is used.
    rescale_to_unit : bool
        Rescale pixels to [0, 1], as the reference recipe does, instead of the range of the architecture.

    Returns
    -------
    network : keras.Model
        From images ``[shape=(n, image_height, image_width, channels)], uint8``, or waveforms
        ``[shape=(n, window_samples)], float32 in [-1, 1]``, to probabilities
        ``[shape=(n, n_genres)], float32 in [0, 1]``.

    Raises
    ------
    TmgcError
        The weights are missing or do not fit, the images are too small for the architecture, or it hears another
        sample rate.
    """
    import keras

    found = find_architecture(architecture, width=width)
    window, features, backbone = _features(found, settings, channels, weights, rescale_to_unit=rescale_to_unit)
    network = keras.Model(window, _head(n_genres)(features), name=found.name)
    if weights not in NAMED_WEIGHTS:
        _load_weights(network, backbone, Path(weights))
    return network


def build_target_network(
    architecture: str,
    settings: SpectrogramSettings,
    *,
    n_targets: int,
    width: float = 1.0,
    channels: int = 3,
    weights: str = "imagenet",
) -> keras.Model:
    """Build a backbone with the layer :data:`~train.training.distillation.TARGETS` in place of a classification head.

    Parameters
    ----------
    architecture, settings, width, channels, weights
        As for :func:`build_network`.
    n_targets : int > 0

    Returns
    -------
    network : keras.Model
        To scaled targets ``[shape=(n, n_targets)], float32``.

    Raises
    ------
    TmgcError
        As :func:`build_network`.
    """
    import keras

    found = find_architecture(architecture, width=width)
    window, features, backbone = _features(found, settings, channels, weights)
    outputs = target_head(n_targets)(keras.layers.Dropout(0.1)(features))
    network = keras.Model(window, outputs, name=found.name)
    if weights not in NAMED_WEIGHTS:
        _load_weights(network, backbone, Path(weights))
    return network


def _features(
    found: Architecture,
    settings: SpectrogramSettings,
    channels: int,
    weights: str,
    *,
    rescale_to_unit: bool = False,
) -> tuple[Any, Any, keras.Model]:
    """The input, the features of the backbone, and the backbone."""
    import keras

    check_weights(found, weights)
    if found.front_end:
        window, front_end = keras.Input((settings.window_samples,), name="waveform"), found.front_end(settings)
        front_end.name = FRONT_END
    else:
        window = keras.Input((settings.image_height, settings.image_width, channels), dtype="uint8", name="image")
        scale, offset = (1 / 255, 0.0) if rescale_to_unit else (found.scale, found.offset)
        if channels == 1:
            scale, offset = float(np.mean(scale)), float(np.mean(offset))
        front_end = keras.layers.Rescaling(scale, offset, name=FRONT_END)
    hidden = front_end(window)
    backbone = _backbone(found, tuple(hidden.shape[1:]), weights)
    return window, backbone(hidden), backbone


def _backbone(architecture: Architecture, shape: tuple[int, ...], weights: str) -> keras.Model:
    initial = weights if weights in PRETRAINED else None
    try:
        backbone = architecture.make(input_shape=shape, weights=initial)
    except TmgcError:
        raise
    except Exception as error:  # Keras wraps whatever the network connection raised in a bare Exception
        reason = first_line(error, longest=120)
        if "size must be at least" in reason:
            raise TmgcError(
                f"{architecture.name} cannot take images of this size ({reason}): prepare the run again with a larger "
                "--image-size"
            ) from error
        if not initial:
            raise
        if "alpha" in reason:
            raise TmgcError(
                f"--weights {initial} of {architecture.name} exist for some widths only ({reason}): choose one as "
                "--width, or use --weights none (random) or --weights FILE"
            ) from error
        raise TmgcError(
            f"--weights imagenet downloads a file, which failed ({reason}): connect this machine to the internet, or "
            "use --weights none (random) or --weights FILE"
        ) from error
    backbone.name = BACKBONE  # renamed afterwards: EfficientNetV2 looks up its blocks by its name while it is built
    return backbone


def _head(n_genres: int) -> keras.Sequential:
    """Two dense layers with dropout; the softmax stays in float32 whatever the precision of the rest."""
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Dropout(0.3),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dense(n_genres, activation="softmax", dtype="float32"),
        ],
        name=HEAD,
    )


def _load_weights(network: keras.Model, backbone: keras.Model, path: Path) -> None:
    if path.suffix == ".keras":
        _load_backbone_of_model(backbone, path)
        return
    reasons = []
    for model in (network, backbone):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # Keras only warns of a layer that it found no weights for
                model.load_weights(path)
            return
        except (ValueError, OSError, KeyError, UserWarning, BadZipFile) as error:
            reasons.append(first_line(error, longest=120))
    raise TmgcError(
        f"--weights {path} must hold the weights of this network or of its backbone: {reasons[-1]}. Save them with "
        "Keras' save_weights from the same architecture and number of genres"
    )


def _load_backbone_of_model(backbone: keras.Model, path: Path) -> None:
    """Copy the backbone of an earlier run's network, whose head may be for other genres."""
    import keras

    try:
        backbone.set_weights(keras.models.load_model(path, compile=False).get_layer(BACKBONE).get_weights())
    except (ValueError, OSError, KeyError, TypeError, BadZipFile) as error:
        raise TmgcError(
            f"--weights {path} must be the model.keras of a run with the same architecture, width and --colormap: "
            f"{first_line(error, longest=120)}. Name another file; for a run adopted from musicnn, which holds "
            "two networks, --weights musicnn"
        ) from error


def freeze(network: keras.Model, *, unfreeze: float, batch_normalization: bool, momentum: float | None = None) -> None:
    """Set which layers of the backbone are trainable.

    Parameters
    ----------
    network : keras.Model
        Of :func:`build_network`.
    unfreeze : float in [0, 1]
        Share of the backbone's layers that are trainable, from the top, next to the head.
    batch_normalization : bool
        Whether batch normalisation is trainable. If not, it runs in inference mode, so that the network that is
        trained is exactly the one that is validated and exported.
    momentum : float in [0, 1), optional
        Of the moving statistics of batch normalisation; the architecture's own by default.
    """
    layers = [layer for layer in network.get_layer(BACKBONE).layers if layer.weights]
    frozen = round((1.0 - unfreeze) * len(layers))
    normalization = batch_normalizations(network)
    for number, layer in enumerate(layers):
        layer.trainable = number >= frozen and (batch_normalization or layer not in normalization)
    if momentum is not None:
        for layer in normalization:
            layer.momentum = momentum


def feature_extractor(network: keras.Model) -> keras.Model:
    """The network without its head, sharing its weights, to features ``[shape=(n, n_features)], float32``."""
    import keras

    window = keras.Input(network.input_shape[1:], dtype=network.inputs[0].dtype)
    return keras.Sequential([window, network.get_layer(FRONT_END), network.get_layer(BACKBONE)])


def calibrate_batch_normalization(network: keras.Model, inputs: NDArray[Any], *, earlier_batches: int = 0) -> None:
    """Update the moving statistics of batch normalisation with one batch, as a plain mean over all batches so far.

    Random weights come with a moving mean of 0 and a variance of 1, which is not what their layers see: the signal
    vanishes or explodes. Statistics of real images bring every layer's output into a range that can be trained
    (Krähenbühl et al. 2016, "Data-dependent initializations of convolutional neural networks").

    Parameters
    ----------
    network : keras.Model
        Of :func:`build_network`. Which layers are trainable does not change.
    inputs : np.ndarray
        Images or waveforms.
    earlier_batches : int >= 0
        Batches that were passed before this one; 0 discards the statistics so far.
    """
    layers = batch_normalizations(network)
    before = [(layer.momentum, layer.trainable) for layer in layers]
    for layer in layers:
        layer.momentum, layer.trainable = earlier_batches / (earlier_batches + 1), True
    network(inputs, training=True)
    for layer, (momentum, trainable) in zip(layers, before, strict=True):
        layer.momentum, layer.trainable = momentum, trainable


def batch_normalizations(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The backbone's batch normalisation layers."""
    import keras

    layers = network.get_layer(BACKBONE).layers
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]

"""The network: a ``keras.applications`` backbone between the picture's scaling and the seed's head."""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError, first_line

RECOMMENDED = ("inception_resnet_v2", "efficientnet_v2_b0", "mobilenet_v3_small")
"""The project's own, and two for small boards. These are the ones that tests train and export."""


@dataclass(frozen=True)
class Architecture:
    """A backbone, and the pixels that it was designed for."""

    name: str
    make: Callable[..., keras.Model]
    """Its class in ``keras.applications``."""
    scale: tuple[float, float, float]
    """Red, green and blue in 0..255 are multiplied by it ..."""
    offset: tuple[float, float, float]
    """... and then this is added."""


def find_architecture(name: str) -> Architecture:
    """The architecture of a name such as ``inception_resnet_v2`` or ``MobileNetV3Small``.

    Raises
    ------
    TmgcError
        Keras has none of that name, or it wants pixels that are not a scaled RGB picture.
    """
    known = {_snake_case(found): found for found in dir(keras.applications) if found[0].isupper()}
    wanted = next((snake for snake in known if snake.replace("_", "") == name.replace("_", "").lower()), None)
    if wanted is None:
        nearest = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise TmgcError(
            f"--architecture is {', '.join(RECOMMENDED)} or another name of keras.applications, got {name}: {hint}"
            "see https://keras.io/api/applications"
        )
    zero, columns = _affine(known[wanted])
    if np.count_nonzero(columns - np.diag(np.diag(columns))):
        raise TmgcError(
            f"--architecture must take RGB pixels, scaled and offset: {wanted} wants BGR. Take another, such as "
            f"{RECOMMENDED[0]}"
        )
    make = getattr(keras.applications, known[wanted])
    return Architecture(wanted, make, scale=_triple(np.diag(columns)), offset=_triple(zero))


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def _snake_case(class_name: str) -> str:
    joined = class_name.replace("Net", "net").replace("NeXt", "next")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", joined).lower()


def _affine(class_name: str) -> tuple[Any, Any]:
    """What the application's own preprocessing does to black, and to one step of red, of green and of blue.

    An application without a module that says so (MobileNetV3) scales inside and takes 0..255.
    """
    modules = [module for _, module in inspect.getmembers(keras.applications, inspect.ismodule)]
    module = next((module for module in modules if hasattr(module, class_name)), None)
    if module is None:
        return np.zeros(3), np.eye(3)
    black_and_colours = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)])
    pixels = np.asarray(module.preprocess_input(black_and_colours[:, None, None, :].astype(np.float32)))[:, 0, 0]
    return pixels[0], (pixels[1:] - pixels[0]) / 255.0


SCALING, BACKBONE, HEAD = "scaling", "backbone", "head"
"""Names of the network's three layers, in their order."""


def build_network(
    architecture: str,
    *,
    image_height: int,
    image_width: int,
    n_genres: int,
    weights: str = "imagenet",
    rescale_to_unit: bool = False,
) -> keras.Model:
    """An untrained head on a backbone; uint8 pictures in, float32 probabilities out.

    Parameters
    ----------
    architecture : str
        See :func:`train.training.model.find_architecture`.
    image_height, image_width : int > 0, pixels
    n_genres : int >= 2
    weights : str
        ``imagenet``, ``none`` (random), or a path: of the backbone's weights, of the weights of a network that this
        function made, or of an earlier run's ``model.keras``, whose backbone is taken.
    rescale_to_unit : bool
        Scale pixels to [0, 1], as the original does, instead of what the architecture was designed for.

    Returns
    -------
    network : keras.Model
        Takes ``[shape=(n, image_height, image_width, 3)], uint8``, gives ``[shape=(n, n_genres)], float32``.

    Raises
    ------
    TmgcError
        The weights cannot be had, or the pictures are too small for the architecture.
    """
    choice = find_architecture(architecture)
    backbone = _backbone(choice, (image_height, image_width, 3), weights)
    picture = keras.Input((image_height, image_width, 3), dtype="uint8", name="image")
    scale, offset = (1 / 255, 0.0) if rescale_to_unit else (choice.scale, choice.offset)
    pixels = keras.layers.Rescaling(scale, offset, name=SCALING)(picture)
    network = keras.Model(picture, _head(n_genres)(backbone(pixels)), name=choice.name)
    if weights not in ("imagenet", "none"):
        _load_weights(network, backbone, Path(weights))
    return network


def _backbone(choice: Architecture, shape: tuple[int, int, int], weights: str) -> keras.Model:
    initial = "imagenet" if weights == "imagenet" else None
    try:
        backbone = choice.make(include_top=False, input_shape=shape, pooling="avg", weights=initial)
    except Exception as error:  # keras wraps whatever the network connection raised in a bare Exception
        reason = first_line(error, longest=120)
        if "size must be at least" in reason:
            raise TmgcError(
                f"{choice.name} cannot take such small pictures ({reason}): prepare the run again with a larger "
                "--image-size"
            ) from error
        if not initial:
            raise
        raise TmgcError(
            f"--weights imagenet downloads a file that could not be had ({reason}): connect this machine to the "
            "internet, or use --weights none (random) or --weights FILE"
        ) from error
    backbone.name = BACKBONE  # not at its making: EfficientNetV2 looks its blocks up by its name
    return backbone


def _head(n_genres: int) -> keras.Sequential:
    """The seed's head; its softmax stays in float32 whatever the precision of the rest."""
    layers = keras.layers
    return keras.Sequential(
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
    if not path.is_file():
        raise TmgcError(f"--weights is imagenet, none or an existing weights file: got {path}. Check the spelling")
    if path.suffix == ".keras":
        _take_backbone(backbone, path)
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
        "keras' save_weights from the same architecture and number of genres"
    )


def _take_backbone(backbone: keras.Model, path: Path) -> None:
    """The backbone of an earlier run's network; its head knew other genres perhaps."""
    try:
        backbone.set_weights(keras.models.load_model(path, compile=False).get_layer(BACKBONE).get_weights())
    except (ValueError, OSError, KeyError, TypeError, BadZipFile) as error:
        raise TmgcError(
            f"--weights {path} must be the model.keras of a run with the same architecture: "
            f"{first_line(error, longest=120)}. Name another file"
        ) from error


def freeze(network: keras.Model, *, unfreeze: float, batch_normalization: bool, momentum: float | None = None) -> None:
    """Say which of the backbone's layers learn.

    Parameters
    ----------
    network : keras.Model
        Of :func:`build_network`.
    unfreeze : float in [0, 1]
        Share of the backbone's layers that learn, from the top, which is nearest to the head.
    batch_normalization : bool
        Whether batch normalisation learns. Where it does not it is in inference mode, so that what is trained is
        exactly what is validated and exported.
    momentum : float in [0, 1), optional
        Of the running mean of its statistics where it learns; the architecture's own by default.
    """
    layers = [layer for layer in network.get_layer(BACKBONE).layers if layer.weights]
    frozen = round((1.0 - unfreeze) * len(layers))
    for number, layer in enumerate(layers):
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= frozen and (batch_normalization or not normalizes)
        if normalizes and momentum is not None:
            layer.momentum = momentum


def feature_extractor(network: keras.Model) -> keras.Model:
    """The network without its head: uint8 pictures in, ``[shape=(n, n_features)], float32`` out. Weights are shared."""
    picture = keras.Input(network.input_shape[1:], dtype="uint8")
    return keras.Sequential([picture, network.get_layer(SCALING), network.get_layer(BACKBONE)])


def calibrate_batch_normalization(
    network: keras.Model, pictures: NDArray[np.uint8], *, earlier_batches: int = 0
) -> None:
    """Take one batch of pictures into the statistics of batch normalisation, as a plain mean over all batches.

    Random weights come with statistics of mean 0 and variance 1, which are not what their layers see: the signal then
    fades or explodes. Statistics from real pictures put every layer's output where it can be learned from
    (Krähenbühl et al. 2016, "Data-dependent initializations of convolutional neural networks").

    Parameters
    ----------
    network : keras.Model
        Of :func:`build_network`. Its batch normalisation stays frozen, as it came.
    pictures : np.ndarray [shape=(n, image_height, image_width, 3)], uint8
    earlier_batches : int >= 0
        Batches taken before this one; the first forgets what the layers came with.
    """
    layers = batch_normalizations(network)
    before = [(layer.momentum, layer.trainable) for layer in layers]
    for layer in layers:
        layer.momentum, layer.trainable = earlier_batches / (earlier_batches + 1), True
    network(pictures, training=True)
    for layer, (momentum, trainable) in zip(layers, before, strict=True):
        layer.momentum, layer.trainable = momentum, trainable


def batch_normalizations(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The backbone's batch normalisation layers."""
    layers = network.get_layer(BACKBONE).layers
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]

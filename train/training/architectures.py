"""Backbones by their names: what builds them, the pixels that they take, and their pre-trained weights.

A backbone is a classifier of ``keras.applications`` without its top, EfficientNet-Lite0, the embedding of musicnn, or
one that is registered here. To add one, write a function that makes it, and register it under a name::

    def small_cnn(*, input_shape: tuple[int, int, int], weights: str | None) -> keras.Model:
        pixels = keras.Input(input_shape)
        hidden = keras.layers.Conv2D(32, 3, strides=2, activation="relu")(pixels)
        return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(hidden))

    register_architecture(Architecture("small_cnn", small_cnn, scale=(1 / 255,) * 3))

``TrainingConfig(architecture="small_cnn")`` then trains it, and ``tmgc-export`` exports it.
"""

from __future__ import annotations

import difflib
import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from edge_runtime.spectrogram import SpectrogramSettings
from train.run import Run
from train.teachers import MUSICNN

if TYPE_CHECKING:
    import keras

EFFICIENTNET_LITE0 = "efficientnet_lite0"

RECOMMENDED = ("inception_resnet_v2", EFFICIENTNET_LITE0, "mobilenet_v2")
"""The project's own architecture, and two for small boards, which survive 8 bits."""

PRETRAINED = ("imagenet", MUSICNN)
"""Names of pre-trained weights: of ``keras.applications``, and of the teacher."""

NAMED_WEIGHTS = (*PRETRAINED, "none")
"""Initial weights that are no file."""

_Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Architecture:
    """A backbone, and what it takes."""

    name: str
    make: Callable[..., keras.Model]
    """Called with ``input_shape``, without the batch, and ``weights``: the name of :attr:`pretrained` or ``None``
    (random). Returns a model from the front end's output to features ``[shape=(n, n_features)]``."""
    scale: _Triple = (1.0, 1.0, 1.0)
    """Factor for red, green and blue in 0..255; their mean for images of one channel."""
    offset: _Triple = (0.0, 0.0, 0.0)
    """Added after scaling."""
    pretrained: str | None = None
    """Name of its pre-trained weights; None if there are none."""
    front_end: Callable[[SpectrogramSettings], keras.Model] | None = None
    """From waveforms ``[shape=(n, window_samples)], float32`` to what the backbone takes; None for images."""
    sample_rate: int | None = None
    """Hz, of the waveforms that the front end takes; None for any."""
    licence: Callable[[], str] | None = None
    """The notice that must accompany every network that began with its pre-trained weights; None if none must."""
    width: float = 1.0
    """Factor for the channels of its layers."""
    of_width: Callable[[float], Architecture] | None = None
    """Makes it with another :attr:`width`; None if it has only one."""

    @property
    def input_kind(self) -> str:
        """One of :data:`edge_runtime.model_card.INPUT_KINDS`."""
        return "waveform" if self.front_end else "image"


_REGISTERED: dict[str, Architecture] = {}


def register_architecture(architecture: Architecture) -> None:
    """Make an architecture available by its name; a name that Keras has, too, then means this one."""
    _REGISTERED[architecture.name] = architecture


def find_architecture(name: str, *, width: float = 1.0) -> Architecture:
    """Look an architecture up by its name, registered ones first.

    Parameters
    ----------
    name : str
        Of a registered architecture, ``musicnn``, or of a model in ``keras.applications``, as in
        ``inception_resnet_v2`` or ``MobileNetV3Small``.
    width : float > 0
        Factor for the channels of its layers.

    Raises
    ------
    TmgcError
        The name is unknown, the model expects pixels that are not scaled RGB, or it has no other width than 1.
    """
    found = _find(name)
    if width == 1:
        return found
    if not found.of_width:
        raise TmgcError(
            f"--width is for networks that can be built narrower or wider, such as {EFFICIENTNET_LITE0} or "
            f"mobilenet_v2: {found.name} has one width. Leave it out"
        )
    return found.of_width(width)


def _find(name: str) -> Architecture:
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name == MUSICNN:
        from train.teachers import musicnn

        return Architecture(
            name,
            musicnn.backbone,
            pretrained=MUSICNN,
            front_end=musicnn.front_end,
            sample_rate=musicnn.SAMPLE_RATE,
            licence=musicnn.WHEEL.licence,
        )
    return _efficientnet_lite0(1.0) if name == EFFICIENTNET_LITE0 else _find_application(name)


def _efficientnet_lite0(width: float) -> Architecture:
    from train.training import efficientnet_lite as lite

    return Architecture(
        EFFICIENTNET_LITE0,
        partial(lite.efficientnet_lite0, width=width),
        scale=(lite.SCALE,) * 3,
        offset=(lite.OFFSET,) * 3,
        pretrained="imagenet" if width == 1 else None,
        licence=lite.WHEEL.licence,
        width=width,
        of_width=_efficientnet_lite0,
    )


def _find_application(name: str) -> Architecture:
    import keras

    known = {_snake_case(found): found for found in dir(keras.applications) if found[0].isupper()}
    wanted = next((snake for snake in known if snake.replace("_", "") == name.replace("_", "").lower()), None)
    if wanted is None:
        nearest = difflib.get_close_matches(
            name.lower(), [*known, EFFICIENTNET_LITE0, MUSICNN, *_REGISTERED], n=1, cutoff=0.5
        )
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise TmgcError(
            f"--architecture is {', '.join((*RECOMMENDED, MUSICNN))} or another name of keras.applications, got "
            f"{name}: {hint}see https://keras.io/api/applications"
        )
    return _application(wanted, known[wanted], 1.0)


def _application(name: str, class_name: str, width: float) -> Architecture:
    import keras

    offset, columns = _preprocessing(class_name)
    if np.count_nonzero(columns - np.diag(np.diag(columns))):
        raise TmgcError(
            f"--architecture must take RGB pixels, scaled and offset: {name} takes BGR. Choose another, such as "
            f"{RECOMMENDED[0]}"
        )
    application = getattr(keras.applications, class_name)
    make = partial(_make_application, application)
    scalable = "alpha" in inspect.signature(application).parameters
    return Architecture(
        name,
        partial(make, alpha=width) if scalable else make,
        _triple(np.diag(columns)),
        _triple(offset),
        pretrained="imagenet",
        width=width,
        of_width=partial(_application, name, class_name) if scalable else None,
    )


def _make_application(
    application: Callable[..., keras.Model],
    *,
    input_shape: tuple[int, int, int],
    weights: str | None,
    **options: float,
) -> keras.Model:
    """A backbone of ``keras.applications``, which has pre-trained weights for RGB alone."""
    *size, channels = input_shape
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")  # of MobileNet: any size will do
        backbone = application(input_shape=(*size, 3), weights=weights, include_top=False, pooling="avg", **options)
    return _of_one_channel(backbone) if channels == 1 else backbone


def _of_one_channel(rgb: keras.Model) -> keras.Model:
    """A copy that answers to gray images as the network does to the same image in all three channels.

    Exactly so where the network scales its channels alike, and about so where it does not: the kernel of the first
    convolution is summed over the channels, and what scales them is averaged.
    """
    import keras

    def of_one_channel(layer: keras.layers.Layer) -> keras.layers.Layer:
        constants = {
            name: float(np.mean(value))
            for name, value in layer.get_config().items()
            if name in ("mean", "variance", "scale", "offset") and np.size(value) == 3
        }
        return type(layer).from_config(layer.get_config() | constants)

    image = keras.Input((*rgb.input_shape[1:-1], 1))
    gray = keras.models.clone_model(rgb, input_tensors=image, clone_function=of_one_channel)
    weights = zip(rgb.get_weights(), gray.get_weights(), strict=True)
    gray.set_weights([_over_channels(values, like.shape) for values, like in weights])
    return gray


def _over_channels(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Weights for one channel: a kernel is summed over its inputs, a scale averaged."""
    if values.shape == shape:
        return values
    reduced: NDArray[Any] = values.sum(axis=-2, keepdims=True) if values.ndim == 4 else values.mean(keepdims=True)
    return reduced.reshape(shape)


def find_weights(architecture: Architecture, weights: str | None) -> str:
    """Initial weights as :func:`build_network` takes them.

    Parameters
    ----------
    architecture : Architecture
    weights : str or None
        May also be the folder of a run, trained or pretrained; None is the architecture's pre-trained weights, or
        random ones where it has none.

    Raises
    ------
    TmgcError
        One of the reasons of :func:`check_weights`.
    """
    weights = weights or architecture.pretrained or "none"
    if weights not in NAMED_WEIGHTS and Path(weights).is_dir():
        weights = str(Run(Path(weights)).model)
    check_weights(architecture, weights)
    return weights


def check_weights(architecture: Architecture, weights: str) -> None:
    """Check that initial weights exist, before anything slow begins.

    Parameters
    ----------
    architecture : Architecture
    weights : str
        As :func:`build_network` takes them.

    Raises
    ------
    TmgcError
        There is no such file, or the architecture has no such pre-trained weights.
    """
    known = [architecture.pretrained] if architecture.pretrained else []
    if weights in PRETRAINED and weights not in known:
        raise TmgcError(
            f"--weights {weights} are not of {architecture.name}{_of_width(architecture)}: use "
            f"{''.join(f'--weights {name}, ' for name in known)}--weights none (random) or --weights FILE"
        )
    if weights not in NAMED_WEIGHTS and not Path(weights).is_file():
        raise TmgcError(
            f"--weights is {', '.join(PRETRAINED)}, none, an existing weights file or a run with a model: there is no "
            f"{weights}. Check the spelling"
        )


def _of_width(architecture: Architecture) -> str:
    return "" if architecture.width == 1 else f" with --width {architecture.width:g}"


def _triple(values: Any) -> _Triple:
    red, green, blue = map(float, values)
    return red, green, blue


def _snake_case(class_name: str) -> str:
    joined = class_name.replace("Net", "net").replace("NeXt", "next")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", joined).lower()


def _preprocessing(class_name: str) -> tuple[Any, Any]:
    """The affine map of an application's ``preprocess_input``: its offset, and one column a colour.

    An application without a module of its own (MobileNetV3) rescales inside and takes 0..255.
    """
    import keras

    modules = [module for _, module in inspect.getmembers(keras.applications, inspect.ismodule)]
    module = next((module for module in modules if hasattr(module, class_name)), None)
    if module is None:
        return np.zeros(3), np.eye(3)
    black_and_colours = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)])
    pixels = np.asarray(module.preprocess_input(black_and_colours[:, None, None, :].astype(np.float32)))[:, 0, 0]
    return pixels[0], (pixels[1:] - pixels[0]) / 255.0

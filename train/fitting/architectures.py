"""The backbones that a network can have: those of ``keras.applications``, with the pixels that each was made for."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edge_runtime.errors import TmgcError

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

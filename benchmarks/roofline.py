"""The machine's peak of multiply-accumulates a second, and how near to it a network comes (Williams et al. 2009).

No library's matrix product is an upper bound by itself, so the best of several libraries, operations and sizes counts,
each by its quickest run. ``tmgc-bench check peak`` prints it alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from benchmarks.documents import from_document, to_document
from benchmarks.report import DTYPES, Dtype, KernelRate, Peak, Roofline
from benchmarks.worker import environment, pin
from edge_runtime.errors import first_line
from edge_runtime.interpreters import ENGINES
from edge_runtime.interpreters.onnx import import_onnxruntime
from edge_runtime.interpreters.openvino import import_openvino, runtime_options

TIMEOUT_SECONDS = 600.0
"""A measurement of the peak that takes so long is ended; it takes half a minute on a desktop machine."""

MATRICES = (256, 512, 1024, 2048)
"""Sides of square matrices."""

CONVOLUTIONS = ((1, 28, 256), (3, 28, 128), (3, 14, 256))
"""Side of the filter, side of the image, channels in and out: sizes that image networks have."""


class Kernel(NamedTuple):
    """An operation of a library, ready to be timed."""

    name: str
    dtype: Dtype
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
    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    for dtype in DTYPES:
        for shape in (*((side,) for side in MATRICES), *CONVOLUTIONS):
            graph, feed, macs = (_onnx_matmul if len(shape) == 1 else _onnx_convolution)(dtype, *shape)
            session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            name = f"onnxruntime {onnxruntime.__version__} {_describe(shape)}"
            yield Kernel(name, dtype, macs, _session(session, feed))


def openvino_kernels(threads: int) -> Iterator[Kernel]:
    """The convolutions of ONNX Runtime by OpenVINO."""
    openvino = import_openvino()
    core, name = openvino.Core(), f"openvino {ENGINES['openvino'].version}"
    for dtype in DTYPES:
        for shape in CONVOLUTIONS:
            graph, feed, macs = _onnx_convolution(dtype, *shape)
            compiled = core.compile_model(core.read_model(graph, b""), "CPU", runtime_options(threads))
            yield Kernel(f"{name} {_describe(shape)}", dtype, macs, _request(compiled.create_infer_request(), feed))


def litert_kernels(threads: int) -> Iterator[Kernel]:
    """Convolutions by LiteRT, from graphs of a single layer that TensorFlow writes."""
    from ai_edge_litert.interpreter import Interpreter

    for dtype in DTYPES:
        for shape in CONVOLUTIONS:
            side, image, channels = shape
            interpreter: Any = Interpreter(model_content=_tflite_convolution(dtype, *shape), num_threads=threads)
            interpreter.allocate_tensors()
            macs = side**2 * image**2 * channels**2
            name = f"ai-edge-litert {version('ai-edge-litert')} {_describe(shape)}"
            yield Kernel(name, dtype, macs, interpreter.invoke)


def _describe(shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return f"matmul {shape[0]}"
    side, image, channels = shape
    return f"convolution {side}x{side} of {image}x{image}x{channels}"


def _matmul(left: Any, right: Any, out: Any) -> Callable[[], object]:
    return lambda: np.matmul(left, right, out=out)


def _session(session: Any, feed: Any) -> Callable[[], object]:
    return lambda: session.run(None, {"input": feed})


def _request(request: Any, feed: Any) -> Callable[[], object]:
    return lambda: request.infer([feed], share_inputs=True, share_outputs=True)


def _floats(*shape: int) -> Any:
    return np.random.default_rng(0).normal(0, 0.05, shape).astype(np.float32)


def _integers(*shape: int, unsigned: bool = False) -> Any:
    low, kind = (0, np.uint8) if unsigned else (-127, np.int8)
    return np.random.default_rng(0).integers(low, 127, shape).astype(kind)


def _onnx_matmul(dtype: Dtype, side: int) -> tuple[bytes, Any, int]:
    if dtype == "float32":
        graph = _onnx_graph("MatMul", [("weights", _floats(side, side))], (side, side), "FLOAT", "FLOAT")
        return graph, _floats(side, side), side**3
    graph = _onnx_graph("MatMulInteger", [("weights", _integers(side, side))], (side, side), "UINT8", "INT32")
    return graph, _integers(side, side, unsigned=True), side**3


def _onnx_convolution(dtype: Dtype, side: int, image: int, channels: int) -> tuple[bytes, Any, int]:
    shape, filters = (1, channels, image, image), (channels, channels, side, side)
    macs, padding = side**2 * image**2 * channels**2, [side // 2] * 4
    if dtype == "float32":
        graph = _onnx_graph("Conv", [("weights", _floats(*filters))], shape, "FLOAT", "FLOAT", pads=padding)
        return graph, _floats(*shape), macs
    scale, zero = np.float32(0.02), np.uint8(128)
    constants = [
        ("input_scale", scale),
        ("input_zero", zero),
        ("weights", _integers(*filters)),
        ("weights_scale", scale),
        ("weights_zero", np.int8(0)),
        ("scale", scale),
        ("zero", zero),
    ]
    graph = _onnx_graph("QLinearConv", constants, shape, "UINT8", "UINT8", pads=padding)
    return graph, _integers(*shape, unsigned=True), macs


def _onnx_graph(
    operation: str,
    constants: list[tuple[str, Any]],
    shape: tuple[int, ...],
    input_type: str,
    output_type: str,
    **attributes: Any,
) -> bytes:
    """A graph of one node whose output has the shape of its input."""
    from onnx import TensorProto, helper, numpy_helper

    inputs, outputs = (
        [helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)]
        for name, kind in (("input", input_type), ("output", output_type))
    )
    node = helper.make_node(operation, ["input", *(name for name, _ in constants)], ["output"], **attributes)
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants]
    graph = helper.make_graph([node], "kernel", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _tflite_convolution(dtype: Dtype, side: int, image: int, channels: int) -> bytes:
    import tensorflow

    weights, shape = _floats(side, side, channels, channels), (1, image, image, channels)
    convolve = tensorflow.function(
        lambda features: tensorflow.nn.conv2d(features, weights, strides=1, padding="SAME"),
        input_signature=[tensorflow.TensorSpec(shape, tensorflow.float32)],
    ).get_concrete_function()
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([convolve])
    if dtype == "int8":
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: iter([[_floats(*shape)]])
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    return bytes(converter.convert())


_SECONDS = 0.25
"""Each kernel is run for so long."""


def measure_peak(threads: int) -> Peak:
    """The machine's peak, measured in a process of its own on the cores that the cases are pinned to.

    Parameters
    ----------
    threads : int > 0

    Returns
    -------
    peak : Peak
        Without kernels, and with the reason, where the process fails or takes longer than :data:`TIMEOUT_SECONDS`.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "benchmarks.roofline", str(threads)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(threads),
        encoding="utf-8",
    ) as process:
        pin(process.pid, threads)
        try:
            written, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            return peak_of(threads, [], [f"the peak was not measured within {TIMEOUT_SECONDS:g} s"])
        finally:
            process.kill()
    if process.returncode:
        return peak_of(threads, [], [f"the process that measures the peak ended with exit code {process.returncode}"])
    return from_document(Peak, json.loads(written.splitlines()[-1]))


def peak_of(threads: int, kernels: Sequence[KernelRate], failed: Sequence[str]) -> Peak:
    """The best kernel of each dtype, and all that were measured."""
    best = {
        dtype: max((rate for rate in kernels if rate.dtype == dtype), key=lambda rate: rate.gmacs_per_s, default=None)
        for dtype in DTYPES
    }
    return Peak(threads, best["float32"], best["int8"], tuple(kernels), tuple(failed))


def roofline(macs: int, model_ms: float, peak: Peak | None, *, recipe: str) -> Roofline:
    """How near a network comes to the peak.

    Parameters
    ----------
    macs : int > 0
        Multiply-accumulates for one window.
    model_ms : float > 0
        Median latency of the network.
    peak : Peak or None
        Of :func:`measure_peak` with as many threads.
    recipe : str
        ``int8`` and ``dynamic`` files multiply integers and are compared with the peak of those.
    """
    dtype: Dtype = "int8" if recipe in ("int8", "dynamic") else "float32"
    gmacs_per_s = macs / model_ms / 1e6
    best = peak.of(dtype) if peak else None
    return Roofline(macs, gmacs_per_s, dtype, gmacs_per_s / best.gmacs_per_s if best else None)


def peak_lines(peak: Peak) -> list[str]:
    """A peak for people."""
    lines = [f"{dtype}: {best.gmacs_per_s:.0f} GMAC/s ({best.kernel})" for dtype in DTYPES if (best := peak.of(dtype))]
    if peak.float32 and peak.int8:
        lines.append(f"ratio of int8 to float32: {peak.int8.gmacs_per_s / peak.float32.gmacs_per_s:.1f}")
    return [*lines, *(f"failed: {line}" for line in peak.failed)]


def time_kernel(kernel: Kernel, seconds: float = _SECONDS) -> KernelRate:
    """The rate of a kernel's quickest run."""
    kernel.run()
    quickest, end = float("inf"), perf_counter() + seconds
    while quickest == float("inf") or perf_counter() < end:  # once even where the system gives it no time
        begun = perf_counter()
        kernel.run()
        quickest = min(quickest, perf_counter() - begun)
    return KernelRate(kernel.name, kernel.dtype, kernel.macs / quickest / 1e9)


def time_kernels(threads: int) -> Peak:
    """Time the kernels of every library in this process; a library that is missing or fails leaves a line."""
    rates: list[KernelRate] = []
    failed = []
    libraries: dict[str, Iterable[Kernel]] = {
        "numpy": numpy_kernels(),
        "onnxruntime": onnx_kernels(threads),
        "ai-edge-litert": litert_kernels(threads),
    }
    if ENGINES["openvino"].installed:
        libraries["openvino"] = openvino_kernels(threads)
    for library, kernels in libraries.items():
        try:
            rates.extend(map(time_kernel, kernels))
        except Exception as error:  # whatever a library raises, the others decide
            failed.append(f"{library}: {first_line(error)}")
    return peak_of(threads, rates, failed)


if __name__ == "__main__":
    json.dump(to_document(time_kernels(int(sys.argv[1]))), sys.stdout)
